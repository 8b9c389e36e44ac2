/** The metrics of PPO: their definitions, and their values for one rollout. */
import { GRAPHS_MADE } from '../graph/mode.ts';
import type { Rollout } from './collect.ts';
import { maskedMoments } from './gae.ts';
import type { InnerLoopResult } from './update-on-rollout.ts';

/** Every metric stage 3 writes; "response" means per response, otherwise means are over response tokens. */
export const ppoMetrics = {
  'reward/score': 'Mean normalised reward-model score of the rollout, missing-EOS score put in.',
  'reward/rlhf': 'Mean over responses of score − β · Σ_t (log π − log π_ref): the objective with the k1 penalty.',
  'reward/gold': 'Mean total of the judge over the rollout. Never trained on, never selected by.',
  'kl/response': 'Mean over responses of Σ_t log π − log π_ref (k1), in nats.',
  'kl/weight': 'β of the rollout.',
  'loss/policy': 'Mean over updates of max(−A·ρ, −A·clip(ρ)).',
  'policy/approx_kl': '½ · mean((log π − log π_old)²) at the last update.',
  'policy/approx_kl_first': 'The same at the first update: 0, or old and new log-probabilities do not fit.',
  'policy/clip_fraction': 'Mean over updates of the fraction of tokens where the clipped loss is the larger.',
  'policy/ratio': 'Mean over updates of mean π / π_old.',
  'policy/entropy':
    'Mean entropy of the next-token distribution at the sampling temperature, at rollout time, in nats.',
  'policy/gradient_norm':
    'Mean over updates of the global norm before clipping, of the sum where pretrainingMix adds to it.',
  'policy/mix_loss': 'Mean over updates of the next-token loss on the rows of pretrainingMix, in nats a token.',
  'policy/mix_gradient_ratio':
    'Mean norm of that loss’s gradient times γ, over the mean norm of the gradient of loss/policy, both before they are added.',
  'policy/inner_epochs': 'Passes over the rollout before target_kl stopped them.',
  'loss/value': 'Mean over updates of ½ · max((V − R)², (clip(V) − R)²).',
  'value/clip_fraction': 'Mean over updates of the fraction of tokens where the clipped value loss is the larger.',
  'value/explained_variance': '1 − Var(R − V) / Var(R) at rollout time.',
  'value/gradient_norm': 'Mean over updates of the global norm before clipping.',
  'response/length': 'Mean tokens of a response, EOS included.',
  'response/eos_fraction': 'Fraction of responses that ended with EOS.',
  'optimizer/learning_rate': 'Learning rate of the policy.',
  'held_out/gold': 'Mean total of the judge on held-out prompts.',
  'held_out/reward': 'Mean normalised reward-model score on held-out prompts, as it is.',
  'held_out/kl': 'Mean KL a response on held-out prompts, in nats.',
  'held_out/objective': 'held_out/reward − β · held_out/kl, with β as configured (kl.weight) throughout.',
  'speed/seconds': 'Seconds of the iteration: rollout, scoring and updates.',
  'speed/graphs': GRAPHS_MADE,
} as const;

/** What a chain draws at its end: reward hacking is seen where the first goes on rising and the second does not. */
export const ppoCurves = {
  'reward/score': 'reward-model score, mean of a rollout',
  'reward/gold': 'gold score (hidden), mean of a rollout',
} as const;

/** Values of one iteration beside its rollout. */
export interface RolloutNumbers {
  /** [sequences], missing-EOS score put in. */
  readonly scores: Float32Array;
  /** [sequences], nats. */
  readonly kl: Float32Array;
  readonly klWeight: number;
  /** [sequences · response] */
  readonly returns: Float32Array;
  /** [sequences], total of the judge; null where the prompt has none. */
  readonly gold: readonly (number | null)[];
}

/** Their sum over their number. */
export function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] as number;
  return sum / values.length;
}

/** 1 − Var(returns − values) / Var(returns) over the mask; 0 says the critic is no better than a constant. */
export function explainedVariance(values: Float32Array, returns: Float32Array, mask: Float32Array): number {
  const rest = returns.map((value, i) => value - (values[i] as number));
  const total = maskedMoments(returns, mask).variance;
  return total === 0 ? 0 : 1 - maskedMoments(rest, mask).variance / total;
}

/** Metrics that the loop adds: rate and speed, and what is measured on held-out prompts. */
type OfTheLoop = `held_out/${string}` | `speed/${string}` | 'optimizer/learning_rate';

/** Metrics that a run may lack. */
type NotAlways = 'reward/gold' | 'policy/mix_loss' | 'policy/mix_gradient_ratio';

/** One row of metrics. */
export function rolloutMetrics(
  rollout: Rollout,
  numbers: RolloutNumbers,
  inner: InnerLoopResult,
): Record<Exclude<keyof typeof ppoMetrics, OfTheLoop | NotAlways>, number> & Record<NotAlways, number | null> {
  const score = mean(numbers.scores);
  const kl = mean(numbers.kl);
  return {
    'reward/score': score,
    'reward/rlhf': score - numbers.klWeight * kl,
    'reward/gold': numbers.gold.includes(null) ? null : mean(numbers.gold as readonly number[]),
    'kl/response': kl,
    'kl/weight': numbers.klWeight,
    'loss/policy': inner.policyLoss,
    'policy/approx_kl': inner.approxKl,
    'policy/approx_kl_first': inner.approxKlByEpoch[0] ?? 0,
    'policy/clip_fraction': inner.clipFraction,
    'policy/ratio': inner.ratio,
    'policy/entropy': maskedMoments(rollout.entropy, rollout.mask).mean,
    'policy/gradient_norm': inner.gradientNorm,
    'policy/mix_loss': inner.mix?.loss ?? null,
    'policy/mix_gradient_ratio': inner.mix?.gradientRatio ?? null,
    'policy/inner_epochs': inner.epochs,
    'loss/value': inner.valueLoss,
    'value/clip_fraction': inner.valueClipFraction,
    'value/explained_variance': explainedVariance(rollout.values, numbers.returns, rollout.mask),
    'value/gradient_norm': inner.valueGradientNorm,
    'response/length': mean(rollout.responses.map((ids) => ids.length)),
    'response/eos_fraction': mean(rollout.ended),
  };
}

/** What a bar shows of an iteration. */
export function shownMetrics(row: ReturnType<typeof rolloutMetrics>): Record<string, string> {
  const gold = row['reward/gold'];
  return {
    score: row['reward/score'].toFixed(2),
    ...(gold !== null && { gold: gold.toFixed(3) }),
    kl: row['kl/response'].toFixed(2),
  };
}
