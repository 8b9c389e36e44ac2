/** PPO's two objectives on rows of a rollout: the clipped surrogate of the policy, the clipped value loss of the critic. */
import type { ResponseBatch } from '../batch/response-batch.ts';
import { takeCells } from '../batch/response-batch.ts';
import type { MicroBatch, Objective } from '../execution/objective.ts';
import { scores, tokenHead } from '../model/heads.ts';
import { inputArrays } from '../model/inputs.ts';
import type { Model } from '../model/model.ts';
import { statesAt } from '../model/states.ts';
import type { Tensors } from '../tensor/host-arrays.ts';
import { pick, vector } from '../tensor/host-arrays.ts';
import type { Scalar, Tensor1D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import { maskedSum } from './cross-entropy.ts';
import { logProbsOf } from './log-probabilities.ts';

/** Some responses of a rollout, and the grids of the whole rollout that their cells are in. */
export interface PpoRows {
  readonly batch: ResponseBatch;
  readonly oldLogProbs: Float32Array;
  readonly oldValues: Float32Array;
  readonly advantages: Float32Array;
  readonly returns: Float32Array;
}

/** The clipped surrogate; log-probabilities are taken at the temperature the tokens were drawn at. */
export function ppoPolicy(options: {
  readonly clipRange: number;
  readonly temperature: number;
}): Objective<PpoRows, 'approxKl' | 'clipFraction' | 'ratio'> {
  const { clipRange, temperature } = options;
  return {
    key: `policy, clip ${clipRange}, temperature ${temperature}`,
    unit: UNIT,
    layOut: layOutRollout,
    terms: (model, weights, arrays) => {
      const head = tokenHead(model.dimensions, weights);
      const states = statesAt(model, weights, arrays, 'predictors');
      const logProbs = logProbsOf(states, head, pick(arrays, 'tokens'), temperature);
      const count = pick<Scalar>(arrays, 'count');
      const { loss, ...stats } = clippedPolicyLoss(logProbs, rolloutTensors(arrays), clipRange, count);
      return { loss, stats };
    },
  };
}

/** The clipped value loss. */
export function ppoValue(options: { readonly clipRange: number }): Objective<PpoRows, 'clipFraction'> {
  const { clipRange } = options;
  return {
    key: `value, clip ${clipRange}`,
    unit: UNIT,
    layOut: layOutRollout,
    terms: (model, weights, arrays) => {
      const values = scores(weights, statesAt(model, weights, arrays, 'predictors'));
      const count = pick<Scalar>(arrays, 'count');
      const { loss, ...stats } = clippedValueLoss(values, rolloutTensors(arrays), clipRange, count);
      return { loss, stats };
    },
  };
}

const UNIT = 'response tokens';

/** Decoder inputs, and vectors [count] of response tokens. */
function layOutRollout({ dimensions }: Model, rows: PpoRows): MicroBatch {
  const { batch } = rows;
  const take = (values: Float32Array) => vector(takeCells(values, batch));
  const arrays = {
    ...inputArrays(dimensions, batch.tokens),
    predictors: vector(batch.predictors),
    tokens: vector(batch.targets),
    responseMask: vector(batch.responseMask),
    oldLogProbs: take(rows.oldLogProbs),
    oldValues: take(rows.oldValues),
    advantages: take(rows.advantages),
    returns: take(rows.returns),
  };
  return { arrays, count: batch.responseMask.reduce((total, flag) => total + flag, 0) };
}

/** What the losses read beside log-probabilities or values. */
function rolloutTensors(arrays: Tensors) {
  return {
    responseMask: pick<Tensor1D>(arrays, 'responseMask'),
    oldLogProbs: pick<Tensor1D>(arrays, 'oldLogProbs'),
    oldValues: pick<Tensor1D>(arrays, 'oldValues'),
    advantages: pick<Tensor1D>(arrays, 'advantages'),
    returns: pick<Tensor1D>(arrays, 'returns'),
  };
}

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
  const mean = (x: Tensor1D): Scalar => maskedSum(x, rollout.responseMask, count);
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
  const mean = (x: Tensor1D): Scalar => maskedSum(x, rollout.responseMask, count);
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
