/** What policy and critic learn from a rollout: rewards of its tokens, then advantages and returns. */

import type { Rollout } from './collect.ts';
import { estimateAdvantages, rescaleToUnitVariance, whiten } from './gae.ts';
import { shapeRewards } from './shape-rewards.ts';
import type { UpdateTargets } from './update-on-rollout.ts';

/** Settings of rewards and advantages. */
export interface TargetOptions {
  readonly klWeight: number;
  readonly klEstimator: Parameters<typeof shapeRewards>[2]['klEstimator'];
  readonly missingEosScore: number | null;
  readonly gae: Parameters<typeof estimateAdvantages>[4];
  readonly whitenRewards: boolean;
  readonly whitenAdvantages: boolean;
}

/**
 * Rewards: the score at the end of each response, minus a KL penalty on every token. Advantages by GAE, whitened over
 * the rollout.
 * @see Schulman et al. 2016, arXiv:1506.02438; Ziegler et al. 2019, arXiv:1909.08593, section 2.2
 */
export function learningTargets(
  rollout: Rollout,
  { gae, whitenRewards, whitenAdvantages, ...options }: TargetOptions,
): { shaped: ReturnType<typeof shapeRewards>; targets: UpdateTargets } {
  const {
    mask,
    batch: { grid },
  } = rollout;
  const read = { ...rollout, policyLogProbs: rollout.logProbs, responseMask: mask };
  const shaped = shapeRewards(grid, read, options);
  const rewards = whitenRewards ? rescaleToUnitVariance(shaped.rewards, mask) : shaped.rewards;
  const { advantages, returns } = estimateAdvantages(grid, rewards, rollout.values, mask, gae);
  return { shaped, targets: { advantages: whitenAdvantages ? whiten(advantages, mask) : advantages, returns } };
}
