/** Next-token training and evaluation on packed rows: the step of pre-training and of instruction tuning. */

import type { PackedRows } from '../data/packing.ts';
import { alignNextToken } from '../data/packing.ts';
import { InvariantError } from '../errors.ts';
import { decode, selectPositions } from '../model/decoder.ts';
import { tokenHead } from '../model/heads.ts';
import type { DecoderInputs } from '../model/inputs.ts';
import { decoderInputs, disposeInputs } from '../model/inputs.ts';
import type { Model } from '../model/model.ts';
import { modelWeights } from '../model/model.ts';
import { maskedSum } from '../objectives/cross-entropy.ts';
import { logProbsOf } from '../objectives/log-probabilities.ts';
import type { Scalar, Tensor1D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { Weights } from '../tensor/weights.ts';
import type { AdamW } from '../training/adamw.ts';
import type { UpdateOptions, UpdateResult } from '../training/update.ts';
import { updateParameters } from '../training/update.ts';

/** A batch on the device. */
export interface NextTokenBatch {
  readonly inputs: DecoderInputs;
  /** [count], positions in batch · seq whose next token is learned, padded with 0. */
  readonly positions: Tensor1D;
  /** [count] */
  readonly labels: Tensor1D;
  /** [count], 0 on the padding of `positions`. */
  readonly mask: Tensor1D;
  /** Number of learned tokens. */
  readonly tokens: number;
}

/** Learned positions are padded to a multiple of this, so that few distinct shapes occur. */
const POSITION_BUCKET = 128;

/** Uploads packed rows with the positions that are learned; freed by `disposeBatch`. */
export function uploadRows(model: Model, rows: PackedRows, padId: number): NextTokenBatch {
  const { targets, targetMask } = alignNextToken(rows, padId);
  const learned: number[] = [];
  targetMask.forEach((flag, at) => {
    if (flag === 1) learned.push(at);
  });
  const count = Math.max(POSITION_BUCKET, Math.ceil(learned.length / POSITION_BUCKET) * POSITION_BUCKET);
  const positions = new Int32Array(count);
  const labels = new Int32Array(count);
  const mask = new Float32Array(count);
  learned.forEach((at, i) => {
    positions[i] = at;
    labels[i] = targets[at] as number;
    mask[i] = 1;
  });
  const tokens = {
    batch: rows.rows,
    seq: rows.length,
    ids: rows.inputIds,
    segments: rows.segmentIds,
    positions: rows.positions,
  };
  return {
    inputs: decoderInputs(model.dimensions, tokens),
    positions: tf.tensor1d(positions, 'int32'),
    labels: tf.tensor1d(labels, 'int32'),
    mask: tf.tensor1d(mask),
    tokens: learned.length,
  };
}

function lossOf(model: Model, weights: Weights, batch: NextTokenBatch, count: number): Scalar {
  const { hidden } = decode(model.dimensions, weights, batch.inputs, [], { recompute: model.recompute ?? false });
  const learned = selectPositions(hidden, batch.positions);
  const logProbs = logProbsOf(learned, tokenHead(model.dimensions, weights), batch.labels, 1);
  return tf.neg(maskedSum(logProbs, batch.mask, count));
}

/**
 * One update on packed rows given as micro-batches. The loss is a mean over the learned tokens of all of them, so
 * splitting a batch does not change the gradient.
 */
export function nextTokenUpdate(
  model: Model,
  adam: AdamW,
  microBatches: readonly PackedRows[],
  padId: number,
  options: UpdateOptions,
): UpdateResult<never> & { tokens: number } {
  const batches = microBatches.map((rows) => uploadRows(model, rows, padId));
  const tokens = batches.reduce((sum, batch) => sum + batch.tokens, 0);
  if (tokens === 0) {
    for (const batch of batches) disposeBatch(batch);
    throw new InvariantError(
      `${options.where}: no token of this batch is learned; expected at least one. Look at the loss_mask of the data.`,
    );
  }
  const losses = batches.map((batch) => (weights: Weights) => ({
    loss: lossOf(model, weights, batch, tokens),
    stats: {},
  }));
  try {
    return { ...updateParameters<never>(model.parameters, adam, losses, options), tokens };
  } finally {
    for (const batch of batches) disposeBatch(batch);
  }
}

/** Mean loss over the learned tokens of packed rows, in nats a token; no update. */
export function nextTokenLoss(model: Model, batches: readonly PackedRows[], padId: number): number {
  let sum = 0;
  let tokens = 0;
  for (const rows of batches) {
    const batch = uploadRows(model, rows, padId);
    sum += tf.tidy(() => lossOf(model, modelWeights(model), batch, 1).dataSync()[0] as number);
    tokens += batch.tokens;
    disposeBatch(batch);
  }
  return sum / tokens;
}

/** Frees the tensors of a batch. */
export function disposeBatch(batch: NextTokenBatch): void {
  const { inputs, positions, labels, mask } = batch;
  tf.dispose([positions, labels, mask]);
  disposeInputs(inputs);
}
