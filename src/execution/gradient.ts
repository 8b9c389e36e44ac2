/** Losses and their gradients with respect to the trained parameters: op by op, and while a graph is traced. */

import type { Parameters } from '../tensor/parameters.ts';
import { assembleWeights, weightsOf } from '../tensor/parameters.ts';
import type { Scalar, Tensor, Tensor1D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { Weights } from '../tensor/weights.ts';
import type { LossTerms } from './objective.ts';
import type { SumOfLoss } from './phases.ts';

/** A gradient that the caller disposes, and the numbers read back (once, together). */
export interface Gradient<Name extends string> extends SumOfLoss<Name> {
  /** [total] */
  readonly gradient: Tensor1D;
}

/** The numbers of a loss. */
interface Stacked<Name extends string> {
  /** [1 + stats], the loss first; outlives the tape it is made on. */
  readonly numbers: Tensor1D;
  /** Of the statistics. */
  readonly names: readonly Name[];
}

function stacked<Name extends string>({ loss, stats }: LossTerms<Name>): Stacked<Name> {
  const names = Object.keys(stats) as Name[];
  return { numbers: tf.keep(tf.stack([loss, ...names.map((name) => stats[name])])) as Tensor1D, names };
}

/** The values of `stacked`, by name. */
export function namedNumbers<Name extends string>(
  numbers: ArrayLike<number>,
  names: readonly string[],
): SumOfLoss<Name> {
  const stats = Object.fromEntries(names.map((name, i) => [name, numbers[i + 1]])) as Record<Name, number>;
  return { loss: numbers[0] as number, stats };
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
  // Held across the tape's own clean-up, to be read back in one go.
  let held: Stacked<Name> | null = null;
  const { value, grad } = tf.valueAndGrad((flat) => {
    const terms = loss(weightsOf(parameters, flat as Tensor1D, dropoutSeed));
    held = stacked(terms);
    return terms.loss;
  })(parameters.flat);
  value.dispose();
  const { numbers, names } = held as unknown as Stacked<Name>;
  const found = namedNumbers<Name>(numbers.dataSync(), names);
  numbers.dispose();
  return { gradient: grad as Tensor1D, ...found };
}

/** What a trace has of a loss. */
interface TracedGradient extends Stacked<string> {
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
  let held: Stacked<Name> | null = null;
  const engine = tf.engine() as unknown as {
    gradients(f: () => Tensor, xs: readonly Tensor[], dy: null, allowNone: boolean): { grads: (Tensor | undefined)[] };
  };
  const { grads } = engine.gradients(
    () => {
      const byName = Object.fromEntries(specs.map(({ name }, i) => [name, trained[i] as Tensor]));
      const terms = loss(assembleWeights(parameters, byName, dropoutSeed));
      held = stacked(terms);
      return terms.loss;
    },
    trained,
    null,
    true,
  );
  const gradients = grads.map((gradient, i) => gradient ?? tf.zerosLike(trained[i] as Tensor));
  return { ...(held as unknown as Stacked<Name>), gradients };
}
