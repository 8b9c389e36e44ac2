/** The building blocks of a decoder layer: linear maps, norms, feed-forward. */

import { geglu, gelu, geluTanh, relu, swiglu } from '../tensor/activations.ts';
import { nativeLinear } from '../tensor/native-linear.ts';
import { layerNorm, rmsNorm } from '../tensor/norms.ts';
import { product } from '../tensor/products.ts';
import type { Tensor1D, Tensor2D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { Weights } from '../tensor/weights.ts';
import { entry, weight, whole } from '../tensor/weights.ts';
import type { ModelDimensions } from './dimensions.ts';

const ACTIVATIONS = { gelu: geluTanh, gelu_exact: gelu, relu, swiglu, geglu } as const;
/** Those that a native layer computes itself; the others follow it. */
const NATIVE_ACTIVATIONS = {
  gelu: 'gelu',
  swiglu: 'swiglu',
  geglu: 'geglu',
  gelu_exact: undefined,
  relu: undefined,
} as const;

/** What follows a linear map. */
interface Epilogue {
  readonly activation?: ModelDimensions['activation'];
  /** [rows, out], half as wide after a gated activation */
  readonly residual?: Tensor2D;
}

/** residual + activation(x · W + b), each where there is one. x [rows, in] → [rows, out] */
export function linear(weights: Weights, name: string, x: Tensor2D, epilogue: Epilogue = {}): Tensor2D {
  const { activation, residual } = epilogue;
  const matrix = entry(weights, `${name}.weight`);
  const bias = `${name}.bias` in weights ? entry(weights, `${name}.bias`) : undefined;
  const kind = activation === undefined ? undefined : NATIVE_ACTIVATIONS[activation];
  const native = nativeLinear(x, matrix, { bias, activation: kind, residual });
  if (native !== null) return activation === undefined || kind !== undefined ? native : ACTIVATIONS[activation](native);
  const map = product(x, matrix);
  const y: Tensor2D = bias === undefined ? map : tf.add(map, whole<Tensor1D>(bias, `${name}.bias`));
  const active = activation === undefined ? y : ACTIVATIONS[activation](y);
  return residual === undefined ? active : tf.add(residual, active);
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

/**
 * The end of a sublayer: residual + norm(x · W + b), with the norm where the model has one.
 * @param name of the sublayer, whose linear map is `output`
 * @param x [rows, in], residual [rows, d_model] → [rows, d_model]
 */
export function endSublayer(
  dimensions: ModelDimensions,
  weights: Weights,
  name: string,
  x: Tensor2D,
  residual: Tensor2D,
): Tensor2D {
  if (!dimensions.postNorm) return linear(weights, `${name}.output`, x, { residual });
  const output = linear(weights, `${name}.output`, x);
  return tf.add(residual, normalize(dimensions, weights, `${name}.post_norm`, output));
}

/** Feed-forward layer, added to what comes beside it. x, residual [rows, d_model] → [rows, d_model] */
export function feedForward(
  dimensions: ModelDimensions,
  weights: Weights,
  name: string,
  x: Tensor2D,
  residual: Tensor2D,
): Tensor2D {
  const active = linear(weights, `${name}.input`, x, { activation: dimensions.activation });
  return endSublayer(dimensions, weights, name, active, residual);
}
