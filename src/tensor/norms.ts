/** Layer and root-mean-square normalisation with hand-derived gradients (a third of the ops of the automatic ones). */
import { nativeNorm } from './native-norm.ts';
import type { Save } from './native-ops.ts';
import { usesNativeOps } from './native-ops.ts';
import type { Tensor, Tensor1D, Tensor2D } from './tf.ts';
import { tf } from './tf.ts';

/**
 * Root-mean-square normalisation, y = x / √(mean(x²) + ε) · gain.
 * @param x    [rows, width]
 * @param gain [width]
 * @returns [rows, width]
 * @see Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4
 */
export function rmsNorm(x: Tensor2D, gain: Tensor1D, epsilon: number): Tensor2D {
  if (usesNativeOps()) return nativeNorm(x, gain, null, epsilon);
  const op = tf.customGrad((...inputs: unknown[]) => {
    const [source, scale, save] = inputs as [Tensor2D, Tensor1D, Save];
    const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(source), -1, true), epsilon)); // [rows, 1]
    const normal = tf.mul(source, inverse);
    save([normal, inverse, scale]);
    return {
      value: tf.mul(normal, scale),
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [n, r, g] = saved as [Tensor2D, Tensor2D, Tensor1D];
        const dn = tf.mul(dy, g);
        const dx = tf.mul(tf.sub(dn, tf.mul(n, tf.mean(tf.mul(dn, n), -1, true))), r);
        return [dx, tf.sum(tf.mul(dy, n), 0)];
      },
    };
  });
  return op(x, gain) as Tensor2D;
}

/**
 * Layer normalisation, y = (x − mean) / √(variance + ε) · gain + bias, with the biased variance.
 * @param x    [rows, width]
 * @param gain [width]
 * @param bias [width]
 * @returns [rows, width]
 * @see Ba et al. 2016, arXiv:1607.06450, eq. 3
 */
export function layerNorm(x: Tensor2D, gain: Tensor1D, bias: Tensor1D, epsilon: number): Tensor2D {
  if (usesNativeOps()) return nativeNorm(x, gain, bias, epsilon);
  const op = tf.customGrad((...inputs: unknown[]) => {
    const [source, scale, shift, save] = inputs as [Tensor2D, Tensor1D, Tensor1D, Save];
    const centred = tf.sub(source, tf.mean(source, -1, true));
    const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(centred), -1, true), epsilon)); // [rows, 1]
    const normal = tf.mul(centred, inverse);
    save([normal, inverse, scale]);
    return {
      value: tf.add(tf.mul(normal, scale), shift),
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [n, r, g] = saved as [Tensor2D, Tensor2D, Tensor1D];
        const dn = tf.mul(dy, g);
        const correction = tf.add(tf.mean(dn, -1, true), tf.mul(n, tf.mean(tf.mul(dn, n), -1, true)));
        return [tf.mul(tf.sub(dn, correction), r), tf.sum(tf.mul(dy, n), 0), tf.sum(dy, 0)];
      },
    };
  });
  return op(x, gain, bias) as Tensor2D;
}
