/** Per-token rewards of a rollout: the score at the last token, minus a KL penalty on every token. Host arithmetic. */
import type { TokenGrid } from '../batch/response-batch.ts';
import type { KlEstimator } from './kl.ts';
import { klEstimate } from './kl.ts';

/** What the rewards are made of; arrays are [sequences · response] unless said otherwise. */
export interface RewardParts {
  readonly policyLogProbs: Float32Array;
  readonly referenceLogProbs: Float32Array;
  /** 1 on response tokens including EOS. */
  readonly responseMask: Float32Array;
  /** [sequences], the normalised reward-model score. */
  readonly scores: Float32Array;
  /** [sequences], 1 where the response ended with EOS. */
  readonly ended: Uint8Array;
}

/** How they are combined. */
export interface RewardShaping {
  readonly klWeight: number;
  readonly klEstimator: KlEstimator;
  /** Replaces (not: is added to) the score of a response without EOS; null keeps the score. */
  readonly missingEosScore: number | null;
}

/**
 * r_t = −β · kl_t, plus the score on the last response token (EOS where there is one).
 * @returns rewards [sequences · response] (0 where masked), scores as used [sequences], and KL a response [sequences] by k1, in nats
 * @see Ziegler et al. 2019, arXiv:1909.08593, eq. 2; missing EOS: arXiv:2403.17031 detail 23
 */
export function shapeRewards(
  grid: TokenGrid,
  parts: RewardParts,
  shaping: RewardShaping,
): { rewards: Float32Array; scores: Float32Array; kl: Float32Array } {
  const rewards = new Float32Array(grid.sequences * grid.response);
  const kl = new Float32Array(grid.sequences);
  const scores = parts.scores.map((score, row) =>
    parts.ended[row] || shaping.missingEosScore === null ? score : shaping.missingEosScore,
  );
  for (let row = 0; row < grid.sequences; row++) {
    let last = -1;
    for (let t = 0; t < grid.response; t++) {
      const at = row * grid.response + t;
      if (!parts.responseMask[at]) continue;
      last = at;
      const policy = parts.policyLogProbs[at] as number;
      const reference = parts.referenceLogProbs[at] as number;
      rewards[at] = -shaping.klWeight * klEstimate(shaping.klEstimator, policy, reference);
      kl[row] = (kl[row] as number) + (policy - reference);
    }
    if (last >= 0) rewards[last] = (rewards[last] as number) + (scores[row] as number);
  }
  return { rewards, scores, kl };
}
