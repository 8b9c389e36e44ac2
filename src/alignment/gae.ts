/** Generalized advantage estimation and whitening, on host arrays [sequences · response]. */

/** Where the tokens of responses stand in per-token numbers, which are row-major [sequences, response]. */
export interface ResponseGrid {
  /** [sequences · response], 1 on response tokens including EOS. */
  readonly mask: Float32Array;
  /** Columns. */
  readonly response: number;
}

/**
 * Advantages computed backwards in time.
 *
 *   δ_t = r_t + γ V_{t+1} − V_t,   A_t = δ_t + γ λ A_{t+1},   returns_t = A_t + V_t
 *
 * The value past the last response token is 0. Masked positions get 0. Not whitened: see `whiten`.
 *
 * rewards [0, 0, 1], values 0, γ = 1, λ = 0.5  →  advantages [0.25, 0.5, 1]
 *
 * @param rewards, values [sequences · response]
 * @param gamma  γ, the discount
 * @param lambda λ, between the one-step error (0) and the whole return (1)
 * @see Schulman et al. 2016, arXiv:1506.02438, eq. 16
 */
export function estimateAdvantages(
  rewards: Float32Array,
  values: Float32Array,
  { mask, response }: ResponseGrid,
  gamma: number,
  lambda: number,
): { advantages: Float32Array; returns: Float32Array } {
  const advantages = new Float32Array(rewards.length);
  const returns = new Float32Array(rewards.length);
  for (let start = 0; start < mask.length; start += response) {
    let nextAdvantage = 0;
    let nextValue = 0;
    for (let at = start + response - 1; at >= start; at--) {
      if (!mask[at]) continue;
      const value = values[at] as number;
      const delta = (rewards[at] as number) + gamma * nextValue - value;
      nextAdvantage = delta + gamma * lambda * nextAdvantage;
      nextValue = value;
      advantages[at] = nextAdvantage;
      returns[at] = nextAdvantage + value;
    }
  }
  return { advantages, returns };
}

/** Mean and biased variance (divided by n, as tf.moments) over the entries whose mask is 1. */
export function maskedMoments(x: Float32Array, mask: Float32Array): { mean: number; variance: number; count: number } {
  let count = 0;
  let sum = 0;
  for (let i = 0; i < x.length; i++) {
    if (!mask[i]) continue;
    count++;
    sum += x[i] as number;
  }
  const mean = count === 0 ? 0 : sum / count;
  let squares = 0;
  for (let i = 0; i < x.length; i++) if (mask[i]) squares += ((x[i] as number) - mean) ** 2;
  return { mean, variance: count === 0 ? 0 : squares / count, count };
}

/** Added to the variance before its root. openai/lm-human-preferences utils/core.py */
const WHITEN_EPSILON = 1e-8;

/**
 * Centred at 0 and scaled to variance 1 over the mask; masked entries become 0.
 * @see openai/lm-human-preferences utils/core.py `whiten(shift_mean=True)`; biased variance: N details, policy detail 9
 */
export function whiten(x: Float32Array, mask: Float32Array): Float32Array {
  const { mean, variance } = maskedMoments(x, mask);
  const scale = 1 / Math.sqrt(variance + WHITEN_EPSILON);
  return x.map((value, i) => (mask[i] ? (value - mean) * scale : 0));
}

/**
 * Scaled to variance 1 over the mask with the mean left where it was; masked entries become 0. For rewards, whose
 * level carries meaning.
 * @see openai/lm-human-preferences utils/core.py `whiten(shift_mean=False)`
 */
export function rescaleToUnitVariance(x: Float32Array, mask: Float32Array): Float32Array {
  const { mean, variance } = maskedMoments(x, mask);
  const scale = 1 / Math.sqrt(variance + WHITEN_EPSILON);
  return x.map((value, i) => (mask[i] ? (value - mean) * scale + mean : 0));
}
