import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Schedule } from '../../src/training/schedule.ts';
import { learningRateAt } from '../../src/training/schedule.ts';
import '../helpers/allclose.ts';

const kinds = ['constant', 'linear', 'cosine'] as const;
const exact = { rtol: 1e-12, atol: 0 };
const course = (schedule: Schedule, steps: number): number[] =>
  Array.from({ length: steps + 1 }, (_, step) => learningRateAt(schedule, step, steps));

describe('learningRateAt', () => {
  it('warms up from 0 in equal steps and reaches the peak after the last of them', () => {
    for (const schedule of kinds) {
      const found = course({ learningRate: 3, schedule, warmupSteps: 3, finalRate: 0 }, 9);
      expect(found.slice(0, 4)).toBeAllclose([0, 1, 2, 3], exact);
    }
  });

  it('decays by hand: linear and cosine meet in the middle, and both end at the final fraction', () => {
    const options = { learningRate: 8, warmupSteps: 0, finalRate: 0.25 };
    expect(course({ ...options, schedule: 'linear' }, 4)).toBeAllclose([8, 6.5, 5, 3.5, 2], exact);
    const root = Math.SQRT1_2;
    expect(course({ ...options, schedule: 'cosine' }, 4)).toBeAllclose([8, 5 + 3 * root, 5, 5 - 3 * root, 2], exact);
    expect(course({ ...options, schedule: 'constant' }, 4)).toEqual([8, 8, 8, 8, 8]);
  });

  it('stays at the end beyond the last step', () => {
    const schedule = { learningRate: 1, schedule: 'cosine', warmupSteps: 1, finalRate: 0.1 } as const;
    expect([learningRateAt(schedule, 50, 10)]).toBeAllclose([0.1], exact);
  });

  it('never jumps: no step is larger than the steepest the parts allow, and never leaves [0, peak]', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...kinds),
        fc.integer({ min: 0, max: 20 }),
        fc.integer({ min: 1, max: 50 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (schedule, warmupSteps, rest, finalRate) => {
          const found = course({ learningRate: 1, schedule, warmupSteps, finalRate }, warmupSteps + rest);
          const steepest = Math.max(1 / Math.max(1, warmupSteps), Math.PI / 2 / rest) + 1e-9;
          found.forEach((rate, step) => {
            expect(rate).toBeGreaterThanOrEqual(0);
            expect(rate).toBeLessThanOrEqual(1 + 1e-12);
            if (step > 0) expect(Math.abs(rate - found[step - 1]!)).toBeLessThanOrEqual(steepest);
            if (step > warmupSteps) expect(rate).toBeLessThanOrEqual(found[step - 1]! + 1e-12);
          });
        },
      ),
      { seed: 1 },
    );
  });
});
