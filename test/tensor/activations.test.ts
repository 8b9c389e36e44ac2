import { beforeAll, describe, expect, it } from 'vitest';
import { geluTanh, swiglu } from '../../src/tensor/activations.ts';
import type { Tensor2D } from '../../src/tensor/tf.ts';
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

  it('GELU is 0 at 0, the identity far to the right and 0 far to the left', () => {
    const x = tf.tensor2d([[0, 12, -12, 1]]);
    // ½ · (1 + tanh(√(2/π) · 1.044715)) = 0.8411920
    expect(take(geluTanh(x))).toBeAllclose([0, 12, 0, 0.841192]);
    x.dispose();
  });

  it('SwiGLU is SiLU of the first half times the second', () => {
    // SiLU(ln 3) = ln 3 · 3/4
    const x = tf.tensor2d([[Math.log(3), 0, 2, 5]]);
    expect(take(swiglu(x))).toBeAllclose([1.5 * Math.log(3), 0]);
    x.dispose();
  });

  it.each([
    ['GELU', geluTanh],
    ['SwiGLU', swiglu],
  ] as const)('%s has the gradient of its values', (_, op) => {
    const weights = normalTensor<Tensor2D>([3, op === swiglu ? 4 : 8], 2);
    expectGradient([normalTensor([3, 8], 1)], (x) => tf.sum(tf.mul(op(x as Tensor2D), weights)));
    weights.dispose();
  });

  it.each([
    ['GELU', geluTanh],
    ['SwiGLU', swiglu],
  ] as const)('%s leaves no tensors behind, forwards and backwards', (_, op) => {
    const x = normalTensor<Tensor2D>([3, 8], 1);
    expectNeutral(() => op(x));
    expectNeutral(() => tf.grad((y) => tf.sum(op(y as Tensor2D)))(x));
    x.dispose();
  });
});
