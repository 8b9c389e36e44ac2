/** AdamW by hand in both epsilon styles, what decays, and moments that outlive a run. */
import { beforeAll, describe, expect, it } from 'vitest';
import type { AdamW } from '../../src/execution/adamw.ts';
import { createAdamW, disposeAdamW } from '../../src/execution/adamw.ts';
import { applyAdamW } from '../../src/execution/apply-adamw.ts';
import { seededRandom } from '../../src/random.ts';
import type { Parameters } from '../../src/tensor/parameters.ts';
import { layoutOf, readParameters } from '../../src/tensor/parameters.ts';
import { tf } from '../../src/tensor/tf.ts';
import { parametersOf, specOf } from '../helpers/parameters.ts';
import '../helpers/allclose.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { expectNeutral } from '../tensor/neutral.ts';

const layout = layoutOf([specOf('bias', [2]), specOf('matrix', [1, 2])]);
const options = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, epsilonStyle: 'pytorch', weightDecay: 0 } as const;

function apply(adam: AdamW, parameters: Parameters, gradient: number[], learningRate: number): Float32Array {
  const g = tf.tensor1d(gradient);
  applyAdamW(adam, parameters, g, learningRate);
  g.dispose();
  return readParameters(parameters).slice();
}

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it('moves every parameter by the learning rate in the first step, whatever its gradient', () => {
    const parameters = parametersOf(layout, Float32Array.of(1, 1, 1, 1));
    const adam = createAdamW(layout, options);
    expect(apply(adam, parameters, [5, -0.001, 100, 0], 0.1)).toBeAllclose([0.9, 1.1, 0.9, 1]);
    expect(adam.step).toBe(1);
    disposeAdamW(adam);
    parameters.stored.dispose();
  });

  it('puts epsilon after the correction (pytorch) or before it (tensorflow)', () => {
    // g = 1, t = 1: √v = 0.1, correction √(1 − 0.99) = 0.1, m̂ = 1.
    // pytorch: 1 / (0.1/0.1 + 0.1) = 1/1.1; tensorflow: 0.1 · 1 / (0.1 + 0.1) = 1/2.
    for (const [epsilonStyle, expected] of [
      ['pytorch', 1 - 1 / 1.1],
      ['tensorflow', 0.5],
    ] as const) {
      const parameters = parametersOf(layout, Float32Array.of(1, 1, 1, 1));
      const adam = createAdamW(layout, { ...options, epsilon: 0.1, epsilonStyle });
      expect(apply(adam, parameters, [1, 1, 1, 1], 1)).toBeAllclose([expected, expected, expected, expected]);
      disposeAdamW(adam);
      parameters.stored.dispose();
    }
  });

  it('decays matrices only, by learning rate · decay of their value before the step', () => {
    const parameters = parametersOf(layout, Float32Array.of(10, 10, 10, -20));
    const adam = createAdamW(layout, { ...options, weightDecay: 0.5 });
    // Gradient 0: nothing but the decay; 1 − 0.1 · 0.5 = 0.95.
    expect(apply(adam, parameters, [0, 0, 0, 0], 0.1)).toBeAllclose([10, 10, 9.5, -19]);
    disposeAdamW(adam);
    parameters.stored.dispose();
  });

  it('goes on from saved moments exactly as without the interruption', () => {
    const random = seededRandom(1);
    const gradients = Array.from({ length: 8 }, () => Array.from({ length: 4 }, () => random.normal()));
    const decaying = { ...options, weightDecay: 0.1 };
    const start = Float32Array.of(1, 2, 3, 4);
    const whole = { parameters: parametersOf(layout, start), adam: createAdamW(layout, decaying) };
    const results = gradients.map((gradient) => apply(whole.adam, whole.parameters, gradient, 0.01));

    const first = { parameters: parametersOf(layout, start), adam: createAdamW(layout, decaying) };
    for (const gradient of gradients.slice(0, 3)) apply(first.adam, first.parameters, gradient, 0.01);
    const saved = {
      step: first.adam.step,
      firstMoment: Float32Array.from(first.adam.first.read()),
      secondMoment: Float32Array.from(first.adam.second.read()),
    };
    const second = {
      parameters: parametersOf(layout, readParameters(first.parameters)),
      adam: createAdamW(layout, decaying, saved),
    };
    gradients.slice(3).forEach((gradient, i) => {
      expect(apply(second.adam, second.parameters, gradient, 0.01)).toEqual(results[3 + i]);
    });
    for (const { parameters, adam } of [whole, first, second]) {
      disposeAdamW(adam);
      parameters.stored.dispose();
    }
  });

  it('leaves no tensors behind, and does not dispose the gradient', () => {
    const parameters = parametersOf(layout, Float32Array.of(1, 2, 3, 4));
    const adam = createAdamW(layout, { ...options, weightDecay: 0.1 });
    const gradient = tf.tensor1d([1, 1, 1, 1]);
    expectNeutral(() => {
      applyAdamW(adam, parameters, gradient, 0.1);
    });
    expect(gradient.isDisposed).toBe(false);
    expectNeutral(() => {
      disposeAdamW(createAdamW(layout, options));
    });
    disposeAdamW(adam);
    tf.dispose([parameters.flat, gradient]);
  });
});
