/** PPO's clipped losses for policy and value, with the statistics that belong to them. */
import type { Scalar, Tensor1D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';

/** The clipped policy loss and its statistics, all masked means. */
export interface PolicyTerms {
  readonly loss: Scalar;
  /** ½ · mean((log π − log π_old)²): k2 of the change since the rollout, as lm-human-preferences logs it. */
  readonly approxKl: Scalar;
  /** Fraction of response tokens where the clipped branch is the larger loss. */
  readonly clipFraction: Scalar;
  /** Mean of π / π_old. */
  readonly ratio: Scalar;
}

/**
 * mean over response tokens of max(−A·ρ, −A·clip(ρ, 1 ± ε)), ρ = π / π_old.
 * @param logProbs     [tokens], differentiable
 * @param oldLogProbs  [tokens], of the policy that sampled
 * @param advantages   [tokens]
 * @param responseMask [tokens], 1 on response tokens including EOS
 * @param count        response tokens of the whole minibatch (several micro-batches share it)
 * @see Schulman et al. 2017, arXiv:1707.06347, eq. 7
 */
export function clippedPolicyLoss(
  logProbs: Tensor1D,
  rollout: { oldLogProbs: Tensor1D; advantages: Tensor1D; responseMask: Tensor1D },
  clipRange: number,
  count: number | Scalar,
): PolicyTerms {
  const mean = (x: Tensor1D): Scalar => tf.div(tf.sum(tf.mul(x, rollout.responseMask)), count) as Scalar;
  // Masked positions hold log-probabilities of padding: zero the difference before exp, or it may overflow.
  const difference = tf.mul(tf.sub(logProbs, rollout.oldLogProbs), rollout.responseMask) as Tensor1D;
  const ratio = tf.exp(difference);
  const plain = tf.neg(tf.mul(rollout.advantages, ratio)) as Tensor1D;
  const clipped = tf.neg(tf.mul(rollout.advantages, tf.clipByValue(ratio, 1 - clipRange, 1 + clipRange))) as Tensor1D;
  return {
    loss: mean(tf.maximum(plain, clipped)),
    approxKl: mean(tf.mul(0.5, tf.square(difference)) as Tensor1D),
    clipFraction: mean(tf.cast(tf.greater(clipped, plain), 'float32') as Tensor1D),
    ratio: mean(ratio as Tensor1D),
  };
}

/** The clipped value loss and its statistics, all masked means. */
export interface ValueTerms {
  readonly loss: Scalar;
  /** Fraction of response tokens where the clipped branch is the larger loss. */
  readonly clipFraction: Scalar;
}

/**
 * ½ · mean over response tokens of max((V − R)², (clip(V, V_old ± ε) − R)²).
 * @param values       [tokens], differentiable
 * @param oldValues    [tokens], at rollout time
 * @param returns      [tokens]
 * @param responseMask [tokens]
 * @param count        response tokens of the whole minibatch
 * @see openai/lm-human-preferences train_policy.py; N details, policy detail 10
 */
export function clippedValueLoss(
  values: Tensor1D,
  rollout: { oldValues: Tensor1D; returns: Tensor1D; responseMask: Tensor1D },
  clipRange: number,
  count: number | Scalar,
): ValueTerms {
  const mean = (x: Tensor1D): Scalar => tf.div(tf.sum(tf.mul(x, rollout.responseMask)), count) as Scalar;
  const low = tf.sub(rollout.oldValues, clipRange);
  const high = tf.add(rollout.oldValues, clipRange);
  const bounded = tf.minimum(tf.maximum(values, low), high);
  const plain = tf.square(tf.sub(values, rollout.returns)) as Tensor1D;
  const clipped = tf.square(tf.sub(bounded, rollout.returns)) as Tensor1D;
  return {
    loss: tf.mul(0.5, mean(tf.maximum(plain, clipped))) as Scalar,
    clipFraction: mean(tf.cast(tf.greater(clipped, plain), 'float32') as Tensor1D),
  };
}
