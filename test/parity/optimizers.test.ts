/** AdamW, clipping and schedules against torch.optim, TensorFlow 1's Adam formula and transformers' schedules. */
import { beforeAll, describe, expect, it } from 'vitest';
import { createAdamW, disposeAdamW } from '../../src/execution/adamw.ts';
import { learningRateAt } from '../../src/execution/schedule.ts';
import { layoutOf, parameterValues, readParameters } from '../../src/tensor/parameters.ts';
import type { Scalar } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import { tolerance } from '../helpers/allclose.ts';
import type { FixtureTensor } from '../helpers/fixtures.ts';
import { fixture, upload } from '../helpers/fixtures.ts';
import { parametersOf, specOf } from '../helpers/parameters.ts';
import { asTensors } from '../helpers/tensors.ts';
import { updateParameters } from '../helpers/update-parameters.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';

type Named = Record<'kernel' | 'bias' | 'table', FixtureTensor>;
interface Optimizers {
  adamw: Record<'learningRate' | 'beta1' | 'beta2' | 'weightDecay' | 'maximumNorm', number> & {
    parameters: Named;
    gradients: Named[];
    cases: {
      epsilonStyle: 'pytorch' | 'tensorflow';
      epsilon: number;
      gradientNorms: number[];
      parametersAfter: Named[];
      moments: Record<keyof Named, { first: FixtureTensor; second: FixtureTensor }>;
    }[];
  };
  schedules: Record<'totalSteps' | 'warmupSteps' | 'finalFraction', number> &
    Record<'linear' | 'linearNoWarmup' | 'linearToFraction' | 'cosine' | 'cosineToFraction', number[]>;
}

const { adamw, schedules } = fixture<Optimizers>('optimizers.json');
const names = Object.keys(adamw.parameters) as (keyof Named)[];
const layout = layoutOf(names.map((name) => specOf(name, adamw.parameters[name].shape)));
const concatenated = (from: Named): Float32Array => Float32Array.from(names.flatMap((name) => from[name].data));

describe.each(lanesToTest())('AdamW on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it.each(adamw.cases)('makes ten clipped steps in $epsilonStyle style with epsilon $epsilon', (from) => {
    const { beta1, beta2, weightDecay, learningRate, maximumNorm } = adamw;
    const { epsilon, epsilonStyle } = from;
    const parameters = parametersOf(layout, concatenated(adamw.parameters));
    const adam = createAdamW(layout, { beta1, beta2, weightDecay, epsilon, epsilonStyle });
    adamw.gradients.forEach((gradients, step) => {
      // The gradient of Σ g · p with respect to p is g.
      const { gradientNorm } = updateParameters(
        parameters,
        adam,
        [
          (weights) => {
            const products = names.map((name) => tf.sum(tf.mul(asTensors(weights)[name]!, upload(gradients[name]))));
            return { loss: tf.addN(products) as Scalar, stats: {} };
          },
        ],
        { learningRate, clipNorm: maximumNorm, where: `step ${step}` },
      );
      expect([gradientNorm]).toBeAllclose([from.gradientNorms[step]!], tolerance.byHand);
      const values = readParameters(parameters);
      for (const name of names) {
        const expected = from.parametersAfter[step]![name].data;
        expect(parameterValues(layout, values, name), `${name} after ${step}`).toBeAllclose(expected, tolerance.byHand);
      }
    });
    const first = adam.first.read();
    const second = adam.second.read();
    for (const name of names) {
      // Tiny numbers: the absolute part of the tolerance would hide them.
      const relative = { rtol: 1e-4, atol: 1e-12 };
      expect(parameterValues(layout, first, name)).toBeAllclose(from.moments[name].first.data, relative);
      expect(parameterValues(layout, second, name)).toBeAllclose(from.moments[name].second.data, relative);
    }
    disposeAdamW(adam);
    parameters.stored.dispose();
  });
});

describe('schedules', () => {
  const { totalSteps, warmupSteps, finalFraction } = schedules;
  it.each([
    ['linear', 'linear', warmupSteps, 0],
    ['linearNoWarmup', 'linear', 0, 0],
    ['linearToFraction', 'linear', warmupSteps, finalFraction],
    ['cosine', 'cosine', warmupSteps, 0],
    ['cosineToFraction', 'cosine', warmupSteps, finalFraction],
  ] as const)('%s equals transformers’ from the end of the warm-up on', (name, schedule, warmup, finalRate) => {
    const settings = { learningRate: 1, schedule, warmupSteps: warmup, finalRate };
    const found = schedules[name].map((_, step) => learningRateAt(settings, step, totalSteps));
    expect(found.slice(warmup)).toBeAllclose(schedules[name].slice(warmup), { rtol: 1e-9, atol: 1e-9 });
  });

  it('warms up as transformers’ with one warm-up step more, whose first update has rate 0 and is left out', () => {
    const settings = { learningRate: 1, schedule: 'linear', warmupSteps: warmupSteps - 1, finalRate: 0 } as const;
    const found = Array.from({ length: warmupSteps }, (_, step) => learningRateAt(settings, step, totalSteps));
    expect(schedules.linear[0]).toBe(0);
    expect(found).toBeAllclose(schedules.linear.slice(1, warmupSteps + 1), { rtol: 1e-9, atol: 1e-9 });
  });
});
