/** AdamW with decoupled decay and both epsilon styles, over one flat parameter tensor. */

import { sharableFloat32 } from '../tensor/host-memory.ts';
import type { ParameterLayout, Parameters } from '../tensor/parameters.ts';
import type { Tensor1D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';

/** Fixed for a run; the learning rate comes with each step. */
export interface AdamWOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /**
   * `pytorch`: m̂ / (√v̂ + ε), Kingma and Ba's Algorithm 1. `tensorflow`: their section 2 ("ε̂"), lr·√(1−β₂ᵗ)/(1−β₁ᵗ) ·
   * m / (√v + ε), in which ε weighs more in the first steps (N details, "Adam").
   */
  readonly epsilonStyle: 'pytorch' | 'tensorflow';
  /** Multiplied with the learning rate; applied to matrices only (tensors of two or more axes). */
  readonly weightDecay: number;
  /** The learning rate of a parameter as a factor of the step's; 1 for all where left out. */
  readonly rateOf?: (name: string) => number;
}

/** Moments with a lifetime. `step` counts the updates made. */
export interface AdamW {
  readonly options: AdamWOptions;
  step: number;
  /** [total] */
  firstMoment: Tensor1D;
  /** [total] */
  secondMoment: Tensor1D;
  /** [total], 1 where weight decay applies; null where there is none. */
  readonly decayMask: Tensor1D | null;
  /** [total], factors of the learning rate; null where all are 1. */
  readonly rates: Tensor1D | null;
}

/** Zero moments, or those of a checkpoint. */
export function createAdamW(
  layout: ParameterLayout,
  options: AdamWOptions,
  saved?: { step: number; firstMoment: Float32Array; secondMoment: Float32Array },
): AdamW {
  const { weightDecay, rateOf } = options;
  const upload = (values?: Float32Array): Tensor1D => {
    const own = sharableFloat32(layout.total);
    if (values !== undefined) own.set(values);
    return tf.tensor1d(own);
  };
  const isMatrix = layout.specs.map((spec) => (spec.shape.length >= 2 ? 1 : 0));
  const rates = layout.specs.map((spec) => rateOf?.(spec.name) ?? 1);
  return {
    options,
    step: saved?.step ?? 0,
    firstMoment: upload(saved?.firstMoment),
    secondMoment: upload(saved?.secondMoment),
    decayMask: weightDecay === 0 ? null : spread(layout, isMatrix),
    rates: rates.every((rate) => rate === 1) ? null : spread(layout, rates),
  };
}

/** One number for each parameter, repeated for all its elements: [total]. */
function spread(layout: ParameterLayout, numbers: readonly number[]): Tensor1D {
  const values = sharableFloat32(layout.total);
  layout.offsets.forEach((start, index) => {
    values.fill(numbers[index] as number, start, start + (layout.sizes[index] as number));
  });
  return tf.tensor1d(values);
}

/** Frees the moments. */
export function disposeAdamW(adam: AdamW): void {
  tf.dispose([adam.firstMoment, adam.secondMoment]);
  if (adam.decayMask !== null) adam.decayMask.dispose();
  if (adam.rates !== null) adam.rates.dispose();
}

/**
 * One update: replaces the parameters and moments and disposes the old ones. Does not dispose the gradient.
 * @param gradient [total]
 * @see Loshchilov and Hutter 2019, arXiv:1711.05101, Algorithm 2; Kingma and Ba 2015, arXiv:1412.6980
 */
export function applyAdamW(adam: AdamW, parameters: Parameters, gradient: Tensor1D, learningRate: number): void {
  const { beta1, beta2, epsilon, epsilonStyle, weightDecay } = adam.options;
  adam.step += 1;
  const correction1 = 1 - beta1 ** adam.step;
  const correction2 = Math.sqrt(1 - beta2 ** adam.step);
  // Each in a tidy of its own, and the old moments freed at once: for a large model these are most of the memory.
  const first = tf.tidy(() => tf.add(tf.mul(adam.firstMoment, beta1), tf.mul(gradient, 1 - beta1)) as Tensor1D);
  adam.firstMoment.dispose();
  adam.firstMoment = first;
  const second = tf.tidy(() => {
    const square = tf.tidy(() => tf.mul(tf.square(gradient), 1 - beta2));
    return tf.add(tf.mul(adam.secondMoment, beta2), square) as Tensor1D;
  });
  adam.secondMoment.dispose();
  adam.secondMoment = second;
  const scaled = (x: Tensor1D): Tensor1D => (adam.rates === null ? x : tf.mul(x, adam.rates));
  const change = tf.tidy(() => {
    const denominator = tf.tidy(() => {
      const root = tf.sqrt(second);
      return epsilonStyle === 'pytorch'
        ? tf.add(tf.div(root, correction2), epsilon)
        : tf.div(tf.add(root, epsilon), correction2);
    });
    return scaled(tf.mul(tf.div(first, denominator), learningRate / correction1));
  });
  const flat = tf.tidy(() => {
    const { decayMask } = adam;
    const decayed =
      decayMask === null
        ? parameters.flat
        : tf.mul(parameters.flat, tf.sub(1, scaled(tf.mul(decayMask, learningRate * weightDecay))));
    return tf.sub(decayed, change) as Tensor1D;
  });
  tf.dispose([parameters.flat, change]);
  parameters.flat = flat;
}
