/** Per-token rewards of a rollout: the score at the last token, minus a KL penalty on every token. Host arithmetic. */
import type { ResponseGrid } from './gae.ts';
import type { KlEstimator } from './kl.ts';
import { klEstimate } from './kl.ts';

/**
 * Scores as they are rewarded [sequences]: `missingEosScore` replaces (not: is added to) that of a response without EOS.
 * @param ended [sequences], 1 where the response ended with EOS
 * @param missingEosScore null keeps the score
 * @see arXiv:2403.17031 detail 23
 */
export function rewardedScores(scores: Float32Array, ended: Uint8Array, missingEosScore: number | null): Float32Array {
  return scores.map((score, row) => (ended[row] || missingEosScore === null ? score : missingEosScore));
}

/**
 * r_t = −β · kl_t, plus the score on the last response token (EOS where there is one); 0 where masked.
 * @param scores [sequences], normalised reward-model scores
 * @param logProbs, referenceLogProbs [sequences · response]
 * @returns [sequences · response]
 * @see Ziegler et al. 2019, arXiv:1909.08593, eq. 2
 */
export function shapeRewards(
  scores: Float32Array,
  logProbs: Float32Array,
  referenceLogProbs: Float32Array,
  { mask, response }: ResponseGrid,
  beta: number,
  estimator: KlEstimator,
): Float32Array {
  const rewards = new Float32Array(mask.length);
  for (const [row, score] of scores.entries()) {
    let last = -1;
    for (let at = row * response; at < (row + 1) * response; at++) {
      if (!mask[at]) continue;
      last = at;
      rewards[at] = -beta * klEstimate(estimator, logProbs[at] as number, referenceLogProbs[at] as number);
    }
    if (last >= 0) rewards[last] = (rewards[last] as number) + score;
  }
  return rewards;
}
