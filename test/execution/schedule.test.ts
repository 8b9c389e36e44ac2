import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Schedule } from '../../src/execution/schedule.ts';
import { learningRateAt, shortenedWarmups } from '../../src/execution/schedule.ts';
import '../helpers/allclose.ts';

const kinds = ['constant', 'linear', 'cosine'] as const;
const exact = { rtol: 1e-12, atol: 0 };
const course = (schedule: Schedule, steps: number): number[] =>
  Array.from({ length: steps }, (_, step) => learningRateAt(schedule, step, steps));

describe('learningRateAt', () => {
  it('warms up in equal steps, the first of which learns, and is at the peak after the last of them', () => {
    for (const schedule of kinds) {
      const found = course({ learningRate: 4, schedule, warmupSteps: 3, finalRate: 0 }, 9);
      expect(found.slice(0, 4)).toBeAllclose([1, 2, 3, 4], exact);
    }
  });

  it('decays by hand: linear and cosine meet in the middle, and head for the final fraction', () => {
    const options = { learningRate: 8, warmupSteps: 0, finalRate: 0.25 };
    expect(course({ ...options, schedule: 'linear' }, 4)).toBeAllclose([8, 6.5, 5, 3.5], exact);
    const root = Math.SQRT1_2;
    expect(course({ ...options, schedule: 'cosine' }, 4)).toBeAllclose([8, 5 + 3 * root, 5, 5 - 3 * root], exact);
    expect(course({ ...options, schedule: 'constant' }, 4)).toEqual([8, 8, 8, 8]);
  });

  it.each(kinds)('learns in every step of runs of one and of two steps: %s', (schedule) => {
    const options = { learningRate: 1, schedule, finalRate: 0 };
    // A warm-up that would outlast the run is a tenth of it: none.
    for (const warmupSteps of [0, 1, 30]) expect(course({ ...options, warmupSteps }, 1)).toEqual([1]);
    const second = schedule === 'constant' ? 1 : 0.5;
    for (const warmupSteps of [0, 2, 30])
      expect(course({ ...options, warmupSteps }, 2)).toBeAllclose([1, second], exact);
    expect(course({ ...options, warmupSteps: 1 }, 2)).toBeAllclose([0.5, 1], exact);
  });

  it('stays at the end beyond the last step', () => {
    const schedule = { learningRate: 1, schedule: 'cosine', warmupSteps: 1, finalRate: 0.1 } as const;
    expect([learningRateAt(schedule, 50, 10)]).toBeAllclose([0.1], exact);
  });

  it('shortens a warm-up as long as the run to a tenth, and says so', () => {
    const schedule = { learningRate: 3, schedule: 'constant', warmupSteps: 50, finalRate: 0 } as const;
    expect(course(schedule, 20).slice(0, 4)).toBeAllclose([1, 2, 3, 3], exact);
    const lines = (steps: number) =>
      shortenedWarmups({ optimizer: schedule, valueOptimizer: { ...schedule, warmupSteps: 20 } }, steps);
    expect(lines(20)).toEqual([
      'optimizer.warmupSteps 50: the run has 20 steps and would end before its peak rate; shortened to 2, a tenth of the run. Set it below 20 to choose.',
      'valueOptimizer.warmupSteps 20: the run has 20 steps and would end before its peak rate; shortened to 2, a tenth of the run. Set it below 20 to choose.',
    ]);
    expect(lines(21)).toHaveLength(1);
    expect(lines(51)).toEqual([]);
    expect(lines(1)[0]).toContain('the run has 1 step and');
  });

  it('is above 0 and at most the peak in every step, reaches the peak, rises before it, never rises after, and never jumps', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...kinds),
        fc.integer({ min: 0, max: 60 }),
        fc.integer({ min: 1, max: 50 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (schedule, warmupSteps, steps, finalRate) => {
          const found = course({ learningRate: 1, schedule, warmupSteps, finalRate }, steps);
          const peak = found.indexOf(Math.max(...found));
          expect(found[peak]).toBeCloseTo(1, 12);
          const steepest = Math.max(1 / (peak + 1), Math.PI / 2 / (steps - peak)) + 1e-9;
          found.forEach((rate, step) => {
            expect(rate).toBeGreaterThan(0);
            expect(rate).toBeLessThanOrEqual(1 + 1e-12);
            const before = step === 0 ? 0 : found[step - 1]!;
            if (step > 0) expect(Math.abs(rate - before)).toBeLessThanOrEqual(steepest);
            if (step <= peak) expect(rate).toBeGreaterThan(before);
            else expect(rate).toBeLessThanOrEqual(before + 1e-12);
          });
        },
      ),
      { seed: 1 },
    );
  });
});
