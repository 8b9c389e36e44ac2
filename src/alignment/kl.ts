/** Estimators of KL(policy ‖ reference) from sampled tokens, and the controllers of its weight. Host arithmetic. */

import type { ResponseGrid } from './gae.ts';

/** k1 = Δ, k2 = Δ²/2, k3 = e^−Δ − 1 + Δ, with Δ = log π − log π_ref of a token sampled from π. */
export type KlEstimator = 'k1' | 'k2' | 'k3';

/**
 * One token's estimate, in nats. k1 and k3 are unbiased; k2 is not; k3 is never negative.
 * @see Schulman 2020, http://joschu.net/blog/kl-approx.html
 */
export function klEstimate(estimator: KlEstimator, policyLogProb: number, referenceLogProb: number): number {
  const difference = policyLogProb - referenceLogProb;
  if (estimator === 'k1') return difference;
  if (estimator === 'k2') return 0.5 * difference * difference;
  return Math.expm1(-difference) + difference;
}

/**
 * KL of each response [sequences] by k1: the sum of log π − log π_ref over its tokens, in nats.
 * @param logProbs, referenceLogProbs [sequences · response]
 */
export function klPerResponse(
  logProbs: Float32Array,
  referenceLogProbs: Float32Array,
  { mask, response }: ResponseGrid,
): Float32Array {
  const kl = new Float32Array(mask.length / response);
  for (const [at, flag] of mask.entries()) {
    const row = Math.floor(at / response);
    if (flag) kl[row] = (kl[row] as number) + ((logProbs[at] as number) - (referenceLogProbs[at] as number));
  }
  return kl;
}

/** How the weight β of the KL penalty moves: not at all, or towards a KL. */
export type KlControl =
  | { readonly control: 'fixed' }
  | {
      readonly control: 'adaptive';
      /** KL a response to steer to, in nats. */
      readonly target: number;
      /**
       * Responses over which the weight may change by a factor of e^±0.2. At least those of a rollout: below a fifth of
       * them the weight would change its sign.
       */
      readonly horizon: number;
    };

/**
 * The weight for the next rollout: β · (1 + clip(KL/target − 1, ±0.2) · responses / horizon), or β where fixed.
 * @param kl mean KL a response of the last rollout, in nats
 * @see Ziegler et al. 2019, arXiv:1909.08593, section 2.2; openai/lm-human-preferences train_policy.py AdaptiveKLController
 */
export function nextKlWeight(weight: number, settings: KlControl, kl: number, responses: number): number {
  if (settings.control === 'fixed') return weight;
  const error = Math.min(0.2, Math.max(-0.2, kl / settings.target - 1));
  return weight * (1 + (error * responses) / settings.horizon);
}
