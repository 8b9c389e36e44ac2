/** Log-probabilities and entropy of next tokens. */

import { sparseCrossEntropy } from '../tensor/cross-entropy.ts';
import type { Tensor1D, Tensor2D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';

/**
 * log softmax(logits / temperature)[id] for each row, in nats: what the sampler at this temperature, without
 * top-k or top-p, would have given the token.
 * @param logits [rows, vocab]
 * @param ids    [rows], int32
 * @returns [rows]
 * @see the "N details" (arXiv:2403.17031, policy detail 1): the same temperature when sampling and when training
 */
export function tokenLogProbs(logits: Tensor2D, ids: Tensor1D, temperature: number): Tensor1D {
  return tf.neg(sparseCrossEntropy(temperature === 1 ? logits : tf.div(logits, temperature), ids));
}

/**
 * Entropy of softmax(logits / temperature), in nats. Not differentiated anywhere: a statistic.
 * @param logits [rows, vocab]
 * @returns [rows]
 */
export function tokenEntropy(logits: Tensor2D, temperature: number): Tensor1D {
  return tf.tidy(() => {
    const logProbs = tf.logSoftmax(tf.div(logits, temperature));
    return tf.neg(tf.sum(tf.mul(tf.exp(logProbs), logProbs), 1)) as Tensor1D;
  });
}
