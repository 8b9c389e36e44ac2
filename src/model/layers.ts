/** The building blocks of a decoder layer: linear maps, norms, feed-forward. */

import { geluTanh, swiglu } from '../tensor/activations.ts';
import { matmul } from '../tensor/matmul.ts';
import { layerNorm, rmsNorm } from '../tensor/norms.ts';
import type { Weights } from '../tensor/parameters.ts';
import { weight } from '../tensor/parameters.ts';
import type { Tensor1D, Tensor2D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { ModelDimensions } from './dimensions.ts';

/** x · W (+ b). x [rows, in] → [rows, out] */
export function linear(dimensions: ModelDimensions, weights: Weights, name: string, x: Tensor2D): Tensor2D {
  const y = matmul(x, weight<Tensor2D>(weights, `${name}.weight`));
  return dimensions.biases ? tf.add(y, weight<Tensor1D>(weights, `${name}.bias`)) : y;
}

/** The model's normalisation. x [rows, d_model] → [rows, d_model] */
export function normalize(dimensions: ModelDimensions, weights: Weights, name: string, x: Tensor2D): Tensor2D {
  const gain = weight<Tensor1D>(weights, `${name}.gain`);
  if (dimensions.norm === 'rms') return rmsNorm(x, gain, dimensions.normEpsilon);
  return layerNorm(x, gain, weight<Tensor1D>(weights, `${name}.bias`), dimensions.normEpsilon);
}

/** Feed-forward layer. x [rows, d_model] → [rows, d_model] */
export function feedForward(dimensions: ModelDimensions, weights: Weights, name: string, x: Tensor2D): Tensor2D {
  const wide = linear(dimensions, weights, `${name}.input`, x);
  const active = dimensions.activation === 'swiglu' ? swiglu(wide) : geluTanh(wide);
  return linear(dimensions, weights, `${name}.output`, active);
}
