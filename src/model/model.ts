/** A decoder with its parameters: what stages load, train and save. */
import type { Random } from '../random.ts';
import type { Parameters, Weights } from '../tensor/parameters.ts';
import { layoutOf, parametersFrom, readParameters, unflatten } from '../tensor/parameters.ts';
import type { HeadKind, ModelDimensions } from './dimensions.ts';
import { parameterSpecs } from './dimensions.ts';
import { initialValues, scoreDeviation } from './initialize.ts';

/** Whoever made a model disposes `parameters.flat`. */
export interface Model {
  readonly dimensions: ModelDimensions;
  readonly head: HeadKind;
  readonly parameters: Parameters;
}

/** A model with initial weights. */
export function newModel(dimensions: ModelDimensions, head: HeadKind, random: Random): Model {
  return modelFrom(dimensions, head, initialValues(dimensions, head, random));
}

/** A model from host values in the order of `parameterSpecs`. */
export function modelFrom(dimensions: ModelDimensions, head: HeadKind, values: Float32Array): Model {
  return { dimensions, head, parameters: parametersFrom(layoutOf(parameterSpecs(dimensions, head)), values) };
}

/**
 * A scalar-score model with the trunk of a language model; the token head, if it has one of its own, is dropped and
 * the score head drawn from N(0, 1/(d_model + 1)).
 */
export function scoreModelFrom(model: Model, random: Random): Model {
  const target = layoutOf(parameterSpecs(model.dimensions, 'score'));
  const source = model.parameters.layout;
  const from = readParameters(model.parameters);
  const values = new Float32Array(target.total);
  target.specs.forEach((spec, index) => {
    const at = target.offsets[index] as number;
    const size = target.sizes[index] as number;
    const found = source.specs.findIndex((candidate) => candidate.name === spec.name);
    if (found >= 0) {
      const start = source.offsets[found] as number;
      values.set(from.subarray(start, start + size), at);
    } else {
      const deviation = scoreDeviation(model.dimensions);
      for (let i = at; i < at + size; i++) values[i] = deviation * random.normal();
    }
  });
  return modelFrom(model.dimensions, 'score', values);
}

/**
 * The same score model with every score multiplied by `factor`. The head has no bias, so scaling it scales the scores;
 * the model given is not freed.
 */
export function scaleScores(model: Model, factor: number): Model {
  const { layout } = model.parameters;
  // A copy: what is read may be the tensor's own memory.
  const values = readParameters(model.parameters).slice();
  const head = layout.specs.findIndex(({ name }) => name === 'score.weight');
  const start = layout.offsets[head] as number;
  for (let i = start; i < start + (layout.sizes[head] as number); i++) values[i] = (values[i] as number) * factor;
  return modelFrom(model.dimensions, model.head, values);
}

/** Weights by name; call inside `tf.tidy`. */
export function modelWeights(model: Model): Weights {
  return unflatten(model.parameters.layout, model.parameters.flat);
}

/** Frees the parameters. */
export function disposeModel(model: Model): void {
  model.parameters.flat.dispose();
}
