/** AdamW with decoupled decay and both epsilon styles, over one flat parameter tensor. */

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
  const isMatrix = layout.specs.map((spec) => (spec.shape.length >= 2 ? 1 : 0));
  const rates = layout.specs.map((spec) => rateOf?.(spec.name) ?? 1);
  return {
    options,
    step: saved?.step ?? 0,
    firstMoment: tf.tensor1d(saved?.firstMoment.slice() ?? new Float32Array(layout.total)),
    secondMoment: tf.tensor1d(saved?.secondMoment.slice() ?? new Float32Array(layout.total)),
    decayMask: weightDecay === 0 ? null : spread(layout, isMatrix),
    rates: rates.every((rate) => rate === 1) ? null : spread(layout, rates),
  };
}

/** One number for each parameter, repeated for all its elements: [total]. */
function spread(layout: ParameterLayout, numbers: readonly number[]): Tensor1D {
  const values = new Float32Array(layout.total);
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
  const [flat, first, second] = tf.tidy(() => {
    const m = tf.add(tf.mul(adam.firstMoment, beta1), tf.mul(gradient, 1 - beta1)) as Tensor1D;
    const v = tf.add(tf.mul(adam.secondMoment, beta2), tf.mul(tf.square(gradient), 1 - beta2)) as Tensor1D;
    const root = tf.sqrt(v);
    const denominator =
      epsilonStyle === 'pytorch'
        ? tf.add(tf.div(root, correction2), epsilon)
        : tf.div(tf.add(root, epsilon), correction2);
    const scaled = <T extends Tensor1D>(x: T): T => (adam.rates === null ? x : tf.mul(x, adam.rates));
    const change = scaled(tf.mul(tf.div(m, denominator), learningRate / correction1) as Tensor1D);
    const decayed =
      adam.decayMask === null
        ? parameters.flat
        : tf.mul(parameters.flat, tf.sub(1, scaled(tf.mul(adam.decayMask, learningRate * weightDecay))));
    return [tf.sub(decayed, change) as Tensor1D, m, v];
  }) as [Tensor1D, Tensor1D, Tensor1D];
  tf.dispose([parameters.flat, adam.firstMoment, adam.secondMoment]);
  parameters.flat = flat;
  adam.firstMoment = first;
  adam.secondMoment = second;
}
