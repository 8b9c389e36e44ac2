import { beforeAll, describe, expect, it } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import { layoutOf, parameterValues, readParameters, unflatten } from '../../src/tensor/parameters.ts';
import type { Tensor1D } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import { weight } from '../../src/tensor/weights.ts';
import { parametersOf, specOf } from '../helpers/parameters.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { expectNeutral } from './neutral.ts';

const layout = layoutOf([specOf('matrix', [2, 3]), specOf('scalar', []), specOf('vector', [4])]);
const values = Float32Array.from({ length: 11 }, (_, i) => i);

describe('a layout', () => {
  it('lays parameters one after the other', () => {
    expect(layout).toMatchObject({ sizes: [6, 1, 4], offsets: [0, 6, 7], total: 11 });
  });

  it('finds the values of one parameter as a view', () => {
    const own = values.slice();
    parameterValues(layout, own, 'vector')[0] = -1;
    expect([...own]).toEqual([0, 1, 2, 3, 4, 5, 6, -1, 8, 9, 10]);
  });

  it('says which parameter is not there', () => {
    expect(() => parameterValues(layout, values, 'bias')).toThrow(new ShapeError('parameters: there is no "bias".'));
  });
});

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it('gives views by name, of the right shapes', () => {
    const parameters = parametersOf(layout, values);
    const weights = unflatten(layout, parameters.flat);
    expect(Object.entries(weights).map(([name, x]) => [name, x.shape, [...x.dataSync()]])).toEqual([
      ['matrix', [2, 3], [0, 1, 2, 3, 4, 5]],
      ['scalar', [], [6]],
      ['vector', [4], [7, 8, 9, 10]],
    ]);
    tf.dispose([parameters.flat, ...Object.values(weights)]);
  });

  it('gives one gradient for all views, also where there is a single parameter', () => {
    for (const specs of [layout.specs, [specOf('vector', [11])]]) {
      const one = layoutOf(specs);
      const parameters = parametersOf(one, values);
      const gradient = tf.grad((flat) => {
        const found = unflatten(one, flat as Tensor1D).vector!;
        return tf.sum(tf.square(found));
      })(parameters.flat);
      const expected = specs.length === 1 ? [...values].map((x) => 2 * x) : [0, 0, 0, 0, 0, 0, 0, 14, 16, 18, 20];
      expect([...gradient.dataSync()]).toEqual(expected);
      tf.dispose([gradient, parameters.flat]);
    }
  });

  it('keeps its own copy of the values it was made from', () => {
    const given = values.slice();
    const parameters = parametersOf(layout, given);
    given.fill(-1);
    expect([...readParameters(parameters)]).toEqual([...values]);
    parameters.stored.dispose();
  });

  it('refuses another number of values', () => {
    expect(() => parametersOf(layout, new Float32Array(10))).toThrow(
      new ShapeError('parameters: expected 11 values, received 10.'),
    );
  });

  it('says which weight the model asked for in vain', () => {
    expect(() => weight({}, 'head.weight')).toThrow(
      new ShapeError('parameters: the model asked for "head.weight", which is not there.'),
    );
  });

  it('leaves no tensors behind', () => {
    expectNeutral(() => parametersOf(layout, values).flat);
    const parameters = parametersOf(layout, values);
    expectNeutral(() => Object.values(tf.tidy(() => unflatten(layout, parameters.flat))));
    parameters.stored.dispose();
  });
});
