import { beforeAll, describe, expect, it } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import { initialValues } from '../../src/model/initialize.ts';
import type { Model } from '../../src/model/model.ts';
import { disposeModel, modelFrom, modelWeights, newModel, scaleScores } from '../../src/model/model.ts';
import { parameterSpecs } from '../../src/model/parameter-table.ts';
import { seededRandom } from '../../src/random.ts';
import { parameterValues, readParameters } from '../../src/tensor/parameters.ts';
import { tf } from '../../src/tensor/tf.ts';
import '../helpers/allclose.ts';
import { asTensors } from '../helpers/tensors.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { expectNeutral } from '../tensor/neutral.ts';
import { tinyDimensions, tinyModel, tinyStyles } from './tiny-model.ts';

const valuesOf = (model: Model, name: string): number[] => [
  ...parameterValues(model.parameters.layout, readParameters(model.parameters), name),
];

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it('a new model holds the initial values', () => {
    const model = newModel(tinyDimensions.llama, 'tokens', seededRandom(3));
    expect(readParameters(model.parameters)).toEqual(initialValues(tinyDimensions.llama, 'tokens', seededRandom(3)));
    disposeModel(model);
  });

  it('refuses another number of values', () => {
    expect(() => modelFrom(tinyDimensions.llama, 'tokens', new Float32Array(3))).toThrow(ShapeError);
  });

  it('gives weights by name with the shapes of the specs', () => {
    const model = tinyModel('gpt2');
    tf.tidy(() => {
      const weights = modelWeights(model);
      const specs = parameterSpecs(model.dimensions, 'tokens').map(({ name, shape }) => ({ name, shape }));
      expect(Object.entries(asTensors(weights)).map(([name, { shape }]) => ({ name, shape }))).toEqual(specs);
    });
    disposeModel(model);
  });

  it.each(tinyStyles)('scaling the scores of %s changes the head alone', (style) => {
    const model = tinyModel(style, 'score');
    const scaled = scaleScores(model, 0.5);
    expect(scaled).toMatchObject({ dimensions: model.dimensions, head: 'score' });
    for (const { name } of scaled.parameters.layout.specs) {
      const expected = valuesOf(model, name).map((value) => (name === 'score.weight' ? value / 2 : value));
      expect(valuesOf(scaled, name), name).toEqual(expected);
    }
    disposeModel(model);
    disposeModel(scaled);
  });

  it('leaves no tensors behind', () => {
    expectNeutral(() => {
      const model = newModel(tinyDimensions.gpt2, 'tokens', seededRandom(1));
      disposeModel(model);
    });
  });
});
