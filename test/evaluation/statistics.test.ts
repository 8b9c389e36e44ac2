import { describe, expect, it } from 'vitest';
import { meanAndDeviation, winRate } from '../../src/evaluation/statistics.ts';
import '../helpers/allclose.ts';

describe('meanAndDeviation', () => {
  it('divides squares by n − 1', () => {
    const { mean, deviation } = meanAndDeviation([2, 4, 4, 4, 5, 5, 7, 9]);
    expect([mean, deviation]).toBeAllclose([5, Math.sqrt(32 / 7)]);
  });

  it('of a single value has deviation 0', () => {
    expect(meanAndDeviation([3])).toEqual({ mean: 3, deviation: 0 });
  });
});

describe('winRate', () => {
  it('counts ties half', () => {
    expect(winRate([1, 2, 3, 4], [0, 2, 5, 4])).toBe(0.5);
    expect(winRate([1, 2], [0, 2])).toBe(0.75);
  });

  it('of values against themselves is one half', () => {
    expect(winRate([0.1, 0.7, 0.7], [0.1, 0.7, 0.7])).toBe(0.5);
  });
});
