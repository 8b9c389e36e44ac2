/** Next-token training and evaluation on packed rows: the objective of pre-training and of instruction tuning. */

import type { TokenBatch } from '../batch/token-batch.ts';
import { learnedTokens } from '../batch/token-batch.ts';
import type { MicroBatch, Objective } from '../execution/objective.ts';
import { POSITION_BUCKET } from '../execution/position-bucket.ts';
import { read } from '../execution/read.ts';
import { tokenHead } from '../model/heads.ts';
import { inputArrays } from '../model/inputs.ts';
import type { Model } from '../model/model.ts';
import { statesAt } from '../model/states.ts';
import type { Tensors } from '../tensor/host-arrays.ts';
import { pick, vector } from '../tensor/host-arrays.ts';
import type { Scalar } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { Weights } from '../tensor/weights.ts';
import { maskedSum } from './cross-entropy.ts';
import { logProbsOf } from './log-probabilities.ts';

/**
 * Packed rows as a pass reads them. Beside decoder inputs, [count] each: `learned` (positions in batch · seq whose next
 * token is learned, padded with 0), `labels`, `mask` (0 on that padding).
 */
export function layOutRows({ dimensions }: Model, rows: TokenBatch): MicroBatch {
  const { predictors, targets } = learnedTokens(rows);
  const count = Math.max(POSITION_BUCKET, Math.ceil(targets.length / POSITION_BUCKET) * POSITION_BUCKET);
  const learned = new Int32Array(count);
  learned.set(predictors);
  const labels = new Int32Array(count);
  labels.set(targets);
  const arrays = {
    ...inputArrays(dimensions, rows),
    learned: vector(learned),
    labels: vector(labels),
    mask: vector(new Float32Array(count).fill(1, 0, targets.length)),
  };
  return { arrays, count: targets.length };
}

/** Mean of −log p(token | earlier ones) over learned tokens, in nats. */
export const nextToken: Objective<TokenBatch> = {
  key: 'next token',
  unit: 'learned tokens (loss_mask 1)',
  layOut: layOutRows,
  terms: (model, weights, arrays) => ({
    loss: lossOf(model, weights, arrays, pick<Scalar>(arrays, 'count')),
    stats: {},
  }),
};

/** Sum of the losses over `count`, a scalar. */
function lossOf(model: Model, weights: Weights, arrays: Tensors, count: Scalar | number): Scalar {
  const learned = statesAt(model, weights, arrays, 'learned');
  const logProbs = logProbsOf(learned, tokenHead(model.dimensions, weights), pick(arrays, 'labels'), 1);
  return tf.neg(maskedSum(logProbs, pick(arrays, 'mask'), count));
}

/** Mean loss over the learned tokens of packed rows, in nats a token; no update. */
export function nextTokenLoss(model: Model, batches: readonly TokenBatch[]): number {
  let sum = 0;
  let tokens = 0;
  for (const rows of batches) {
    const { arrays, count } = layOutRows(model, rows);
    const found = read(model, 'next token loss', arrays, (weights, tensors) => {
      return tf.reshape(lossOf(model, weights, tensors, 1), [1]);
    });
    sum += found[0] as number;
    tokens += count;
  }
  return sum / tokens;
}
