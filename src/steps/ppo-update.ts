/** PPO's two updates on rows of a rollout: the policy by the clipped surrogate, the critic by the clipped value loss. */
import { decode, selectPositions } from '../model/decoder.ts';
import { scores, tokenHead } from '../model/heads.ts';
import type { DecoderInputs } from '../model/inputs.ts';
import { decoderInputs, disposeInputs } from '../model/inputs.ts';
import type { Model } from '../model/model.ts';
import { logProbsOf } from '../objectives/log-probabilities.ts';
import { clippedPolicyLoss, clippedValueLoss } from '../objectives/ppo-clip.ts';
import type { Tensor1D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { Weights } from '../tensor/weights.ts';
import type { AdamW } from '../training/adamw.ts';
import type { LossTerms } from '../training/gradient.ts';
import type { UpdateOptions, UpdateResult } from '../training/update.ts';
import { updateParameters } from '../training/update.ts';
import type { ResponseBatch } from './response-batch.ts';

/** Rows of a rollout; the arrays are [batch · response] like `batch.ids`. */
export interface PpoRows {
  readonly batch: ResponseBatch;
  readonly oldLogProbs: Float32Array;
  readonly oldValues: Float32Array;
  readonly advantages: Float32Array;
  readonly returns: Float32Array;
}

/** One micro-batch on the device; every vector is [batch · response]. */
interface Uploaded {
  readonly inputs: DecoderInputs;
  readonly predictors: Tensor1D;
  readonly ids: Tensor1D;
  readonly responseMask: Tensor1D;
  readonly oldLogProbs: Tensor1D;
  readonly oldValues: Tensor1D;
  readonly advantages: Tensor1D;
  readonly returns: Tensor1D;
}

function upload(model: Model, rows: PpoRows): Uploaded {
  const { batch } = rows;
  return {
    inputs: decoderInputs(model.dimensions, batch.tokens),
    predictors: tf.tensor1d(batch.predictors, 'int32'),
    ids: tf.tensor1d(batch.ids, 'int32'),
    responseMask: tf.tensor1d(batch.mask),
    oldLogProbs: tf.tensor1d(rows.oldLogProbs),
    oldValues: tf.tensor1d(rows.oldValues),
    advantages: tf.tensor1d(rows.advantages),
    returns: tf.tensor1d(rows.returns),
  };
}

function free({ inputs, ...vectors }: Uploaded): void {
  disposeInputs(inputs);
  tf.dispose(vectors);
}

/** Uploads micro-batches, makes one update of the losses that `terms` builds, and frees everything. */
function update<Name extends string>(
  model: Model,
  adam: AdamW,
  microBatches: readonly PpoRows[],
  options: UpdateOptions,
  terms: (weights: Weights, rows: Uploaded, count: number) => LossTerms<Name>,
): UpdateResult<Name> {
  const count = microBatches.reduce((sum, { batch }) => sum + batch.mask.reduce((total, flag) => total + flag, 0), 0);
  const uploaded = microBatches.map((rows) => upload(model, rows));
  try {
    const losses = uploaded.map((rows) => (weights: Weights) => terms(weights, rows, count));
    return updateParameters(model.parameters, adam, losses, options);
  } finally {
    for (const rows of uploaded) free(rows);
  }
}

/**
 * One update of the policy on a minibatch, given as micro-batches.
 * @param temperature of the rollout: log-probabilities are taken at the one the tokens were drawn at
 */
export function policyUpdate(
  policy: Model,
  adam: AdamW,
  microBatches: readonly PpoRows[],
  options: UpdateOptions & { clipRange: number; temperature: number },
): UpdateResult<'approxKl' | 'clipFraction' | 'ratio'> {
  return update(policy, adam, microBatches, options, (weights, rows, count) => {
    const recompute = policy.recompute ?? false;
    const { hidden } = decode(policy.dimensions, weights, rows.inputs, [], { recompute });
    const predicting = selectPositions(hidden, rows.predictors);
    const head = tokenHead(policy.dimensions, weights);
    const logProbs = logProbsOf(predicting, head, rows.ids, options.temperature);
    const { loss, ...stats } = clippedPolicyLoss(logProbs, rows, options.clipRange, count);
    return { loss, stats };
  });
}

/** One update of the critic on a minibatch, given as micro-batches. */
export function valueUpdate(
  critic: Model,
  adam: AdamW,
  microBatches: readonly PpoRows[],
  options: UpdateOptions & { clipRange: number },
): UpdateResult<'clipFraction'> {
  return update(critic, adam, microBatches, options, (weights, rows, count) => {
    const recompute = critic.recompute ?? false;
    const { hidden } = decode(critic.dimensions, weights, rows.inputs, [], { recompute });
    const values = scores(weights, selectPositions(hidden, rows.predictors));
    const { loss, ...stats } = clippedValueLoss(values, rows, options.clipRange, count);
    return { loss, stats };
  });
}
