/** Named parameters kept in one flat tensor: one gradient, one optimizer update, one read-back, whatever the model. */

import { ShapeError } from '../errors.ts';
import type { Tensor, Tensor1D } from './tf.ts';
import { tf } from './tf.ts';

/** Name and shape of one parameter. */
export interface ParameterSpec {
  readonly name: string;
  readonly shape: readonly number[];
}

/** Where each parameter lies in the flat tensor, in order. */
export interface ParameterLayout {
  readonly specs: readonly ParameterSpec[];
  /** Elements of each parameter. */
  readonly sizes: readonly number[];
  /** First element of each parameter. */
  readonly offsets: readonly number[];
  /** Elements of all parameters. */
  readonly total: number;
}

/** Parameters by name, as the model reads them. */
export type Weights = Readonly<Record<string, Tensor>>;

/** A parameter set with a lifetime: whoever made it disposes `flat`. */
export interface Parameters {
  readonly layout: ParameterLayout;
  /** [total], float32. An optimizer step disposes it and puts the updated tensor here. */
  flat: Tensor1D;
}

/** Lays parameters out one after the other. */
export function layoutOf(specs: readonly ParameterSpec[]): ParameterLayout {
  const sizes = specs.map((spec) => spec.shape.reduce((product, size) => product * size, 1));
  const offsets: number[] = [];
  let total = 0;
  for (const size of sizes) {
    offsets.push(total);
    total += size;
  }
  return { specs, sizes, offsets, total };
}

/**
 * Views of the parameters by name. Differentiable: the gradient of a loss of these views with respect to
 * `flat` is one tensor [total]. Call inside `tf.tidy`; the caller owns the views.
 */
export function unflatten(layout: ParameterLayout, flat: Tensor1D): Weights {
  const parts = layout.specs.length === 1 ? [flat] : tf.split(flat, [...layout.sizes]);
  const weights: Record<string, Tensor> = {};
  layout.specs.forEach((spec, index) => {
    weights[spec.name] = tf.reshape(parts[index] as Tensor1D, [...spec.shape]);
  });
  return weights;
}

/** Uploads host values [total] as a parameter set. */
export function parametersFrom(layout: ParameterLayout, values: Float32Array): Parameters {
  if (values.length !== layout.total) {
    throw new ShapeError(`parameters: expected ${layout.total} values, received ${values.length}.`);
  }
  // A copy, because the backend may go on reading the array after this call.
  return { layout, flat: tf.tensor1d(values.slice()) };
}

/** Reads all values back to the host, [total]. */
export function readParameters(parameters: Parameters): Float32Array {
  return parameters.flat.dataSync() as Float32Array;
}

/** The host values of one parameter, a view into `values` [total]. */
export function parameterValues(layout: ParameterLayout, values: Float32Array, name: string): Float32Array {
  const index = layout.specs.findIndex((spec) => spec.name === name);
  if (index < 0) throw new ShapeError(`parameters: there is no "${name}".`);
  const start = layout.offsets[index] as number;
  return values.subarray(start, start + (layout.sizes[index] as number));
}

/** Reads one weight by name. */
export function weight<T extends Tensor = Tensor>(weights: Weights, name: string): T {
  const found = weights[name];
  if (found === undefined) throw new ShapeError(`parameters: the model asked for "${name}", which is not there.`);
  return found as T;
}
