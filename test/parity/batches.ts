/** Fixture rows as decoder inputs, and the readings that parity tests share. */

import { decode, selectPositions } from '../../src/model/decoder.ts';
import type { ModelDimensions } from '../../src/model/dimensions.ts';
import { scores, tokenLogits } from '../../src/model/heads.ts';
import type { DecoderInputs } from '../../src/model/inputs.ts';
import { decoderInputs } from '../../src/model/inputs.ts';
import { maskedCrossEntropy } from '../../src/objectives/cross-entropy.ts';
import type { Scalar, Tensor, Tensor1D, Tensor2D } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import type { Weights } from '../../src/tensor/weights.ts';
import type { FixtureTensor } from '../helpers/fixtures.ts';

/** The names of the tiny language models under test/fixtures/models. */
export const languageModels = ['gpt2', 'llama-tied', 'llama-untied'] as const;
export type LanguageModel = (typeof languageModels)[number];

/** Uploads padded rows; positions are counted from the mask. The caller disposes them. */
export function paddedInputs(
  dimensions: ModelDimensions,
  ids: FixtureTensor,
  attentionMask: FixtureTensor,
): DecoderInputs {
  const [batch, seq] = ids.shape as [number, number];
  return decoderInputs(dimensions, {
    batch,
    seq,
    ids: Int32Array.from(ids.data),
    segments: Int32Array.from(attentionMask.data),
    positions: positionsFromMask(attentionMask.data, batch, seq),
  });
}

/** Logits at every position, [batch · seq, vocab]. */
export function everyLogit(dimensions: ModelDimensions, weights: Weights, inputs: DecoderInputs): Tensor2D {
  return tokenLogits(dimensions, weights, decode(dimensions, weights, inputs).hidden);
}

/** Where chosen tokens are predicted from: flat indices of the position before each, and the tokens themselves. */
export interface Targets {
  readonly at: Tensor1D;
  readonly labels: Tensor1D;
  readonly mask: Tensor1D;
  readonly count: number;
}

/** The tokens whose mask is 1 as targets. Dispose the tensors. */
export function targetsOf(ids: FixtureTensor, targetMask: FixtureTensor): Targets {
  const chosen = ids.data.map((_, i) => i).filter((i) => targetMask.data[i] === 1);
  return {
    at: tf.tensor1d(
      chosen.map((i) => i - 1),
      'int32',
    ),
    labels: tf.tensor1d(
      chosen.map((i) => ids.data[i]!),
      'int32',
    ),
    mask: tf.ones([chosen.length]),
    count: chosen.length,
  };
}

/** Mean cross-entropy of the targets. */
export function targetLoss(
  dimensions: ModelDimensions,
  weights: Weights,
  inputs: DecoderInputs,
  targets: Targets,
  options: { recompute?: boolean } = {},
): Scalar {
  const { hidden } = decode(dimensions, weights, inputs, options);
  const logits = tokenLogits(dimensions, weights, selectPositions(hidden, targets.at));
  return maskedCrossEntropy(logits, targets.labels, targets.mask, targets.count);
}

/** Flat indices of the last real token of each row. */
export function lastTokens(attentionMask: FixtureTensor): Tensor1D {
  const [batch, seq] = attentionMask.shape as [number, number];
  const last = Array.from({ length: batch }, (_, row) => {
    return row * seq + attentionMask.data.slice(row * seq, (row + 1) * seq).lastIndexOf(1);
  });
  return tf.tensor1d(last, 'int32');
}

/** The scalar head at flat positions, [positions]. */
export function scoresAt(dimensions: ModelDimensions, weights: Weights, inputs: DecoderInputs, at: Tensor1D): Tensor1D {
  return scores(weights, selectPositions(decode(dimensions, weights, inputs).hidden, at));
}

/** Frees every tensor of a record. */
export function disposeTensors(record: object): void {
  tf.dispose(Object.values(record).filter((value) => value instanceof tf.Tensor) as Tensor[]);
}

/** Positions 0, 1, 2, … over the visible tokens of each row: cumulative sum of the mask − 1, and 0 on padding. */
function positionsFromMask(attentionMask: ArrayLike<number>, batch: number, seq: number): Int32Array {
  const positions = new Int32Array(batch * seq);
  for (let row = 0; row < batch; row++) {
    let next = 0;
    for (let t = 0; t < seq; t++) if (attentionMask[row * seq + t]) positions[row * seq + t] = next++;
  }
  return positions;
}
