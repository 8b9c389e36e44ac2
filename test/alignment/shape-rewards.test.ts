import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { klPerResponse } from '../../src/alignment/kl.ts';
import { rewardedScores, shapeRewards } from '../../src/alignment/shape-rewards.ts';
import '../helpers/allclose.ts';

const f = (...values: number[]): Float32Array => Float32Array.from(values);
/** Row 0 ends after two tokens, row 1 runs out of room. */
const grid = { mask: f(1, 1, 0, 1, 1, 1), response: 3 };
const logProbs = f(-1, -2, 0, -1, -1, -3);
const referenceLogProbs = f(-1.5, -1, 0, -1, -2, -3);
const scores = f(4, -1);

describe('rewardedScores', () => {
  const ended = Uint8Array.of(1, 0);

  it('gives −1 in place of the score of a response without EOS', () => {
    expect([...rewardedScores(f(4, 7), ended, -1)]).toEqual([4, -1]);
  });

  it('keeps the score of an unended response where no other is asked for', () => {
    expect([...rewardedScores(f(4, 7), ended, null)]).toEqual([4, 7]);
  });
});

describe('shapeRewards', () => {
  it('puts −β · KL on every token and the score on the last', () => {
    const rewards = shapeRewards(scores, logProbs, referenceLogProbs, grid, 0.1, 'k1');
    expect(rewards).toBeAllclose([-0.05, 0.1 + 4, 0, 0, -0.1, -1]);
    expect(klPerResponse(logProbs, referenceLogProbs, grid)).toBeAllclose([-0.5, 1]);
  });

  it('penalises by the named estimator', () => {
    const rewards = shapeRewards(scores, logProbs, referenceLogProbs, grid, 0.1, 'k2');
    expect(rewards).toBeAllclose([-0.0125, -0.05 + 4, 0, 0, -0.05, -1]);
  });

  it('is the score alone when the policy is the reference', () => {
    fc.assert(
      fc.property(fc.constantFrom('k1', 'k2', 'k3'), fc.double({ min: 0, max: 10, noNaN: true }), (estimator, beta) => {
        const rewards = shapeRewards(scores, logProbs, logProbs, grid, beta, estimator);
        expect([...rewards].map((x) => x + 0)).toEqual([0, 4, 0, 0, 0, -1]);
      }),
      { seed: 1 },
    );
    expect([...klPerResponse(logProbs, logProbs, grid)]).toEqual([0, 0]);
  });

  it('never looks at masked tokens, and gives a row without tokens nothing', () => {
    const spoiled = f(-1, -2, Number.NaN, -1, -1, -3);
    expect(shapeRewards(scores, spoiled, referenceLogProbs, grid, 0.1, 'k1')).toEqual(
      shapeRewards(scores, logProbs, referenceLogProbs, grid, 0.1, 'k1'),
    );
    expect(klPerResponse(spoiled, referenceLogProbs, grid)).toEqual(klPerResponse(logProbs, referenceLogProbs, grid));
    const empty = { mask: f(0, 0, 0, 1, 0, 0), response: 3 };
    const rewards = shapeRewards(scores, logProbs, referenceLogProbs, empty, 0.1, 'k1');
    expect([...rewards.slice(0, 3)].map((x) => x + 0)).toEqual([0, 0, 0]);
  });
});
