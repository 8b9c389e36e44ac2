/** Matrix products whose gradients keep the shapes of their arguments (tfjs's own fail for some: tensorflow/tfjs#8721). */

import type { Tensor, Tensor2D, Tensor4D } from './tf.ts';
import { tf } from './tf.ts';

/**
 * Matrix product a · b, or a · bᵀ with `transposeB`, over equal leading dimensions (no broadcasting).
 * Differentiable in both.
 * @param a [..., n, k]
 * @param b [..., k, m], or [..., m, k] with transposeB
 * @returns [..., n, m]
 */
export function matmul<T extends Tensor2D | Tensor4D>(a: T, b: T, options: { transposeB?: boolean } = {}): T {
  const transposeB = options.transposeB ?? false;
  const op = tf.customGrad((...inputs: unknown[]) => {
    const [left, right, save] = inputs as [Tensor, Tensor, (tensors: Tensor[]) => void];
    save([left, right]);
    return {
      value: tf.matMul(left, right, false, transposeB),
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [x, w] = saved as [Tensor, Tensor];
        const dx = tf.matMul(dy, w, false, !transposeB);
        const dw = transposeB ? tf.matMul(dy, x, true, false) : tf.matMul(x, dy, true, false);
        return [dx, dw];
      },
    };
  });
  return op(a, b) as T;
}
