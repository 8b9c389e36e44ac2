/** Matrix products on every lane against sums written out, and the wasm lane's own kernel against the cpu backend. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/random.ts';
import { matmul } from '../../src/tensor/matmul.ts';
import type { Tensor, Tensor2D, Tensor4D } from '../../src/tensor/tf.ts';
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

  it('multiplies by a matrix or by its transpose', () => {
    const a = tf.tensor2d([[1, 2, 3], [4, 5, 6]]); // biome-ignore format: rows
    const b = tf.tensor2d([[1, 0], [0, 1], [2, 2]]); // biome-ignore format: rows
    const transposed = tf.transpose(b);
    expect([...take(matmul(a, b))]).toEqual([7, 8, 16, 17]);
    expect([...take(matmul(a, transposed, { transposeB: true }))]).toEqual([7, 8, 16, 17]);
    tf.dispose([a, b, transposed]);
  });

  it.each([
    ['matrices', [3, 4], [4, 5], false],
    ['a transposed matrix', [3, 4], [5, 4], true],
    ['batches', [2, 2, 3, 4], [2, 2, 4, 5], false],
    ['batches, transposed', [2, 2, 3, 4], [2, 2, 5, 4], true],
  ] as const)('has the gradient of its values for %s', (_, left, right, transposeB) => {
    const weights = normalTensor<Tensor>([...left.slice(0, -1), 5], 3);
    const inputs = [normalTensor([...left], 1), normalTensor([...right], 2)];
    expectGradient(inputs, (a, b) => tf.sum(tf.mul(matmul(a as Tensor4D, b as Tensor4D, { transposeB }), weights)));
    weights.dispose();
  });

  it('gives gradients of the shapes of its arguments', () => {
    const a = normalTensor<Tensor2D>([3, 4], 1);
    const b = normalTensor<Tensor2D>([5, 4], 2);
    const gradients = tf.grads((x, y) => tf.sum(matmul(x as Tensor2D, y as Tensor2D, { transposeB: true })))([a, b]);
    expect(gradients.map(({ shape }) => shape)).toEqual([a.shape, b.shape]);
    tf.dispose([a, b, ...gradients]);
  });

  it('leaves no tensors behind, forwards and backwards', () => {
    const [a, b] = [normalTensor<Tensor4D>([2, 2, 3, 4], 1), normalTensor<Tensor4D>([2, 2, 5, 4], 2)];
    expectNeutral(() => matmul(a, b, { transposeB: true }));
    expectNeutral(() => tf.grads((x, y) => tf.sum(matmul(x as Tensor4D, y as Tensor4D, { transposeB: true })))([a, b]));
    tf.dispose([a, b]);
  });
});

describe('the wasm kernel', () => {
  const random = seededRandom(1);
  const numbers = (shape: readonly number[]): number[] =>
    Array.from({ length: shape.reduce((product, size) => product * size, 1) }, () => random.normal());
  const size = fc.integer({ min: 1, max: 5 });

  /** tf.matMul on a lane, as numbers and shape. */
  async function product(
    lane: 'wasm' | 'cpu',
    left: { shape: readonly number[]; data: number[] },
    right: { shape: readonly number[]; data: number[] },
    transposeA: boolean,
    transposeB: boolean,
  ): Promise<{ shape: number[]; data: Float32Array }> {
    await useLane(lane);
    const a = tf.tensor(left.data, [...left.shape]);
    const b = tf.tensor(right.data, [...right.shape]);
    const result = tf.matMul(a, b, transposeA, transposeB);
    const found = { shape: result.shape, data: take(result) };
    tf.dispose([a, b]);
    return found;
  }

  const same = async (
    batchA: readonly number[],
    batchB: readonly number[],
    [rows, inner, columns]: readonly [number, number, number],
    transposeA: boolean,
    transposeB: boolean,
  ): Promise<void> => {
    const shapeA = [...batchA, ...(transposeA ? [inner, rows] : [rows, inner])];
    const shapeB = [...batchB, ...(transposeB ? [columns, inner] : [inner, columns])];
    const a = { shape: shapeA, data: numbers(shapeA) };
    const b = { shape: shapeB, data: numbers(shapeB) };
    const expected = await product('cpu', a, b, transposeA, transposeB);
    const found = await product('wasm', a, b, transposeA, transposeB);
    expect(found.shape).toEqual(expected.shape);
    expect(found.data).toBeAllclose(expected.data, { rtol: 1e-5, atol: 1e-5 });
  };

  it('equals the cpu backend for every transposition and any batch', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }),
        fc.tuple(size, size, size),
        fc.boolean(),
        fc.boolean(),
        (batch, sizes, transposeA, transposeB) => same(batch, batch, sizes, transposeA, transposeB),
      ),
      { seed: 1, numRuns: 60 },
    );
  });

  it.each([
    [[1], [3]],
    [[3], [1]],
    [[], [3]],
    [[3], []],
    [[], [1]],
    [[1], []],
    [
      [2, 1],
      [1, 2],
    ],
    [
      [1, 2],
      [2, 1],
    ],
    [[2, 3], [3]],
  ] as const)('broadcasts batches %j and %j as the cpu backend does', async (batchA, batchB) => {
    for (const [transposeA, transposeB] of [[false, false], [true, false], [false, true], [true, true]] as const) // biome-ignore format: table
      await same(batchA, batchB, [2, 3, 4], transposeA, transposeB);
  });

  it('gives the same numbers again when its memory is used again', async () => {
    await useLane('wasm');
    const a = normalTensor<Tensor4D>([3, 2, 4, 5], 1);
    const b = normalTensor<Tensor4D>([3, 2, 6, 5], 2);
    const first = take(tf.matMul(a, b, false, true));
    for (let i = 0; i < 20; i++) {
      const c = normalTensor<Tensor4D>([3, 2, 6, 5], 3 + i);
      tf.dispose([tf.matMul(a, c, false, true), c]);
    }
    expect([...take(tf.matMul(a, b, false, true))]).toEqual([...first]);
    tf.dispose([a, b]);
  });
});
