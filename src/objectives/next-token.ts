/** Next-token training and evaluation on packed rows: the step of pre-training and of instruction tuning. */

import { alignNextToken } from '../batch/packing.ts';
import type { TokenBatch } from '../batch/token-batch.ts';
import { InvariantError } from '../errors.ts';
import type { AdamW } from '../execution/adamw.ts';
import type { UpdateOptions, UpdateResult } from '../execution/eager-update.ts';
import type { LossStep } from '../execution/gradient.ts';
import { readStep } from '../execution/read-step.ts';
import { updateStep } from '../execution/update-step.ts';
import { decode, selectPositions } from '../model/decoder.ts';
import type { ModelDimensions } from '../model/dimensions.ts';
import { tokenHead } from '../model/heads.ts';
import { inputArrays, inputsFrom } from '../model/inputs.ts';
import type { Model } from '../model/model.ts';
import type { HostArrays, Tensors } from '../tensor/host-arrays.ts';
import { number, pick, vector } from '../tensor/host-arrays.ts';
import type { Scalar } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { Weights } from '../tensor/weights.ts';
import { maskedSum } from './cross-entropy.ts';
import { logProbsOf } from './log-probabilities.ts';

/** Rows as a step reads them. */
export interface NextTokenBatch {
  /** Decoder inputs, and [count] each: `learned` (positions in batch · seq whose next token is learned, padded with 0), `labels`, `mask` (0 on that padding). */
  readonly arrays: HostArrays;
  /** Number of learned tokens. */
  readonly tokens: number;
}

/** Learned positions are padded to a multiple of this, so that few distinct shapes occur. */
const POSITION_BUCKET = 128;

/** Micro-batches of packed rows laid out; made of host arrays alone, so it may be done while a step runs. */
export function nextTokenBatches(
  { dimensions }: Model,
  microBatches: readonly TokenBatch[],
  padId: number,
): NextTokenBatch[] {
  return microBatches.map((rows) => nextTokenBatch(dimensions, rows, padId));
}

/** Lays packed rows out, with the positions that are learned. */
function nextTokenBatch(dimensions: ModelDimensions, rows: TokenBatch, padId: number): NextTokenBatch {
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
  const arrays = {
    ...inputArrays(dimensions, rows),
    learned: vector(positions),
    labels: vector(labels),
    mask: vector(mask),
  };
  return { arrays, tokens: learned.length };
}

/** Sum of the losses over `count`, a scalar. */
function lossOf(model: Model, weights: Weights, arrays: Tensors, count: Scalar | number): Scalar {
  const { dimensions, recompute = false } = model;
  const { hidden } = decode(dimensions, weights, inputsFrom(dimensions, arrays), [], { recompute });
  const learned = selectPositions(hidden, pick(arrays, 'learned'));
  const logProbs = logProbsOf(learned, tokenHead(dimensions, weights), pick(arrays, 'labels'), 1);
  return tf.neg(maskedSum(logProbs, pick(arrays, 'mask'), count));
}

/**
 * One update on micro-batches. The loss is a mean over the learned tokens of all of them, so splitting a batch does not
 * change the gradient.
 * @throws InvariantError where no token is learned, or as `updateStep`
 */
export async function nextTokenUpdate(
  model: Model,
  adam: AdamW,
  microBatches: readonly NextTokenBatch[],
  options: UpdateOptions,
): Promise<UpdateResult<never> & { tokens: number }> {
  const tokens = microBatches.reduce((sum, batch) => sum + batch.tokens, 0);
  if (tokens === 0) {
    throw new InvariantError(
      `${options.where}: no token of this batch is learned; expected at least one. Look at the loss_mask of the data.`,
    );
  }
  const step: LossStep<never> = {
    key: 'next token',
    terms: (weights, arrays) => ({ loss: lossOf(model, weights, arrays, pick<Scalar>(arrays, 'count')), stats: {} }),
  };
  const arrays = microBatches.map((batch) => ({ ...batch.arrays, count: number(tokens) }));
  return { ...(await updateStep(model.parameters, adam, step, arrays, options)), tokens };
}

/** Mean loss over the learned tokens of packed rows, in nats a token; no update. */
export function nextTokenLoss(model: Model, batches: readonly TokenBatch[], padId: number): number {
  let sum = 0;
  let tokens = 0;
  for (const rows of batches) {
    const batch = nextTokenBatch(model.dimensions, rows, padId);
    const found = readStep(model, 'next token loss', batch.arrays, (weights, arrays) => {
      return tf.reshape(lossOf(model, weights, arrays, 1), [1]);
    });
    sum += found[0] as number;
    tokens += batch.tokens;
  }
  return sum / tokens;
}
