/** Attention by hand, its masks, and its grouped heads against the same heads repeated. */
import { beforeAll, describe, expect, it } from 'vitest';
import { attend, MASKED_SCORE } from '../../src/tensor/attention.ts';
import type { Tensor4D } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import '../helpers/allclose.ts';
import { take } from '../helpers/fixtures.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { expectGradient, normalTensor } from './gradient-check.ts';
import { expectNeutral } from './neutral.ts';

/** [1, 1, seq, seq], each position sees itself and what is before. */
function causal(seq: number): Tensor4D {
  const bias = Array.from({ length: seq * seq }, (_, i) => (i % seq > Math.floor(i / seq) ? MASKED_SCORE : 0));
  return tf.tensor4d(bias, [1, 1, seq, seq]);
}

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it('mixes values by softmax of q · k / √head_dim', () => {
    // Scores of the second query: 4 · ln 3 / √4 / 2 = ln 3 for the first key and 0 for the second: weights 3/4 and 1/4.
    const query = tf.tensor4d([9, 9, 9, 9, Math.log(3), 0, 0, 0], [1, 1, 2, 4]);
    const key = tf.tensor4d([2, 0, 0, 0, 0, 7, 7, 7], [1, 1, 2, 4]);
    const value = tf.tensor4d([8, 0, 0, 4, 0, 4, 0, 8], [1, 1, 2, 4]);
    const bias = causal(2);
    const found = take(tf.tidy(() => attend(query, key, value, bias)));
    expect(found).toBeAllclose([8, 0, 0, 4, 6, 1, 0, 5]);
    tf.dispose([query, key, value, bias]);
  });

  it('gives masked keys exactly no weight, whatever they hold', () => {
    const [query, key, value, bias] = [
      normalTensor<Tensor4D>([1, 2, 3, 4], 1),
      normalTensor<Tensor4D>([1, 2, 3, 4], 2),
      normalTensor<Tensor4D>([1, 2, 3, 4], 3),
      causal(3),
    ];
    const found = take(
      tf.tidy(() => {
        const last = tf.tensor1d([0, 0, 1]).reshape([1, 1, 3, 1]);
        const changed = attend(
          query,
          tf.add(key, tf.mul(last, 30)) as Tensor4D,
          tf.add(value, tf.mul(last, 1e6)) as Tensor4D,
          bias,
        );
        const difference = tf.abs(tf.sub(changed, attend(query, key, value, bias)));
        return tf.max(tf.slice(difference, [0, 0, 0, 0], [1, 2, 2, 4]));
      }),
    );
    expect([...found]).toEqual([0]);
    tf.dispose([query, key, value, bias]);
  });

  it('lets neighbouring query heads share a key/value head, as if it were repeated for each', () => {
    const query = normalTensor<Tensor4D>([2, 4, 3, 4], 1);
    const key = normalTensor<Tensor4D>([2, 2, 3, 4], 2);
    const value = normalTensor<Tensor4D>([2, 2, 3, 4], 3);
    const bias = causal(3);
    const [grouped, repeated] = tf.tidy(() => {
      const repeat = (x: Tensor4D): Tensor4D => tf.gather(x, tf.tensor1d([0, 0, 1, 1], 'int32'), 1);
      return [attend(query, key, value, bias), attend(query, repeat(key), repeat(value), bias)];
    }) as [Tensor4D, Tensor4D];
    expect(take(grouped)).toBeAllclose(take(repeated));
    tf.dispose([query, key, value, bias]);
  });

  it('has the gradient of its values in queries, keys and values', () => {
    const bias = causal(3);
    const weights = normalTensor<Tensor4D>([2, 4, 3, 4], 4);
    const inputs = [normalTensor([2, 4, 3, 4], 1), normalTensor([2, 2, 3, 4], 2), normalTensor([2, 2, 3, 4], 3)];
    expectGradient(inputs, (q, k, v) =>
      tf.sum(tf.mul(attend(q as Tensor4D, k as Tensor4D, v as Tensor4D, bias), weights)),
    );
    tf.dispose([bias, weights]);
  });

  it('leaves no tensors behind within a tidy, forwards and backwards', () => {
    const inputs = [1, 2, 3].map((seed) => normalTensor<Tensor4D>([1, 2, 3, 4], seed));
    const bias = causal(3);
    const run = (q: Tensor4D, k: Tensor4D, v: Tensor4D): Tensor4D => attend(q, k, v, bias);
    expectNeutral(() => tf.tidy(() => run(...(inputs as [Tensor4D, Tensor4D, Tensor4D]))));
    expectNeutral(() => tf.grads((q, k, v) => tf.sum(run(q as Tensor4D, k as Tensor4D, v as Tensor4D)))(inputs));
    tf.dispose([...inputs, bias]);
  });
});
