import { beforeAll, describe, expect, it } from 'vitest';
import { lossAndGradient } from '../../src/execution/gradient.ts';
import { layoutOf } from '../../src/tensor/parameters.ts';
import type { Scalar } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import { parametersOf, specOf } from '../helpers/parameters.ts';
import { asTensors } from '../helpers/tensors.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { expectNeutral } from '../tensor/neutral.ts';

const layout = layoutOf([specOf('a', [2]), specOf('b', [1, 2])]);

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it('gives the loss, its gradient in the order of the layout, and the other numbers by name', () => {
    const parameters = parametersOf(layout, Float32Array.of(1, 2, 3, 4));
    const found = lossAndGradient(parameters, (weights) => {
      const { a, b } = asTensors(weights);
      return {
        loss: tf.sum(tf.mul(tf.square(b!), 2)) as Scalar,
        stats: { sumOfA: tf.sum(a!) as Scalar, largest: tf.max(b!) as Scalar },
      };
    });
    expect(found).toMatchObject({ loss: 50, stats: { sumOfA: 3, largest: 4 } });
    expect([...found.gradient.dataSync()]).toEqual([0, 0, 12, 16]);
    tf.dispose([parameters.flat, found.gradient]);
  });

  it('leaves nothing behind but the gradient', () => {
    const parameters = parametersOf(layout, Float32Array.of(1, 2, 3, 4));
    expectNeutral(() => {
      const { gradient } = lossAndGradient(parameters, (weights) => {
        const { a } = asTensors(weights);
        return { loss: tf.sum(tf.square(a!)) as Scalar, stats: { sum: tf.sum(a!) as Scalar } };
      });
      return gradient;
    });
    parameters.stored.dispose();
  });
});
