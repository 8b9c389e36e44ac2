/** AdamW with decoupled decay and both epsilon styles, over one flat parameter tensor. */

import type { Cell } from '../tensor/cell.ts';
import { createCell } from '../tensor/cell.ts';
import { sharableFloat32 } from '../tensor/host-memory.ts';
import type { ParameterLayout, ParameterSpec, Parameters } from '../tensor/parameters.ts';
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
  readonly rateOf?: (spec: ParameterSpec) => number;
}

/** Moments with a lifetime. `step` counts the updates made. */
export interface AdamW {
  readonly options: AdamWOptions;
  step: number;
  /** [total] */
  readonly first: Cell;
  /** [total] */
  readonly second: Cell;
  /** Of each parameter: whether weight decay applies. */
  readonly decays: readonly boolean[];
  /** Of each parameter: the factor of the learning rate. */
  readonly rates: readonly number[];
  /** The two as vectors [total], null where they say nothing; made by the first eager update. */
  spread: { readonly decays: Tensor1D | null; readonly rates: Tensor1D | null } | null;
}

/** Zero moments, or those of a checkpoint. */
export function createAdamW(
  layout: ParameterLayout,
  options: AdamWOptions,
  saved?: { step: number; firstMoment: Float32Array; secondMoment: Float32Array },
): AdamW {
  const { weightDecay, rateOf } = options;
  const upload = (values?: Float32Array): Cell => {
    const own = sharableFloat32(layout.total);
    if (values !== undefined) own.set(values);
    return createCell(tf.tensor1d(own));
  };
  return {
    options,
    step: saved?.step ?? 0,
    first: upload(saved?.firstMoment),
    second: upload(saved?.secondMoment),
    decays: layout.specs.map(({ shape }) => weightDecay !== 0 && shape.length >= 2),
    rates: layout.specs.map((spec) => rateOf?.(spec) ?? 1),
    spread: null,
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
  adam.first.dispose();
  adam.second.dispose();
  if (adam.spread !== null) tf.dispose(Object.values(adam.spread).filter((tensor) => tensor !== null));
  adam.spread = null;
}

/** Numbers of one update: √(1 − β₂ᵗ) and 1 − β₁ᵗ of update t (from 1). */
export function biasCorrections({ beta1, beta2 }: AdamWOptions, step: number): { first: number; second: number } {
  return { first: 1 - beta1 ** step, second: Math.sqrt(1 - beta2 ** step) };
}

/**
 * One update: replaces the parameters and moments and disposes the old ones. Does not dispose the gradient.
 * @param gradient [total]
 * @see Loshchilov and Hutter 2019, arXiv:1711.05101, Algorithm 2; Kingma and Ba 2015, arXiv:1412.6980
 */
export function applyAdamW(adam: AdamW, parameters: Parameters, gradient: Tensor1D, learningRate: number): void {
  const { beta1, beta2, epsilon, epsilonStyle, weightDecay } = adam.options;
  adam.step += 1;
  const correction = biasCorrections(adam.options, adam.step);
  adam.spread ??= {
    decays: adam.decays.some(Boolean) ? spread(parameters.layout, adam.decays.map(Number)) : null,
    rates: adam.rates.every((rate) => rate === 1) ? null : spread(parameters.layout, adam.rates),
  };
  const { decays, rates } = adam.spread;
  // Each in a tidy of its own, and the old moments freed at once: for a large model these are most of the memory.
  adam.first.replace(
    tf.tidy(() => tf.add(tf.mul(adam.first.tensor(), beta1), tf.mul(gradient, 1 - beta1)) as Tensor1D),
  );
  adam.second.replace(
    tf.tidy(() => {
      const square = tf.tidy(() => tf.mul(tf.square(gradient), 1 - beta2));
      return tf.add(tf.mul(adam.second.tensor(), beta2), square) as Tensor1D;
    }),
  );
  const scaled = (x: Tensor1D): Tensor1D => (rates === null ? x : tf.mul(x, rates));
  const change = tf.tidy(() => {
    const denominator = tf.tidy(() => {
      const root = tf.sqrt(adam.second.tensor());
      return epsilonStyle === 'pytorch'
        ? tf.add(tf.div(root, correction.second), epsilon)
        : tf.div(tf.add(root, epsilon), correction.second);
    });
    return scaled(tf.mul(tf.div(adam.first.tensor(), denominator), learningRate / correction.first));
  });
  const flat = tf.tidy(() => {
    const before = parameters.flat;
    const decayed =
      decays === null ? before : tf.mul(before, tf.sub(1, scaled(tf.mul(decays, learningRate * weightDecay))));
    return tf.sub(decayed, change) as Tensor1D;
  });
  change.dispose();
  parameters.cell.replace(flat);
}
