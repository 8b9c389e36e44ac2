/** Clipping and AdamW have three forms, op by op, as nodes of a graph and as one native op: the same gradients give the same numbers. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AdamWOptions } from '../../src/execution/adamw.ts';
import { createAdamW, disposeAdamW } from '../../src/execution/adamw.ts';
import { learn } from '../../src/execution/learn.ts';
import type { Loss } from '../../src/execution/objective.ts';
import { setCompilation } from '../../src/graph/mode.ts';
import type { Model } from '../../src/model/model.ts';
import { seededRandom } from '../../src/random.ts';
import { pick } from '../../src/tensor/host-arrays.ts';
import { layoutOf, readParameters } from '../../src/tensor/parameters.ts';
import type { Scalar, Tensor1D } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import '../helpers/allclose.ts';
import { canHaveNativeOps, openNativeLane } from '../helpers/native-ops.ts';
import { parametersOf, specOf } from '../helpers/parameters.ts';
import { asTensors } from '../helpers/tensors.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';

const layout = layoutOf([specOf('bias', [3]), specOf('matrix', [2, 2])]);
const random = seededRandom(3, 'gradients');
const gradients = Array.from({ length: 6 }, () => Float32Array.from({ length: 7 }, () => random.normal()));

/** The gradient of Σ g · p with respect to p is g. */
const given: Loss<never> = {
  key: 'given gradients',
  unit: 'gradients',
  terms: (_, weights, arrays) => {
    const { bias, matrix } = asTensors(weights);
    const flat = tf.concat([bias as Tensor1D, tf.reshape(matrix!, [4])]);
    return { loss: tf.sum(tf.mul(flat, pick(arrays, 'gradient'))) as Scalar, stats: {} };
  },
};

/** Norms of all steps, then parameters and moments; each gradient whole, or as two halves that are added up. */
async function course(compile: 'on' | 'off', options: AdamWOptions, clipNorm: number | null, parts: 1 | 2) {
  setCompilation({ compile });
  const parameters = parametersOf(
    layout,
    Float32Array.from({ length: 7 }, (_, i) => i - 3),
  );
  const adam = createAdamW(layout, options);
  const norms: number[] = [];
  for (const gradient of gradients) {
    const values = gradient.map((value) => value / parts);
    const part = { arrays: { gradient: { shape: [7], values } }, count: 1 };
    const settings = { learningRate: 0.05, clipNorm, where: 'test' };
    const found = await learn({ parameters } as Model, adam, given, new Array(parts).fill(part), settings);
    norms.push(found.gradientNorm);
  }
  const state = [...readParameters(parameters), ...adam.first.read(), ...adam.second.read()];
  disposeAdamW(adam);
  parameters.stored.dispose();
  return { norms, state };
}

const forms = [
  { name: 'as nodes', canRun: lanesToTest().includes('tensorflow'), open: () => useLane('tensorflow') },
  { name: 'as a native op (needs a C++ compiler)', canRun: canHaveNativeOps(), open: openNativeLane },
];
describe.for(forms)('clipping and AdamW, $name', { timeout: 300_000 }, ({ canRun, open }) => {
  beforeAll(async () => {
    if (canRun) await open();
  }, 300_000);
  afterAll(() => setCompilation({}));

  const plain = { beta1: 0.9, beta2: 0.99, epsilon: 1e-3, weightDecay: 0 } as const;
  const cases = (['pytorch', 'tensorflow'] as const).flatMap((epsilonStyle) =>
    [null, 1].flatMap((clipNorm) => [
      { clipNorm, options: { ...plain, epsilonStyle } },
      {
        clipNorm,
        options: { ...plain, epsilonStyle, weightDecay: 0.1, rateOf: ({ name }: { name: string }) => name.length / 10 },
      },
    ]),
  );

  it.runIf(canRun).each(cases)(
    '$options.epsilonStyle, clipped to $clipNorm, decay $options.weightDecay',
    async (one) => {
      const eager = await course('off', one.options, one.clipNorm, 1);
      for (const parts of [1, 2] as const) {
        const graph = await course('on', one.options, one.clipNorm, parts);
        expect(graph.norms).toBeAllclose(eager.norms, { rtol: 1e-6, atol: 0 });
        expect(graph.state).toBeAllclose(eager.state, { rtol: 1e-5, atol: 1e-6 });
      }
      // Every norm is above 1, so that the clipped cases clip.
      expect(Math.min(...eager.norms)).toBeGreaterThan(1);
    },
  );
});
