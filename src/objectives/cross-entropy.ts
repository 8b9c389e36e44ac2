/** Masked sums, and cross-entropy on target tokens. */

import { sparseCrossEntropy } from '../tensor/cross-entropy.ts';
import type { Scalar, Tensor1D, Tensor2D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';

/**
 * Sum of numbers over the mask, divided by a given count: a micro-batch's part of their mean.
 * @param x    [rows]
 * @param mask [rows], 1 on what counts
 * @returns scalar
 */
export function maskedSum(x: Tensor1D, mask: Tensor1D, count: number | Scalar): Scalar {
  return tf.div(tf.sum(tf.mul(x, mask)), count) as Scalar;
}

/**
 * Sum over target tokens of −log p(label), divided by a given count. Passing the number of target tokens of the *whole*
 * accumulated batch makes the gradient of several micro-batches equal that of one large batch (token-normalised).
 * @param logits     [rows, vocab]
 * @param labels     [rows], int32
 * @param targetMask [rows], 1 on target tokens
 * @param count      target tokens of all micro-batches of this update
 * @returns scalar, nats a token
 */
export function maskedCrossEntropy(
  logits: Tensor2D,
  labels: Tensor1D,
  targetMask: Tensor1D,
  count: number | Scalar,
): Scalar {
  return maskedSum(sparseCrossEntropy(logits, labels), targetMask, count);
}
