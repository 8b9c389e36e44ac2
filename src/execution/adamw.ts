/** The state of AdamW: settings, moments and the number of updates. What it does with them is in apply-adamw.ts. */

import { sharableFloat32 } from '../tensor/host-memory.ts';
import type { ParameterLayout, ParameterSpec } from '../tensor/parameters.ts';
import type { StoredVector } from '../tensor/stored-vector.ts';
import { createStoredVector } from '../tensor/stored-vector.ts';
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
  readonly first: StoredVector;
  /** [total] */
  readonly second: StoredVector;
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
  const upload = (values?: Float32Array): StoredVector => {
    const own = sharableFloat32(layout.total);
    if (values !== undefined) own.set(values);
    return createStoredVector(tf.tensor1d(own));
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

/** Frees the moments. */
export function disposeAdamW(adam: AdamW): void {
  adam.first.dispose();
  adam.second.dispose();
  if (adam.spread !== null) tf.dispose(Object.values(adam.spread).filter((tensor) => tensor !== null));
  adam.spread = null;
}
