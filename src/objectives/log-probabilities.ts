/** Log-probabilities and entropy of next tokens. */

import { sparseCrossEntropy } from '../tensor/cross-entropy.ts';
import type { Projection } from '../tensor/projected-cross-entropy.ts';
import { logitsOf, projectedCrossEntropy, rowsPerChunk } from '../tensor/projected-cross-entropy.ts';
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

/**
 * The same from hidden states: whole, or a few rows of logits at a time where [rows, vocab] would be large.
 * @param hidden [rows, d_model]
 * @param ids    [rows], int32
 * @returns [rows]
 */
export function logProbsOf(hidden: Tensor2D, head: Projection, ids: Tensor1D, temperature: number): Tensor1D {
  const chunk = rowsPerChunk(hidden.shape[0], head.vocab);
  if (chunk < hidden.shape[0]) return tf.neg(projectedCrossEntropy(hidden, head, ids, { temperature, chunk }));
  return tokenLogProbs(logitsOf(hidden, head), ids, temperature);
}

/**
 * Log-probabilities of tokens and the entropies they were drawn with, from hidden states, a few rows at a time where they
 * are many. Not differentiated anywhere.
 * @param hidden [rows, d_model]
 * @param ids    [rows], int32
 * @returns [2 · rows]: log-probabilities, then entropies, in nats
 */
export function logProbsAndEntropyOf(hidden: Tensor2D, head: Projection, ids: Tensor1D, temperature: number): Tensor1D {
  const [rows, width] = hidden.shape;
  const chunk = rowsPerChunk(rows, head.vocab);
  const logProbs: Tensor1D[] = [];
  const entropies: Tensor1D[] = [];
  for (let at = 0; at < rows; at += chunk) {
    const size = Math.min(chunk, rows - at);
    const [some, entropy] = tf.tidy(() => {
      const logits = logitsOf(tf.slice(hidden, [at, 0], [size, width]), head);
      return [tokenLogProbs(logits, tf.slice(ids, at, size), temperature), tokenEntropy(logits, temperature)];
    }) as [Tensor1D, Tensor1D];
    logProbs.push(some);
    entropies.push(entropy);
  }
  return tf.concat([...logProbs, ...entropies]) as Tensor1D;
}
