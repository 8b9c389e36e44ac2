/** A decoder with its parameters: what stages load, train and save. */
import type { Random } from '../random.ts';
import { hostSlabs, sharableFloat32 } from '../tensor/host-memory.ts';
import type { Adapters, ParameterSpec, Parameters } from '../tensor/parameters.ts';
import {
  adapterSpecs,
  layoutOf,
  lowRankSpecs,
  ownedParameters,
  parameterValues,
  readParameters,
  tokenAxis,
  weightsOf,
} from '../tensor/parameters.ts';
import { tf } from '../tensor/tf.ts';
import { tokenValues } from '../tensor/token-rows.ts';
import type { Frozen, Weights } from '../tensor/weights.ts';
import { freeze } from '../tensor/weights.ts';
import type { HeadKind, ModelDimensions } from './dimensions.ts';
import { initialValues, initialValuesOf } from './initialize.ts';
import { parameterSpecs } from './parameter-table.ts';

/** A model is disposed by its creator; models may share frozen parameters. */
export interface Model {
  readonly dimensions: ModelDimensions;
  readonly head: HeadKind;
  readonly parameters: Parameters;
  /** In training, keep only each layer's input and compute the rest again for the gradient. */
  readonly recompute?: boolean;
}

/** Which parameters are trained, and how the others are kept. */
export interface TrainingPlan {
  /** Whether a parameter of the decoder is trained itself. */
  readonly trains: (spec: ParameterSpec) => boolean;
  /** Low-rank changes and rows of tokens that are trained on top of frozen matrices. */
  readonly adapters: Adapters | null;
  readonly frozenPrecision: Frozen['precision'];
  readonly recompute: boolean;
}

/** Everything is trained. */
export const TRAIN_ALL: TrainingPlan = {
  trains: () => true,
  adapters: null,
  frozenPrecision: 'float32',
  recompute: false,
};

/** Nothing is trained. */
export function trainNothing(frozenPrecision: Frozen['precision'] = 'float32'): TrainingPlan {
  return { ...TRAIN_ALL, trains: () => false, frozenPrecision };
}

/** A model with initial weights. */
export function newModel(dimensions: ModelDimensions, head: HeadKind, random: Random): Model {
  return modelFrom(dimensions, head, initialValues(dimensions, head, random));
}

/** A model that is trained whole, from host values in the order of `parameterSpecs`. */
export function modelFrom(dimensions: ModelDimensions, head: HeadKind, values: Float32Array): Model {
  const layout = layoutOf(parameterSpecs(dimensions, head));
  return { dimensions, head, parameters: ownedParameters(layout, values.slice()) };
}

/**
 * A model from its parameters, read one at a time: each is frozen, or copied into the one flat tensor that is trained.
 * @param read gives the values of a parameter in a fresh array
 * @param random draws the adapters, where there are any; they change nothing until they are trained, and rows of tokens begin as the table's
 */
export function assembleModel(
  dimensions: ModelDimensions,
  head: HeadKind,
  read: (spec: ParameterSpec) => Float32Array,
  plan: TrainingPlan,
  random: Random,
): Model {
  const { adapters } = plan;
  const specs = parameterSpecs(dimensions, head);
  const layout = layoutOf([...specs.filter(plan.trains), ...(adapters === null ? [] : adapterSpecs(adapters))]);
  const values = sharableFloat32(layout.total);
  const frozen: Record<string, Frozen> = {};
  const allocate = hostSlabs();
  for (const spec of specs) {
    const given = read(spec);
    if (plan.trains(spec)) parameterValues(layout, values, spec.name).set(given);
    else frozen[spec.name] = freeze(given, spec.shape, plan.frozenPrecision, allocate);
    for (const { name, matrix, ids } of adapters?.tokenRows ?? []) {
      if (matrix.name !== spec.name) continue;
      parameterValues(layout, values, name).set(tokenValues(given, spec.shape, ids, tokenAxis(spec)));
    }
  }
  for (const spec of adapters === null ? [] : lowRankSpecs(adapters))
    parameterValues(layout, values, spec.name).set(initialValuesOf(spec, dimensions, random));
  const parameters = ownedParameters(layout, values, { frozen, adapters });
  return { dimensions, head, parameters, recompute: plan.recompute };
}

/**
 * A model of another kind on the same frozen parameters: adapters, and a score head where it has one, are trained.
 * @param read gives the values of what is trained
 */
export function adaptModel(
  base: Model,
  head: HeadKind,
  adapters: Adapters,
  read: (spec: ParameterSpec) => Float32Array,
): Model {
  const scoreHead = parameterSpecs(base.dimensions, head).filter(({ role }) => role === 'head.score');
  const layout = layoutOf([...scoreHead, ...adapterSpecs(adapters)]);
  const values = new Float32Array(layout.total);
  for (const spec of layout.specs) parameterValues(layout, values, spec.name).set(read(spec));
  return { ...base, head, parameters: ownedParameters(layout, values, { frozen: base.parameters.frozen, adapters }) };
}

/** The same model without its low-rank changes and without anything trained; shares what is frozen. */
export function withoutAdapters(model: Model): Model {
  const rest = { frozen: model.parameters.frozen, adapters: null };
  return { ...model, parameters: ownedParameters(layoutOf([]), new Float32Array(0), rest) };
}

/**
 * The same score model with every score multiplied by `factor`. The head has no bias, so scaling it scales the scores;
 * the model given is not freed. Its head has to be trained.
 */
export function scaleScores(model: Model, factor: number): Model {
  const { layout, frozen, adapters } = model.parameters;
  // A copy: what is read may be the tensor's own memory.
  const values = readParameters(model.parameters).slice();
  const head = parameterValues(layout, values, 'score.weight');
  for (let i = 0; i < head.length; i++) head[i] = (head[i] as number) * factor;
  return { ...model, parameters: ownedParameters(layout, values, { frozen, adapters }) };
}

/** Weights by name; call inside `tf.tidy`. */
export function modelWeights(model: Model): Weights {
  return weightsOf(model.parameters);
}

/** Frees the parameters, those it shares with other models too. */
export function disposeModel(model: Model): void {
  model.parameters.stored.dispose();
  tf.dispose(Object.values(model.parameters.frozen).map(({ data }) => data));
}
