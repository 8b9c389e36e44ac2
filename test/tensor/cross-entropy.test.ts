import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { sparseCrossEntropy } from '../../src/tensor/cross-entropy.ts';
import type { Tensor1D, Tensor2D } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import '../helpers/allclose.ts';
import { take } from '../helpers/fixtures.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { expectGradient, normalTensor } from './gradient-check.ts';
import { expectNeutral } from './neutral.ts';

const finite = fc.float({ min: -30, max: 30, noNaN: true });

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it('is log vocab for equal logits, and −log of the label’s share otherwise', () => {
    const logits = tf.tensor2d([[5, 5, 5, 5], [0, Math.log(3), Math.log(4), Math.log(8)]]); // biome-ignore format: rows
    const labels = tf.tensor1d([2, 2], 'int32');
    expect(take(sparseCrossEntropy(logits, labels))).toBeAllclose([Math.log(4), Math.log(4)]);
    tf.dispose([logits, labels]);
  });

  it('is finite for logits whose exponentials are not', () => {
    const logits = tf.tensor2d([[1000, 0], [-1000, 0]]); // biome-ignore format: rows
    const labels = tf.tensor1d([1, 1], 'int32');
    expect(take(sparseCrossEntropy(logits, labels))).toBeAllclose([1000, 0]);
    tf.dispose([logits, labels]);
  });

  it('equals log Σ exp − logit in float64 for any logits and labels', () => {
    fc.assert(
      fc.property(fc.array(finite, { minLength: 1, maxLength: 9 }), fc.nat(), (row, at) => {
        const label = at % row.length;
        const top = Math.max(...row);
        const expected = top + Math.log(row.reduce((sum, x) => sum + Math.exp(x - top), 0)) - row[label]!;
        const logits = tf.tensor2d([row]);
        const labels = tf.tensor1d([label], 'int32');
        expect(take(sparseCrossEntropy(logits, labels))).toBeAllclose([expected], { rtol: 1e-5, atol: 1e-5 });
        tf.dispose([logits, labels]);
      }),
      { seed: 1, numRuns: 30 },
    );
  });

  it('has the gradient softmax − one-hot, weighted by what comes from above', () => {
    const labels = tf.tensor1d([0, 3], 'int32');
    const logits = tf.tensor2d([[Math.log(1), Math.log(3)], [0, 0]]); // biome-ignore format: rows
    const weights = tf.tensor1d([1, 10]);
    const two = tf.tensor1d([0, 1], 'int32');
    const gradient = tf.grad((x) => tf.sum(tf.mul(weights, sparseCrossEntropy(x as Tensor2D, two))))(logits);
    expect(take(gradient)).toBeAllclose([-0.75, 0.75, 5, -5]);
    const random = normalTensor<Tensor1D>([2], 2);
    expectGradient([normalTensor([2, 5], 1)], (x) => tf.sum(tf.mul(random, sparseCrossEntropy(x as Tensor2D, labels))));
    tf.dispose([labels, logits, weights, two, random]);
  });

  it('leaves no tensors behind, forwards and backwards', () => {
    const logits = normalTensor<Tensor2D>([3, 8], 1);
    const labels = tf.tensor1d([0, 3, 7], 'int32');
    expectNeutral(() => sparseCrossEntropy(logits, labels));
    expectNeutral(() => tf.grad((x) => tf.sum(sparseCrossEntropy(x as Tensor2D, labels)))(logits));
    tf.dispose([logits, labels]);
  });
});
