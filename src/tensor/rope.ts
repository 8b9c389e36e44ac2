/** Rotary position embedding in the rotate-half convention of Hugging Face's Llama. */
import type { Tensor, Tensor4D } from './tf.ts';
import { tf } from './tf.ts';

/** Cosines and sines of the rotation angles, each [batch, 1, seq, head_dim]. */
export interface RotaryAngles {
  readonly cos: Tensor4D;
  readonly sin: Tensor4D;
}

/**
 * Angles for explicit positions: position · θ^(−2i / head_dim) for i < head_dim / 2, repeated for both halves.
 * @param positions [batch · seq]
 * @see Su et al. 2021, arXiv:2104.09864, eq. 15; transformers modeling_llama.py LlamaRotaryEmbedding
 */
export function rotaryAngles(
  positions: Int32Array,
  size: { batch: number; seq: number; headDim: number; theta: number },
): RotaryAngles {
  const { batch, seq, headDim, theta } = size;
  const half = headDim / 2;
  const frequencies = Float64Array.from({ length: half }, (_, i) => theta ** ((-2 * i) / headDim));
  const cos = new Float32Array(positions.length * headDim);
  const sin = new Float32Array(positions.length * headDim);
  for (let row = 0; row < positions.length; row++) {
    for (let i = 0; i < half; i++) {
      const angle = (positions[row] as number) * (frequencies[i] as number);
      const at = row * headDim + i;
      cos[at] = Math.cos(angle);
      sin[at] = Math.sin(angle);
      cos[at + half] = cos[at] as number;
      sin[at + half] = sin[at] as number;
    }
  }
  const shape: [number, number, number, number] = [batch, 1, seq, headDim];
  return { cos: tf.tensor4d(cos, shape), sin: tf.tensor4d(sin, shape) };
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
 * Rotates queries and keys by their position.
 * @param x [batch, heads, seq, head_dim]
 * @returns [batch, heads, seq, head_dim]
 */
export function applyRotary(x: Tensor4D, angles: RotaryAngles): Tensor4D {
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
