import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { shapeRewards } from '../../src/alignment/shape-rewards.ts';
import '../helpers/allclose.ts';

const f = (...values: number[]): Float32Array => Float32Array.from(values);
const grid = { sequences: 2, response: 3 };
/** Row 0 ends after two tokens, row 1 runs out of room. */
const parts = {
  policyLogProbs: f(-1, -2, 0, -1, -1, -3),
  referenceLogProbs: f(-1.5, -1, 0, -1, -2, -3),
  responseMask: f(1, 1, 0, 1, 1, 1),
  scores: f(4, 7),
  ended: Uint8Array.of(1, 0),
};
const shaping = { klWeight: 0.1, klEstimator: 'k1', missingEosScore: -1 } as const;

describe('shapeRewards', () => {
  it('puts −β · KL on every token and the score on the last, −1 in its place without EOS', () => {
    const found = shapeRewards(grid, parts, shaping);
    expect(found.rewards).toBeAllclose([-0.05, 0.1 + 4, 0, 0, -0.1, -1]);
    expect([...found.scores]).toEqual([4, -1]);
    expect(found.kl).toBeAllclose([-0.5, 1]);
  });

  it('keeps the score of an unended response where no other is asked for', () => {
    const found = shapeRewards(grid, parts, { ...shaping, missingEosScore: null });
    expect([...found.scores]).toEqual([4, 7]);
    expect([found.rewards[5]!]).toBeAllclose([7]);
  });

  it('penalises by the named estimator, and still reports KL by k1', () => {
    const found = shapeRewards(grid, parts, { ...shaping, klEstimator: 'k2' });
    expect(found.rewards).toBeAllclose([-0.0125, -0.05 + 4, 0, 0, -0.05, -1]);
    expect(found.kl).toBeAllclose([-0.5, 1]);
  });

  it('is the score alone when the policy is the reference', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('k1', 'k2', 'k3'),
        fc.double({ min: 0, max: 10, noNaN: true }),
        (estimator, klWeight) => {
          const equal = { ...parts, referenceLogProbs: parts.policyLogProbs };
          const found = shapeRewards(grid, equal, { klWeight, klEstimator: estimator, missingEosScore: -1 });
          expect([...found.rewards].map((x) => x + 0)).toEqual([0, 4, 0, 0, 0, -1]);
          expect([...found.kl]).toEqual([0, 0]);
        },
      ),
      { seed: 1 },
    );
  });

  it('never looks at masked tokens, and gives a row without tokens nothing', () => {
    const spoiled = { ...parts, policyLogProbs: f(-1, -2, Number.NaN, -1, -1, -3) };
    expect(shapeRewards(grid, spoiled, shaping)).toEqual(shapeRewards(grid, parts, shaping));
    const empty = shapeRewards(grid, { ...parts, responseMask: f(0, 0, 0, 1, 0, 0) }, shaping);
    expect([...empty.rewards.slice(0, 3)].map((x) => x + 0)).toEqual([0, 0, 0]);
  });
});
