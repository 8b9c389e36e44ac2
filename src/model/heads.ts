/** What is read off hidden states: next-token logits, or one score. */

import { product } from '../tensor/products.ts';
import type { Projection } from '../tensor/projected-cross-entropy.ts';
import { logitsOf } from '../tensor/projected-cross-entropy.ts';
import type { Tensor1D, Tensor2D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { Weights } from '../tensor/weights.ts';
import { entry } from '../tensor/weights.ts';
import type { ModelDimensions } from './dimensions.ts';

/** The matrix of the token head, and what bounds its logits. */
export function tokenHead({ tiedHead, vocab, logitSoftCap }: ModelDimensions, weights: Weights): Projection {
  const matrix = entry(weights, tiedHead ? 'embedding.tokens' : 'head.weight');
  return { matrix, transposeB: tiedHead, vocab, softCap: logitSoftCap };
}

/** hidden [rows, d_model] → logits [rows, vocab] */
export function tokenLogits(dimensions: ModelDimensions, weights: Weights, hidden: Tensor2D): Tensor2D {
  return logitsOf(hidden, tokenHead(dimensions, weights));
}

/** hidden [rows, d_model] → scores [rows]. A reward where the model is a reward model, a value where it is a critic. */
export function scores(weights: Weights, hidden: Tensor2D): Tensor1D {
  return tf.squeeze(product(hidden, entry(weights, 'score.weight')), [1]);
}
