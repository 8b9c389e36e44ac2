/** Bounded scores and logits with a hand-derived gradient. */
import type { Tensor } from './tf.ts';
import { tf } from './tf.ts';

/**
 * cap · tanh(x / cap): close to x near 0, never beyond ±cap.
 * @param x any shape
 * @see Gemma 2, arXiv:2408.00118, section 2; Bello et al. 2016, arXiv:1611.09940, eq. 16
 */
export function softCap<T extends Tensor>(x: T, cap: number): T {
  const op = tf.customGrad((...inputs: unknown[]) => {
    const [source, save] = inputs as [Tensor, (tensors: Tensor[]) => void];
    const value = tf.mul(tf.tanh(tf.div(source, cap)), cap);
    save([value]);
    return { value, gradFunc: (dy: Tensor, saved: Tensor[]) => capSlope(dy, saved[0] as Tensor, cap) };
  });
  return op(x) as T;
}

/** The gradient by what was capped, from that by the capped values: dy · (1 − (y / cap)²). */
export function capSlope<T extends Tensor>(dy: T, capped: Tensor, cap: number): T {
  return tf.mul(dy, tf.sub(1, tf.square(tf.div(capped, cap))));
}
