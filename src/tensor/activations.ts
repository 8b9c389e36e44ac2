/** Feed-forward activations with hand-derived gradients. */
import { nativeActivation } from './native-activation.ts';
import type { Save } from './native-ops.ts';
import { usesNativeOps } from './native-ops.ts';
import type { Tensor, Tensor2D } from './tf.ts';
import { tf } from './tf.ts';

/** ½(1 + tanh z) is the logistic function of 2z: its argument is LINEAR · x + CUBIC · x³. */
const LINEAR = 2 * Math.sqrt(2 / Math.PI);
const CUBIC = LINEAR * 0.044715;

/**
 * GELU in the tanh form that GPT-2 uses ("gelu_new"): ½x(1 + tanh(√(2/π)(x + 0.044715x³))).
 * @param x any shape
 * @see Hendrycks and Gimpel 2016, arXiv:1606.08415, section 2
 */
export function geluTanh(x: Tensor2D): Tensor2D {
  if (usesNativeOps()) return nativeActivation('gelu', x);
  const op = tf.customGrad((...inputs: unknown[]) => {
    const [source, save] = inputs as [Tensor2D, Save];
    const parts = geluParts(source);
    save(parts);
    return {
      value: parts[2],
      gradFunc: (dy: Tensor, saved: Tensor[]) => tf.mul(dy, geluSlope(saved as GeluParts)),
    };
  });
  return op(x) as Tensor2D;
}

/** x², the share of x that passes, and their product x · share. */
type GeluParts = [square: Tensor2D, share: Tensor2D, value: Tensor2D];

function geluParts(x: Tensor2D): GeluParts {
  const square = tf.square(x);
  const share: Tensor2D = tf.sigmoid(tf.mul(x, tf.add(tf.mul(square, CUBIC), LINEAR)));
  return [square, share, tf.mul(x, share)];
}

function geluSlope([square, share, value]: GeluParts): Tensor2D {
  const slope = tf.add(tf.mul(square, 3 * CUBIC), LINEAR);
  return tf.add(share, tf.mul(tf.mul(value, tf.sub(1, share)), slope));
}

/**
 * The gated unit of Gemma: GELU(gate) · up, with the tanh form.
 * @param gateUp [rows, 2 · width], gate first
 * @returns [rows, width]
 * @see Shazeer 2020, arXiv:2002.05202, eq. 6 (GEGLU)
 */
export function geglu(gateUp: Tensor2D): Tensor2D {
  if (usesNativeOps()) return nativeActivation('geglu', gateUp);
  const op = tf.customGrad((...inputs: unknown[]) => {
    const [source, save] = inputs as [Tensor2D, Save];
    const [gate, up] = tf.split(source, 2, 1) as [Tensor2D, Tensor2D];
    const parts = geluParts(gate);
    save([...parts, up]);
    return {
      value: tf.mul(parts[2], up),
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [square, share, value, u] = saved as [...GeluParts, Tensor2D];
        const dGate = tf.mul(tf.mul(dy, u), geluSlope([square, share, value]));
        return tf.concat([dGate, tf.mul(dy, value)], 1);
      },
    };
  });
  return op(gateUp) as Tensor2D;
}

/**
 * The gated unit of Llama: SiLU(gate) · up.
 * @param gateUp [rows, 2 · width], gate first
 * @returns [rows, width]
 * @see Shazeer 2020, arXiv:2002.05202, eq. 6 (SwiGLU)
 */
export function swiglu(gateUp: Tensor2D): Tensor2D {
  if (usesNativeOps()) return nativeActivation('swiglu', gateUp);
  const op = tf.customGrad((...inputs: unknown[]) => {
    const [source, save] = inputs as [Tensor2D, Save];
    const [gate, up] = tf.split(source, 2, 1) as [Tensor2D, Tensor2D];
    const sigmoid = tf.sigmoid(gate);
    const silu = tf.mul(gate, sigmoid);
    save([sigmoid, silu, up]);
    return {
      value: tf.mul(silu, up),
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [s, z, u] = saved as [Tensor2D, Tensor2D, Tensor2D];
        // d silu / d gate = σ + silu · (1 − σ)
        const slope = tf.add(s, tf.sub(z, tf.mul(z, s)));
        return tf.concat([tf.mul(tf.mul(dy, u), slope), tf.mul(dy, z)], 1);
      },
    };
  });
  return op(gateUp) as Tensor2D;
}

/**
 * GELU with the error function ("gelu"): x · Φ(x). Its slope is Φ(x) + x · φ(x).
 * @param x any shape
 * @see Hendrycks and Gimpel 2016, arXiv:1606.08415, section 2
 */
export function gelu(x: Tensor2D): Tensor2D {
  const op = tf.customGrad((...inputs: unknown[]) => {
    const [source, save] = inputs as [Tensor2D, Save];
    const cumulative = tf.mul(tf.add(tf.erf(tf.mul(source, Math.SQRT1_2)), 1), 0.5);
    save([source, cumulative]);
    return {
      value: tf.mul(source, cumulative),
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [s, c] = saved as [Tensor2D, Tensor2D];
        const density = tf.mul(tf.exp(tf.mul(tf.square(s), -0.5)), 1 / Math.sqrt(2 * Math.PI));
        return tf.mul(dy, tf.add(c, tf.mul(s, density)));
      },
    };
  });
  return op(x) as Tensor2D;
}

/**
 * max(x, 0), with slope 0 at 0 as PyTorch has it.
 * @param x any shape
 */
export function relu(x: Tensor2D): Tensor2D {
  const op = tf.customGrad((...inputs: unknown[]) => {
    const [source, save] = inputs as [Tensor2D, Save];
    const value = tf.relu(source);
    save([value]);
    return {
      value,
      gradFunc: (dy: Tensor, saved: Tensor[]) => tf.mul(dy, tf.cast(tf.greater(saved[0] as Tensor2D, 0), 'float32')),
    };
  });
  return op(x) as Tensor2D;
}
