/** Sparse softmax cross-entropy: one fused kernel where TensorFlow is, plain ops elsewhere. */

import { currentLane } from './lane.ts';
import { nativeCrossEntropy, nativeCrossEntropyWithSlope } from './native-cross-entropy.ts';
import { usesNativeOps } from './native-ops.ts';
import { executeRaw, typeAttribute } from './raw-op.ts';
import type { Tensor, Tensor1D, Tensor2D } from './tf.ts';
import { tf } from './tf.ts';

/**
 * −log softmax(logits)[label] for each row, in nats. Differentiable in the logits: softmax − one-hot.
 * @param logits [rows, vocab]
 * @param labels [rows], int32
 * @returns [rows]
 */
export function sparseCrossEntropy(logits: Tensor2D, labels: Tensor1D): Tensor1D {
  if (usesNativeOps()) return nativeCrossEntropy(logits, labels);
  const op = tf.customGrad((...inputs: unknown[]) => {
    const [source, save] = inputs as [Tensor2D, (tensors: Tensor[]) => void];
    const { loss, slope } = sparseCrossEntropyWithSlope(source, labels);
    save([slope]);
    return {
      value: loss,
      gradFunc: (dy: Tensor, saved: Tensor[]) => tf.mul(saved[0] as Tensor2D, tf.expandDims(dy, 1)),
    };
  });
  return op(logits) as Tensor1D;
}

/** Loss [rows] and its gradient [rows, vocab]; not itself differentiable. */
export function sparseCrossEntropyWithSlope(logits: Tensor2D, labels: Tensor1D): { loss: Tensor1D; slope: Tensor2D } {
  if (usesNativeOps()) return nativeCrossEntropyWithSlope(logits, labels);
  return currentLane() === 'tensorflow' ? fused(logits, labels) : portable(logits, labels);
}

function fused(logits: Tensor2D, labels: Tensor1D): { loss: Tensor1D; slope: Tensor2D } {
  const attributes = [typeAttribute('T', 'float32'), typeAttribute('Tlabels', 'int32')];
  const [loss, slope] = executeRaw('SparseSoftmaxCrossEntropyWithLogits', attributes, [logits, labels], 2);
  return { loss: loss as Tensor1D, slope: slope as Tensor2D };
}

function portable(logits: Tensor2D, labels: Tensor1D): { loss: Tensor1D; slope: Tensor2D } {
  // Cast afterwards: the wasm kernel ignores oneHot's dtype argument and leaves int32 bits in the tensor.
  const hot = tf.cast(tf.oneHot(labels, logits.shape[1]), 'float32') as Tensor2D;
  const shifted = tf.sub(logits, tf.max(logits, 1, true));
  const exponentials = tf.exp(shifted);
  const sums = tf.sum(exponentials, 1, true);
  const loss = tf.sub(tf.log(tf.squeeze(sums, [1])), tf.sum(tf.mul(shifted, hot), 1)) as Tensor1D;
  return { loss, slope: tf.sub(tf.div(exponentials, sums), hot) };
}
