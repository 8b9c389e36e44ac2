import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { tokenEntropy, tokenLogProbs } from '../../src/objectives/log-probabilities.ts';
import type { Tensor2D } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import '../helpers/allclose.ts';
import { take } from '../helpers/fixtures.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { normalTensor } from '../tensor/gradient-check.ts';
import { expectNeutral } from '../tensor/neutral.ts';

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  const logProbsAt = (rows: number[][], ids: number[], temperature: number): Float32Array =>
    take(tf.tidy(() => tokenLogProbs(tf.tensor2d(rows), tf.tensor1d(ids, 'int32'), temperature)));
  const entropyAt = (rows: number[][], temperature: number): Float32Array =>
    take(tf.tidy(() => tokenEntropy(tf.tensor2d(rows), temperature)));

  it('divides logits by the temperature before the softmax', () => {
    // log 9 / 2 = log 3: a quarter and three quarters
    expect(logProbsAt([[0, Math.log(9)]], [1], 2)).toBeAllclose([Math.log(3 / 4)]);
    expect(logProbsAt([[0, Math.log(9)]], [1], 1)).toBeAllclose([Math.log(9 / 10)]);
  });

  it('gives probabilities that sum to 1 over the vocabulary', () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ min: -9, max: 9, noNaN: true }), { minLength: 2, maxLength: 6 }),
        fc.double({ min: 0.3, max: 3, noNaN: true }),
        (row, temperature) => {
          const everyId = row.map((_, id) => id);
          const found = logProbsAt(
            everyId.map(() => row),
            everyId,
            temperature,
          );
          expect([found.reduce((sum, x) => sum + Math.exp(x), 0)]).toBeAllclose([1], { rtol: 1e-4 });
          const entropy = -found.reduce((sum, x) => sum + Math.exp(x) * x, 0);
          expect(entropyAt([row], temperature)).toBeAllclose([entropy], { rtol: 1e-4, atol: 1e-4 });
        },
      ),
      { seed: 1, numRuns: 15 },
    );
  });

  it('entropy is log vocab for equal logits, 0 for a sure token, and grows with temperature', () => {
    expect(entropyAt([[3, 3, 3], [99, 0, 0]], 1)).toBeAllclose([Math.log(3), 0]); // biome-ignore format: rows
    const [cold, warm] = [entropyAt([[1, 0, -1]], 0.5), entropyAt([[1, 0, -1]], 2)];
    expect(warm[0]).toBeGreaterThan(cold[0]!);
  });

  it('leave no tensors behind', () => {
    const logits = normalTensor<Tensor2D>([3, 5], 1);
    const ids = tf.tensor1d([0, 4, 2], 'int32');
    expectNeutral(() => tokenEntropy(logits, 0.7));
    expectNeutral(() => tf.tidy(() => tokenLogProbs(logits, ids, 0.7)));
    expectNeutral(() => tf.grad((x) => tf.sum(tokenLogProbs(x as Tensor2D, ids, 0.7)))(logits));
    tf.dispose([logits, ids]);
  });
});
