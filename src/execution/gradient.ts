/** Losses and their gradients with respect to the trained parameters: op by op, and while a graph is traced. */

import type { Parameters } from '../tensor/parameters.ts';
import { assembleWeights, weightsOf } from '../tensor/parameters.ts';
import type { Scalar, Tensor, Tensor1D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { Weights } from '../tensor/weights.ts';
import type { LossTerms } from './objective.ts';

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

/** What a trace has of a loss. */
export interface TracedGradient {
  /** [1 + stats], the loss first. */
  readonly numbers: Tensor1D;
  /** Of the statistics. */
  readonly names: readonly string[];
  /** Of each trained parameter, in the order of the layout. */
  readonly gradients: readonly Tensor[];
}

/**
 * `lossAndGradient` while a graph is traced: nothing is read back, and each parameter is a tensor of its own.
 * @param trained in the order of the layout
 */
export function tracedLossAndGradient<Name extends string>(
  parameters: Parameters,
  trained: readonly Tensor[],
  loss: (weights: Weights) => LossTerms<Name>,
  dropoutSeed?: Scalar,
): TracedGradient {
  const { specs } = parameters.layout;
  let names: Name[] = [];
  let numbers: Tensor | null = null;
  const engine = tf.engine() as unknown as {
    gradients(f: () => Tensor, xs: readonly Tensor[], dy: null, allowNone: boolean): { grads: (Tensor | undefined)[] };
  };
  const { grads } = engine.gradients(
    () => {
      const byName = Object.fromEntries(specs.map(({ name }, i) => [name, trained[i] as Tensor]));
      const terms = loss(assembleWeights(parameters, byName, dropoutSeed));
      names = Object.keys(terms.stats) as Name[];
      numbers = tf.keep(tf.stack([terms.loss, ...names.map((name) => terms.stats[name])]));
      return terms.loss;
    },
    trained,
    null,
    true,
  );
  const gradients = grads.map((gradient, i) => gradient ?? tf.zerosLike(trained[i] as Tensor));
  return { numbers: numbers as unknown as Tensor1D, names, gradients };
}
