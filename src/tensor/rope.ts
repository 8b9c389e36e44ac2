/** Rotary position embedding in the rotate-half convention of Hugging Face's Llama. */
import type { HostArray } from './host-arrays.ts';
import type { RopeScaling } from './rope-frequencies.ts';
import { rotaryAmplitude, rotaryFrequencies } from './rope-frequencies.ts';
import type { Tensor, Tensor4D } from './tf.ts';
import { tf } from './tf.ts';

/** Where positions are and how wide what is rotated. */
export interface RotarySize {
  readonly batch: number;
  readonly seq: number;
  readonly width: number;
  readonly theta: number;
  readonly scaling: RopeScaling | null;
}

/** Cosines and sines of the rotation angles, times the amplitude of the scaling; each [batch, 1, seq, width]. */
export interface RotaryAngles {
  readonly cos: Tensor4D;
  readonly sin: Tensor4D;
}

/**
 * Angles for explicit positions: position · frequency for i < width / 2, repeated for both halves.
 * @param positions [batch · seq]
 * @param size `width` is the number of a head's values that are rotated
 * @see Su et al. 2021, arXiv:2104.09864, eq. 15; transformers modeling_llama.py LlamaRotaryEmbedding
 */
export function rotaryArrays(positions: Int32Array, size: RotarySize): { cos: HostArray; sin: HostArray } {
  const { batch, seq, width, theta, scaling } = size;
  const half = width / 2;
  const length = positions.reduce((most, position) => Math.max(most, position), 0) + 1;
  const frequencies = rotaryFrequencies(width, theta, scaling, length);
  const amplitude = rotaryAmplitude(scaling);
  const cos = new Float32Array(positions.length * width);
  const sin = new Float32Array(positions.length * width);
  for (let row = 0; row < positions.length; row++) {
    for (let i = 0; i < half; i++) {
      const angle = (positions[row] as number) * (frequencies[i] as number);
      const at = row * width + i;
      cos[at] = amplitude * Math.cos(angle);
      sin[at] = amplitude * Math.sin(angle);
      cos[at + half] = cos[at] as number;
      sin[at + half] = sin[at] as number;
    }
  }
  const shape = [batch, 1, seq, width];
  return { cos: { shape, values: cos }, sin: { shape, values: sin } };
}

/** (a, b) → (−b, a) over the two halves of the last axis. */
function rotateHalf(x: Tensor): Tensor {
  const [a, b] = tf.split(x, 2, 3) as [Tensor, Tensor];
  return tf.concat([tf.neg(b), a], 3);
}

/** The transpose of `rotateHalf`: (a, b) → (b, −a). */
function rotateHalfBack(x: Tensor): Tensor {
  const [a, b] = tf.split(x, 2, 3) as [Tensor, Tensor];
  return tf.concat([b, tf.neg(a)], 3);
}

/**
 * Rotates the first values of queries and keys by their position; values beyond the width of the angles pass.
 * @param x [batch, heads, seq, head_dim]
 * @returns [batch, heads, seq, head_dim]
 */
export function applyRotary(x: Tensor4D, angles: RotaryAngles): Tensor4D {
  const width = angles.cos.shape[3];
  const rest = x.shape[3] - width;
  if (rest === 0) return rotate(x, angles);
  const [turned, passed] = tf.split(x, [width, rest], 3) as [Tensor4D, Tensor4D];
  return tf.concat([rotate(turned, angles), passed], 3) as Tensor4D;
}

function rotate(x: Tensor4D, angles: RotaryAngles): Tensor4D {
  const { cos, sin } = angles;
  const op = tf.customGrad((...inputs: unknown[]) => {
    const [source] = inputs as [Tensor4D];
    return {
      value: tf.add(tf.mul(source, cos), tf.mul(rotateHalf(source), sin)),
      gradFunc: (dy: Tensor) => tf.add(tf.mul(dy, cos), rotateHalfBack(tf.mul(dy, sin))),
    };
  });
  return op(x) as Tensor4D;
}
