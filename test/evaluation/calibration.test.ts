import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { calibration, pairAccuracy } from '../../src/evaluation/calibration.ts';
import '../helpers/allclose.ts';

/** A pair whose confidence σ(|Δ|) is p, judged as labelled or the other way round. */
const pair = (p: number, right: boolean) => {
  const difference = Math.log(p / (1 - p));
  return right ? { chosen: difference, rejected: 0 } : { chosen: 0, rejected: difference };
};
const pairs = fc.array(
  fc.record({
    chosen: fc.double({ min: -5, max: 5, noNaN: true }),
    rejected: fc.double({ min: -5, max: 5, noNaN: true }),
  }),
  { minLength: 1, maxLength: 30 },
);

describe('pairAccuracy', () => {
  it('is the fraction in the right order, ties counting half', () => {
    expect(pairAccuracy([pair(0.6, true), pair(0.9, true), pair(0.8, false), { chosen: 1, rejected: 1 }])).toBe(0.625);
  });

  it('of pairs and of the same pairs turned round sums to 1', () => {
    fc.assert(
      fc.property(pairs, (list) => {
        const turned = list.map(({ chosen, rejected }) => ({ chosen: rejected, rejected: chosen }));
        expect([pairAccuracy(list) + pairAccuracy(turned)]).toBeAllclose([1]);
      }),
      { seed: 1 },
    );
  });
});

describe('calibration', () => {
  it('gives bins and error by hand', () => {
    const list = [pair(0.62, true), pair(0.66, false), pair(0.95, true), pair(0.97, true)];
    const { bins, error } = calibration(list, 5);
    expect(bins.map(({ from, to, count }) => [from, to, count])).toEqual([
      [0.5, 0.6, 0],
      [0.6, 0.7, 2],
      [0.7, 0.8, 0],
      [0.8, 0.9, 0],
      [0.9, 1, 2],
    ]);
    expect([bins[1]!.confidence, bins[1]!.accuracy, bins[4]!.confidence, bins[4]!.accuracy]).toBeAllclose([
      0.64, 0.5, 0.96, 1,
    ]);
    expect([error]).toBeAllclose([0.5 * 0.14 + 0.5 * 0.04]);
  });

  it('is 0 for pairs right as often as they are sure', () => {
    const list = Array.from({ length: 10 }, (_, i) => pair(0.8, i < 8));
    expect([calibration(list).error]).toBeAllclose([0]);
  });

  it('is the overconfidence when wrong pairs are sure, and counts full confidence in the last bin', () => {
    const sure = { chosen: 0, rejected: 800 };
    const { bins, error } = calibration([sure]);
    expect([bins[9]!.count, error]).toEqual([1, 1]);
  });

  it('counts a tie as half right at confidence one half', () => {
    const { bins, error } = calibration([{ chosen: 3, rejected: 3 }]);
    expect([bins[0]!.accuracy, bins[0]!.confidence, error]).toEqual([0.5, 0.5, 0]);
  });

  it('puts every pair into the bin of its confidence, and its error between 0 and 1', () => {
    fc.assert(
      fc.property(pairs, fc.integer({ min: 1, max: 20 }), (list, binCount) => {
        const { bins, error } = calibration(list, binCount);
        expect(bins.reduce((sum, { count }) => sum + count, 0)).toBe(list.length);
        for (const { from, to, count, confidence } of bins) {
          if (count === 0) continue;
          expect(confidence).toBeGreaterThanOrEqual(from - 1e-9);
          expect(confidence).toBeLessThanOrEqual(to + 1e-9);
        }
        expect(error).toBeGreaterThanOrEqual(0);
        expect(error).toBeLessThanOrEqual(1);
      }),
      { seed: 1 },
    );
  });
});
