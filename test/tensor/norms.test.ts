import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { layerNorm, rmsNorm } from '../../src/tensor/norms.ts';
import type { Tensor1D, Tensor2D } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import '../helpers/allclose.ts';
import { take } from '../helpers/fixtures.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { expectGradient, normalTensor } from './gradient-check.ts';
import { expectNeutral } from './neutral.ts';

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it('RMS norm divides by the root of the mean square', () => {
    const x = tf.tensor2d([[3, 4, 0, 0], [1, -1, 1, -1]]); // biome-ignore format: rows
    const gain = tf.tensor1d([1, 2, 3, 4]);
    // √(25/4) = 2.5 and √1 = 1
    expect(take(rmsNorm(x, gain, 0))).toBeAllclose([1.2, 3.2, 0, 0, 1, -2, 3, -4]);
    tf.dispose([x, gain]);
  });

  it('layer norm gives mean 0 and biased variance 1 before gain and bias', () => {
    const x = tf.tensor2d([[1, 3, 5, 7]]);
    const gain = tf.tensor1d([1, 1, 1, 2]);
    const bias = tf.tensor1d([0, 0, 10, 0]);
    const root = Math.sqrt(5);
    expect(take(layerNorm(x, gain, bias, 0))).toBeAllclose([-3 / root, -1 / root, 10 + 1 / root, 6 / root]);
    tf.dispose([x, gain, bias]);
  });

  it('epsilon keeps a row of zeros finite', () => {
    const x = tf.zeros([1, 4]) as Tensor2D;
    const gain = tf.ones([4]) as Tensor1D;
    const bias = tf.fill([4], 2) as Tensor1D;
    expect([...take(rmsNorm(x, gain, 1e-5))]).toEqual([0, 0, 0, 0]);
    expect([...take(layerNorm(x, gain, bias, 1e-5))]).toEqual([2, 2, 2, 2]);
    tf.dispose([x, gain, bias]);
  });

  it('do not change when a row is scaled; layer norm neither when it is shifted', () => {
    const gain = tf.ones([6]) as Tensor1D;
    const bias = tf.zeros([6]) as Tensor1D;
    fc.assert(
      fc.property(fc.integer(), fc.float({ min: 0.5, max: 8, noNaN: true }), (seed, scale) => {
        const x = normalTensor<Tensor2D>([2, 6], seed);
        const [plain, scaled, layer, shifted] = tf.tidy(() => [
          rmsNorm(x, gain, 0),
          rmsNorm(tf.mul(x, scale), gain, 0),
          layerNorm(x, gain, bias, 0),
          layerNorm(tf.add(tf.mul(x, scale), 3), gain, bias, 0),
        ]) as [Tensor2D, Tensor2D, Tensor2D, Tensor2D];
        expect(take(scaled)).toBeAllclose(take(plain), { rtol: 1e-4, atol: 1e-5 });
        expect(take(shifted)).toBeAllclose(take(layer), { rtol: 1e-4, atol: 1e-4 });
        x.dispose();
      }),
      { seed: 1, numRuns: 10 },
    );
    tf.dispose([gain, bias]);
  });

  it('have the gradients of their values in every argument', () => {
    const weights = normalTensor<Tensor2D>([3, 6], 4);
    expectGradient([normalTensor([3, 6], 1), normalTensor([6], 2)], (x, gain) =>
      tf.sum(tf.mul(rmsNorm(x as Tensor2D, gain as Tensor1D, 1e-5), weights)),
    );
    expectGradient([normalTensor([3, 6], 1), normalTensor([6], 2), normalTensor([6], 3)], (x, gain, bias) =>
      tf.sum(tf.mul(layerNorm(x as Tensor2D, gain as Tensor1D, bias as Tensor1D, 1e-5), weights)),
    );
    weights.dispose();
  });

  it('leave no tensors behind, forwards and backwards', () => {
    const x = normalTensor<Tensor2D>([3, 6], 1);
    const vectors = [normalTensor<Tensor1D>([6], 2), normalTensor<Tensor1D>([6], 3)] as const;
    expectNeutral(() => rmsNorm(x, vectors[0], 1e-5));
    expectNeutral(() => layerNorm(x, ...vectors, 1e-5));
    expectNeutral(() => tf.grad((y) => tf.sum(rmsNorm(y as Tensor2D, vectors[0], 1e-5)))(x));
    expectNeutral(() => tf.grad((y) => tf.sum(layerNorm(y as Tensor2D, ...vectors, 1e-5)))(x));
    tf.dispose([x, ...vectors]);
  });
});
