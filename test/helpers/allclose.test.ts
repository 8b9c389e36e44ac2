/** The comparison that other tests rely on must itself fail when it should. */
import { describe, expect, it } from 'vitest';
import './allclose.ts';

const failure = (check: () => void): string => {
  try {
    check();
  } catch (error) {
    return (error as Error).message;
  }
  return 'passed';
};

describe('toBeAllclose', () => {
  it('accepts a difference of exactly atol + rtol · |expected|, and refuses a little more', () => {
    expect([2.75]).toBeAllclose([2], { rtol: 0.25, atol: 0.25 });
    expect(failure(() => expect([2.7501]).toBeAllclose([2], { rtol: 0.25, atol: 0.25 }))).toContain('1 of 1 numbers');
  });

  it('scales with the expected number, not with the received one', () => {
    expect([0]).toBeAllclose([10], { rtol: 1, atol: 0 });
    expect(failure(() => expect([10]).toBeAllclose([0], { rtol: 1, atol: 0 }))).not.toBe('passed');
  });

  it('refuses 9e-4 for 1e-4 by default, which toBeCloseTo accepts', () => {
    expect(9e-4).toBeCloseTo(1e-4);
    expect(failure(() => expect([9e-4]).toBeAllclose([1e-4]))).not.toBe('passed');
  });

  it('names the worst index and by how much it is over', () => {
    expect(failure(() => expect([1, 2.5, 3.1]).toBeAllclose([1, 2, 3], { rtol: 0, atol: 0.05 }))).toBe(
      '2 of 3 numbers are off (rtol 0, atol 0.05); worst at index 1: expected 2, received 2.5, 10.0 times what is allowed.',
    );
  });

  it('fails on NaN, wherever it stands', () => {
    expect(failure(() => expect([Number.NaN]).toBeAllclose([0]))).toContain(
      'worst at index 0: expected 0, received NaN',
    );
    expect(failure(() => expect([0]).toBeAllclose([Number.NaN]))).not.toBe('passed');
    expect(failure(() => expect([Number.NaN]).toBeAllclose([Number.NaN]))).not.toBe('passed');
  });

  it('takes equal infinities as equal and opposite ones as not', () => {
    expect([Number.NEGATIVE_INFINITY]).toBeAllclose([Number.NEGATIVE_INFINITY]);
    expect(failure(() => expect([1]).toBeAllclose([Number.POSITIVE_INFINITY]))).not.toBe('passed');
    expect(failure(() => expect([Infinity]).toBeAllclose([-Infinity]))).not.toBe('passed');
  });

  it('checks lengths and takes typed arrays', () => {
    expect(Float32Array.of(1, 2)).toBeAllclose([1, 2]);
    expect(failure(() => expect(Float32Array.of(1)).toBeAllclose([1, 2]))).toBe(
      'length: expected 2 numbers, received 1.',
    );
  });

  it('can be negated', () => {
    expect([1]).not.toBeAllclose([2]);
    expect(failure(() => expect([1]).not.toBeAllclose([1]))).toContain('all 1 numbers are within');
  });
});
