/** What is read off hidden states: next-token logits, or one score. */

import { matmul } from '../tensor/matmul.ts';
import type { Weights } from '../tensor/parameters.ts';
import { weight } from '../tensor/parameters.ts';
import type { Tensor1D, Tensor2D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { ModelDimensions } from './dimensions.ts';

/** hidden [rows, d_model] → logits [rows, vocab] */
export function tokenLogits(dimensions: ModelDimensions, weights: Weights, hidden: Tensor2D): Tensor2D {
  if (dimensions.tiedHead) {
    return matmul(hidden, weight<Tensor2D>(weights, 'embedding.tokens'), { transposeB: true });
  }
  return matmul(hidden, weight<Tensor2D>(weights, 'head.weight'));
}

/** hidden [rows, d_model] → scores [rows]. A reward where the model is a reward model, a value where it is a critic. */
export function scores(weights: Weights, hidden: Tensor2D): Tensor1D {
  return tf.squeeze(matmul(hidden, weight<Tensor2D>(weights, 'score.weight')), [1]);
}
