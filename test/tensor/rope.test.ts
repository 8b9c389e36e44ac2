import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { applyRotary } from '../../src/tensor/rope.ts';
import type { Tensor4D } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import '../helpers/allclose.ts';
import { take } from '../helpers/fixtures.ts';
import { rotaryAngles } from '../helpers/rotary-angles.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { expectGradient, normalTensor } from './gradient-check.ts';
import { expectNeutral } from './neutral.ts';

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it('turns the pair (i, i + half) by position · θ^(−2i / head_dim)', () => {
    const { cos, sin } = rotaryAngles(Int32Array.of(0, 3), { batch: 1, seq: 2, width: 4, theta: 100, scaling: null });
    const x = tf.tensor4d([1, 2, 3, 4, 1, 2, 3, 4], [1, 1, 2, 4]);
    const [fast, slow] = [3, 3 * 100 ** -0.5];
    const { cos: c, sin: s } = Math;
    expect(take(applyRotary(x, { cos, sin }))).toBeAllclose([
      1, 2, 3, 4,
      c(fast) - 3 * s(fast), 2 * c(slow) - 4 * s(slow), 3 * c(fast) + s(fast), 4 * c(slow) + 2 * s(slow),
    ]); // biome-ignore format: positions
    tf.dispose([cos, sin, x]);
  });

  it('keeps lengths, and dot products depend on the distance of positions alone', () => {
    const size = { batch: 1, seq: 1, width: 8, theta: 10_000, scaling: null };
    const position = fc.integer({ min: 0, max: 200 });
    const query = normalTensor<Tensor4D>([1, 1, 1, 8], 1);
    const key = normalTensor<Tensor4D>([1, 1, 1, 8], 2);
    const dot = (m: number, n: number, y: Tensor4D): number =>
      tf.tidy(() => {
        const [a, b] = [rotaryAngles(Int32Array.of(m), size), rotaryAngles(Int32Array.of(n), size)];
        return tf.sum(tf.mul(applyRotary(query, a), applyRotary(y, b))).dataSync()[0]!;
      });
    fc.assert(
      fc.property(position, position, position, (m, n, shift) => {
        expect([dot(m + shift, n + shift, key)]).toBeAllclose([dot(m, n, key)], { rtol: 1e-4, atol: 1e-4 });
        expect([dot(m, m, query)]).toBeAllclose([dot(0, 0, query)], { rtol: 1e-5 });
      }),
      { seed: 1, numRuns: 15 },
    );
    tf.dispose([query, key]);
  });

  it('has the gradient of its values', () => {
    const angles = rotaryAngles(Int32Array.of(0, 1, 2, 5, 6, 7), {
      batch: 2,
      seq: 3,
      width: 4,
      theta: 50,
      scaling: null,
    });
    const weights = normalTensor<Tensor4D>([2, 2, 3, 4], 2);
    expectGradient([normalTensor([2, 2, 3, 4], 1)], (x) => tf.sum(tf.mul(applyRotary(x as Tensor4D, angles), weights)));
    tf.dispose([weights, angles.cos, angles.sin]);
  });

  it('leaves no tensors behind, forwards and backwards', () => {
    const size = { batch: 1, seq: 2, width: 4, theta: 100, scaling: null };
    expectNeutral(() => Object.values(rotaryAngles(Int32Array.of(0, 1), size)));
    const angles = rotaryAngles(Int32Array.of(0, 1), size);
    const x = normalTensor<Tensor4D>([1, 2, 2, 4], 1);
    expectNeutral(() => applyRotary(x, angles));
    expectNeutral(() => tf.grad((y) => tf.sum(applyRotary(y as Tensor4D, angles)))(x));
    tf.dispose([x, angles.cos, angles.sin]);
  });
});
