/** Losses and their gradients with respect to a flat parameter tensor. */

import type { Tensors } from '../tensor/host-arrays.ts';
import type { Parameters } from '../tensor/parameters.ts';
import { weightsOf } from '../tensor/parameters.ts';
import type { Scalar, Tensor1D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { Weights } from '../tensor/weights.ts';

/** What a loss function returns: the scalar to minimise, and scalars to report. */
export interface LossTerms<Name extends string> {
  readonly loss: Scalar;
  readonly stats: Readonly<Record<Name, Scalar>>;
}

/** A loss whose arrays come anew with every step. */
export interface LossStep<Name extends string> {
  /** Differs wherever `terms` would compute something else from the same weights and arrays. */
  readonly key: string;
  /** Pure: everything that changes from step to step is among the arrays. */
  readonly terms: (weights: Weights, arrays: Tensors) => LossTerms<Name>;
}

/** A gradient that the caller disposes, and the numbers read back (once, together). */
export interface Gradient<Name extends string> {
  /** [total] */
  readonly gradient: Tensor1D;
  readonly loss: number;
  readonly stats: Record<Name, number>;
}

/**
 * Differentiates a loss of the weights with respect to those that are trained.
 * @param dropoutSeed of the step, where adapters drop inputs
 */
export function lossAndGradient<Name extends string>(
  parameters: Parameters,
  loss: (weights: Weights) => LossTerms<Name>,
  dropoutSeed?: number,
): Gradient<Name> {
  let names: Name[] = [];
  // Held across the tape's own clean-up, to be read back in one go.
  const held: { numbers: Tensor1D | null } = { numbers: null };
  const { value, grad } = tf.valueAndGrad((flat) => {
    const terms = loss(weightsOf(parameters, flat as Tensor1D, dropoutSeed));
    names = Object.keys(terms.stats) as Name[];
    held.numbers = tf.keep(tf.stack([terms.loss, ...names.map((name) => terms.stats[name])])) as Tensor1D;
    return terms.loss;
  })(parameters.flat);
  value.dispose();
  const numbers = (held.numbers as Tensor1D).dataSync();
  tf.dispose(held.numbers as Tensor1D);
  const stats = Object.fromEntries(names.map((name, i) => [name, numbers[i + 1]])) as Record<Name, number>;
  return { gradient: grad as Tensor1D, loss: numbers[0] as number, stats };
}
