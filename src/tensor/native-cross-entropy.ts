/** Cross-entropy as native ops. */
import type { Save } from './native-ops.ts';
import { executeNative } from './native-ops.ts';
import type { Tensor, Tensor1D, Tensor2D } from './tf.ts';
import { tf } from './tf.ts';

/** `sparseCrossEntropy`, see cross-entropy.ts: keeps the logits, not their slopes. */
export function nativeCrossEntropy(logits: Tensor2D, labels: Tensor1D): Tensor1D {
  const op = tf.customGrad((...inputs: unknown[]) => {
    const [source, save] = inputs as [Tensor2D, Save];
    const [losses, stats] = forward(source, labels);
    save([source, labels, stats]);
    return {
      value: losses,
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [scores, targets, kept] = saved as [Tensor2D, Tensor1D, Tensor2D];
        return backward(scores, targets, kept, dy as Tensor1D);
      },
    };
  });
  return op(logits) as Tensor1D;
}

/** `sparseCrossEntropyWithSlope`, see cross-entropy.ts. */
export function nativeCrossEntropyWithSlope(logits: Tensor2D, labels: Tensor1D): { loss: Tensor1D; slope: Tensor2D } {
  return tf.tidy(() => {
    const [loss, stats] = forward(logits, labels);
    return { loss, slope: backward(logits, labels, stats, tf.ones([logits.shape[0]])) };
  });
}

/** Losses [rows], and what the gradient needs to know of each row [rows, 2]. */
function forward(logits: Tensor2D, labels: Tensor1D): [Tensor1D, Tensor2D] {
  const [rows] = logits.shape;
  return executeNative('PlumblineCrossEntropy', [], [logits, labels], [[rows], [rows, 2]]) as [Tensor1D, Tensor2D];
}

function backward(logits: Tensor2D, labels: Tensor1D, stats: Tensor2D, dy: Tensor1D): Tensor2D {
  const inputs = [logits, labels, stats, dy];
  return executeNative('PlumblineCrossEntropyGradient', [], inputs, [logits.shape])[0] as Tensor2D;
}
