/** Advantages, moments and whitening: the documented example, limits in λ, and what masks must hide. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { estimateAdvantages, maskedMoments, rescaleToUnitVariance, whiten } from '../../src/alignment/gae.ts';
import '../helpers/allclose.ts';

const f = (...values: number[]): Float32Array => Float32Array.from(values);
const number = fc.float({ min: -3, max: 3, noNaN: true });

/** Rows of rewards and values with a prefix of each row masked in. */
const rollout = fc
  .tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 6 }))
  .chain(([batch, response]) =>
    fc.record({
      grid: fc.constant({ batch, response }),
      rewards: fc.array(number, { minLength: batch * response, maxLength: batch * response }),
      values: fc.array(number, { minLength: batch * response, maxLength: batch * response }),
      lengths: fc.array(fc.integer({ min: 0, max: response }), { minLength: batch, maxLength: batch }),
      gamma: fc.double({ min: 0.5, max: 1, noNaN: true }),
    }),
  )
  .map(({ lengths, rewards, values, ...rest }) => ({
    ...rest,
    lengths,
    rewards: Float32Array.from(rewards),
    values: Float32Array.from(values),
    mask: Float32Array.from(rewards, (_, i) => {
      return i % rest.grid.response < lengths[Math.floor(i / rest.grid.response)]! ? 1 : 0;
    }),
  }));

const run = { seed: 1, numRuns: 60 };
const close = { rtol: 1e-4, atol: 1e-4 };

describe('estimateAdvantages', () => {
  it('gives the documented example', () => {
    const found = estimateAdvantages(f(0, 0, 1), f(0, 0, 0), { mask: f(1, 1, 1), response: 3 }, 1, 0.5);
    expect([...found.advantages]).toEqual([0.25, 0.5, 1]);
    expect([...found.returns]).toEqual([0.25, 0.5, 1]);
  });

  it('follows the recursion worked out on paper, row by row', () => {
    // Row 0: δ = [1 + .5·4 − 2, 3 − 4] = [1, −1]; A = [1 + .25·−1, −1]. Row 1 has one token: A = 5 − 1.
    const grid = { mask: f(1, 1, 1, 0), response: 2 };
    const found = estimateAdvantages(f(1, 3, 5, 9), f(2, 4, 1, 9), grid, 0.5, 0.5);
    expect([...found.advantages]).toEqual([0.75, -1, 4, 0]);
    expect([...found.returns]).toEqual([2.75, 3, 5, 0]);
  });

  it('is the one-step error at λ = 0', () => {
    fc.assert(
      fc.property(rollout, ({ grid, rewards, values, mask, gamma, lengths }) => {
        const { advantages } = estimateAdvantages(rewards, values, { mask, ...grid }, gamma, 0);
        const expected = rewards.map((reward, i) => {
          const [row, t] = [Math.floor(i / grid.response), i % grid.response];
          if (!mask[i]) return 0;
          return reward + (t + 1 < lengths[row]! ? gamma * values[i + 1]! : 0) - values[i]!;
        });
        expect(advantages).toBeAllclose(expected, close);
      }),
      run,
    );
  });

  it('is the discounted sum of rewards minus the value at λ = 1', () => {
    fc.assert(
      fc.property(rollout, ({ grid, rewards, values, mask, gamma, lengths }) => {
        const { advantages, returns } = estimateAdvantages(rewards, values, { mask, ...grid }, gamma, 1);
        const sums = rewards.map((_, i) => {
          const [row, t] = [Math.floor(i / grid.response), i % grid.response];
          let sum = 0;
          for (let s = t; s < lengths[row]!; s++) sum += gamma ** (s - t) * rewards[row * grid.response + s]!;
          return sum;
        });
        expect(returns).toBeAllclose(sums, close);
        expect(advantages).toBeAllclose(
          sums.map((sum, i) => (mask[i] ? sum - values[i]! : 0)),
          close,
        );
      }),
      run,
    );
  });

  it('never looks at what is masked', () => {
    fc.assert(
      fc.property(rollout, ({ grid, rewards, values, mask, gamma }) => {
        const spoil = (x: Float32Array): Float32Array => x.map((value, i) => (mask[i] ? value : Number.NaN));
        const responses = { mask, ...grid };
        expect(estimateAdvantages(spoil(rewards), spoil(values), responses, gamma, 0.9)).toEqual(
          estimateAdvantages(rewards, values, responses, gamma, 0.9),
        );
      }),
      run,
    );
  });
});

describe('maskedMoments', () => {
  it('divides by the number of entries whose mask is 1', () => {
    expect(maskedMoments(f(1, 100, 3, 5), f(1, 0, 1, 1))).toEqual({ mean: 3, variance: 8 / 3, count: 3 });
    expect(maskedMoments(f(1), f(0))).toEqual({ mean: 0, variance: 0, count: 0 });
  });
});

/** At least two different entries in the mask, or the variance is 0. */
const spread = rollout.filter(({ rewards, mask }) => maskedMoments(rewards, mask).variance > 1e-2);

describe('whitening', () => {
  it('centres and scales by hand: [1, 3] becomes [−1, 1]', () => {
    expect(whiten(f(1, 9, 3), f(1, 0, 1))).toBeAllclose([-1, 0, 1]);
    expect(rescaleToUnitVariance(f(1, 9, 3), f(1, 0, 1))).toBeAllclose([1, 0, 3]);
    expect(rescaleToUnitVariance(f(0, 9, 4), f(1, 0, 1))).toBeAllclose([1, 0, 3]);
  });

  it('gives mean 0 and variance 1 over the mask and 0 elsewhere; rescaling keeps the mean', () => {
    fc.assert(
      fc.property(spread, ({ rewards, mask }) => {
        const white = whiten(rewards, mask);
        const moments = maskedMoments(white, mask);
        expect([moments.mean, moments.variance]).toBeAllclose([0, 1], close);
        expect(white.every((value, i) => mask[i] === 1 || value === 0)).toBe(true);
        const scaled = maskedMoments(rescaleToUnitVariance(rewards, mask), mask);
        expect([scaled.mean, scaled.variance]).toBeAllclose([maskedMoments(rewards, mask).mean, 1], close);
      }),
      run,
    );
  });

  it('lets masked entries have no influence', () => {
    fc.assert(
      fc.property(spread, ({ rewards, mask }) => {
        const spoiled = rewards.map((value, i) => (mask[i] ? value : 1e9));
        expect(whiten(spoiled, mask)).toEqual(whiten(rewards, mask));
        expect(rescaleToUnitVariance(spoiled, mask)).toEqual(rescaleToUnitVariance(rewards, mask));
      }),
      run,
    );
  });

  it('makes equal entries 0 and not infinite', () => {
    expect([...whiten(f(2, 2, 2), f(1, 1, 1))]).toEqual([0, 0, 0]);
    expect([...rescaleToUnitVariance(f(2, 2, 2), f(1, 1, 1))]).toEqual([2, 2, 2]);
  });
});
