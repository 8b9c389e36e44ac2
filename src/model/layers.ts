/** The building blocks of a decoder layer: linear maps, norms, feed-forward. */

import { geglu, gelu, geluTanh, relu, swiglu } from '../tensor/activations.ts';
import { layerNorm, rmsNorm } from '../tensor/norms.ts';
import type { Tensor1D, Tensor2D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { Weights } from '../tensor/weights.ts';
import { entry, product, weight } from '../tensor/weights.ts';
import type { ModelDimensions } from './dimensions.ts';

/** x · W (+ b, where there is one). x [rows, in] → [rows, out] */
export function linear(weights: Weights, name: string, x: Tensor2D): Tensor2D {
  const y = product(x, entry(weights, `${name}.weight`));
  return `${name}.bias` in weights ? tf.add(y, weight<Tensor1D>(weights, `${name}.bias`)) : y;
}

/** The model's normalisation. x [rows, d_model] → [rows, d_model] */
export function normalize(dimensions: ModelDimensions, weights: Weights, name: string, x: Tensor2D): Tensor2D {
  const gain = gainOf(dimensions, weights, name);
  if (dimensions.norm === 'rms') return rmsNorm(x, gain, dimensions.normEpsilon);
  return layerNorm(x, gain, weight<Tensor1D>(weights, `${name}.bias`), dimensions.normEpsilon);
}

/** What a norm multiplies with. [width] */
export function gainOf({ gainFromOne }: ModelDimensions, weights: Weights, name: string): Tensor1D {
  const gain = weight<Tensor1D>(weights, `${name}.gain`);
  return gainFromOne ? tf.add(gain, 1) : gain;
}

/** The norm of what a sublayer gives, where the model has one. x [rows, d_model] → [rows, d_model] */
export function postNormalize(dimensions: ModelDimensions, weights: Weights, name: string, x: Tensor2D): Tensor2D {
  return dimensions.postNorm ? normalize(dimensions, weights, `${name}.post_norm`, x) : x;
}

const ACTIVATIONS = { gelu: geluTanh, gelu_exact: gelu, relu, swiglu, geglu } as const;

/** Feed-forward layer. x [rows, d_model] → [rows, d_model] */
export function feedForward(dimensions: ModelDimensions, weights: Weights, name: string, x: Tensor2D): Tensor2D {
  const active = ACTIVATIONS[dimensions.activation](linear(weights, `${name}.input`, x));
  return linear(weights, `${name}.output`, active);
}
