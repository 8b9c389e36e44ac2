import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { apportion, mixtureRates, type RateRule } from '../../src/tasks/mixture-rates.ts';

type Proportional = RateRule & { rule: 'proportional' };

const plain: Proportional = { rule: 'proportional', cap: 3000, temperature: 1, maximumRate: null };
const tasksOf = (counts: readonly number[]) => counts.map((count, i) => ({ name: `task${i}`, count }));
const rates = (counts: readonly number[], rule: Partial<Proportional> = {}) =>
  mixtureRates(tasksOf(counts), { ...plain, ...rule });
const written = (counts: readonly number[], weights: Record<string, number>) =>
  mixtureRates(tasksOf(counts), { rule: 'weights', weights, maximumRate: null });
const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
const counts = fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 12 });

function expectClose(received: readonly number[], expected: readonly number[]): void {
  expect(received).toHaveLength(expected.length);
  for (const [i, value] of expected.entries()) expect(received[i]).toBeCloseTo(value, 12);
}

describe('mixtureRates', () => {
  it('are proportional to examples up to the cap', () => {
    // arXiv:1910.10683 section 3.5.2: r_m = min(e_m, K) / sum of min(e_n, K)
    expectClose(rates([10, 100, 1000], { cap: 100 }), [10 / 210, 100 / 210, 100 / 210]);
  });

  it('are flattened by temperature as in seqio: min(count, cap) ** (1 / temperature)', () => {
    // Square roots of 4, 100 and min(1000, 400): 2, 10, 20.
    expectClose(rates([4, 100, 1000], { cap: 400, temperature: 2 }), [2 / 32, 10 / 32, 20 / 32]);
  });

  it('approach equal shares at a high temperature and follow the rows at temperature one', () => {
    const [small = 0, large = 0] = rates([1, 3000], { temperature: 1e6 });
    expect(small).toBeCloseTo(0.5, 4);
    expect(large).toBeCloseTo(0.5, 4);
  });

  it('give what the maximum rate cuts off to the others in proportion, again and again', () => {
    // 0.8 is cut to 0.5; the other 0.5 goes to 15 : 5.
    expectClose(rates([80, 15, 5], { maximumRate: 0.5 }), [0.5, 0.375, 0.125]);
    // 0.8 is cut to 0.4; then 15 : 5 of 0.6 would be 0.45, which is cut too.
    expectClose(rates([80, 15, 5], { maximumRate: 0.4 }), [0.4, 0.4, 0.2]);
  });

  it('are the weights written down, whatever the rows', () => {
    const weights = { task0: 3, task1: 1, task2: 0 };
    expectClose(written([10, 1000, 7], weights), [0.75, 0.25, 0]);
  });

  it('add up to one, none above the maximum rate, larger tasks never below smaller ones', () => {
    const temperatures = fc.constantFrom(1, 2, 5);
    fc.assert(
      fc.property(counts, fc.integer({ min: 1, max: 4000 }), temperatures, fc.double({ min: 0, max: 1 }), (...made) => {
        const [sizes, cap, temperature, above] = made;
        const least = 1 / sizes.length;
        const maximumRate = least + (1 - least) * (Number.isNaN(above) ? 0 : above);
        const found = rates(sizes, { cap, temperature, maximumRate });
        expect(Math.abs(sum(found) - 1)).toBeLessThan(1e-9);
        for (const [i, rate] of found.entries()) {
          expect(rate).toBeLessThan(maximumRate + 1e-9);
          for (const [j, other] of found.entries()) {
            if (sizes[i]! > sizes[j]!) expect(rate).toBeGreaterThan(other - 1e-9);
          }
        }
      }),
      { seed: 1 },
    );
  });

  it('say everything that is wrong at once', () => {
    expect(() => rates([10, 0], { maximumRate: 0.3 })).toThrow(
      'mixture: task1: expected at least one row, received 0. Leave the task out.\n' +
        'mixture: maximumRate: 2 tasks of at most 0.3 do not add up to 1; expected at least 0.500. Raise it.',
    );
  });

  it('name the task without a weight, and refuse weights that are all zero', () => {
    expect(() => written([10, 10], { task0: 1 })).toThrow(
      /^mixture: weights: no weight for task1; received weights for task0\. Add it\.$/,
    );
    expect(() => written([10], { task0: 0 })).toThrow(
      /^mixture: weights: all weights of task0 are 0; expected one above 0\. Raise one\.$/,
    );
  });
});

describe('apportion', () => {
  it('gives what is left over to the largest remainders', () => {
    // Shares 4.7, 3.3 and 2: one is left, and 0.7 is the largest remainder.
    expect(apportion([0.47, 0.33, 0.2], 10)).toEqual([5, 3, 2]);
  });

  it('gives whole numbers within one of each share, adding up', () => {
    fc.assert(
      fc.property(counts, fc.nat(10_000), (sizes, total) => {
        const shares = rates(sizes);
        const whole = apportion(shares, total);
        expect(sum(whole)).toBe(total);
        for (const [i, rate] of shares.entries()) expect(Math.abs(whole[i]! - rate * total)).toBeLessThan(1 + 1e-6);
      }),
      { seed: 2 },
    );
  });
});
