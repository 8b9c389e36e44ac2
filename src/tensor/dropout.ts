/** Inverted dropout whose mask is a function of a seed, so that a step can be computed again, or run as a graph. */
import { currentLane } from './lane.ts';
import { executeRaw, typeAttribute } from './raw-op.ts';
import type { Scalar, Tensor2D } from './tf.ts';
import { tf } from './tf.ts';

/** A number, or an int32 scalar where it is an input of a compiled step. */
export type DropoutSeed = number | Scalar;

/**
 * x where a number drawn for each element reaches `rate`, divided by 1 − rate; 0 elsewhere.
 * @param x [rows, width]
 * @param index told apart from other masks of the same seed
 */
export function dropout(x: Tensor2D, rate: number, seed: DropoutSeed, index: number): Tensor2D {
  if (currentLane() !== 'tensorflow') return tf.dropout(x, rate, undefined, (seed as number) + index) as Tensor2D;
  const mask = tf.tidy(() => {
    const key = tf.stack([typeof seed === 'number' ? tf.scalar(seed, 'int32') : seed, tf.scalar(index, 'int32')]);
    const attributes = [
      typeAttribute('dtype', 'float32'),
      typeAttribute('T', 'int32'),
      typeAttribute('Tseed', 'int32'),
    ];
    const drawn = executeRaw('StatelessRandomUniform', attributes, [tf.tensor1d(x.shape, 'int32'), key], 1);
    const kept = tf.cast(tf.greaterEqual(drawn[0] as Tensor2D, rate), 'float32');
    return tf.div(kept, 1 - rate) as Tensor2D;
  });
  return tf.mul(x, mask);
}
