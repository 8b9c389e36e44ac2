import { beforeAll, describe, expect, it } from 'vitest';
import { gatherRows, sumRows } from '../../src/tensor/gather-rows.ts';
import type { Tensor2D } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import '../helpers/allclose.ts';
import { take } from '../helpers/fixtures.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { expectNeutral } from './neutral.ts';

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it('picks rows in the order asked, also twice', () => {
    const table = tf.tensor2d([[1, 2], [3, 4], [5, 6]]); // biome-ignore format: rows
    const indices = tf.tensor1d([2, 0, 2], 'int32');
    expect([...take(gatherRows(table, indices))]).toEqual([5, 6, 1, 2, 5, 6]);
    tf.dispose([table, indices]);
  });

  it('adds gradients of rows read twice and gives 0 to rows not read', () => {
    const table = tf.tensor2d([[1, 2], [3, 4], [5, 6]]); // biome-ignore format: rows
    const indices = tf.tensor1d([2, 0, 2], 'int32');
    const weights = tf.tensor2d([[1, 10], [2, 20], [4, 40]]); // biome-ignore format: rows
    const gradient = tf.grad((x) => tf.sum(tf.mul(gatherRows(x as Tensor2D, indices), weights)))(table);
    expect([...take(gradient)]).toEqual([2, 20, 0, 0, 5, 50]);
    tf.dispose([table, indices, weights]);
  });

  it('sums rows by index, 0 where there is none, and gives every row the gradient of its sum', () => {
    const rows = tf.tensor2d([[1, 2], [3, 4], [5, 6]]); // biome-ignore format: rows
    const indices = tf.tensor1d([2, 0, 2], 'int32');
    const weights = tf.tensor2d([[1, 10], [2, 20], [4, 40], [8, 80]]); // biome-ignore format: rows
    expect([...take(sumRows(rows, indices, 4))]).toEqual([3, 4, 0, 0, 6, 8, 0, 0]);
    const gradient = tf.grad((x) => tf.sum(tf.mul(sumRows(x as Tensor2D, indices, 4), weights)))(rows);
    expect([...take(gradient)]).toEqual([4, 40, 1, 10, 4, 40]);
    tf.dispose([rows, indices, weights]);
  });

  it('leaves no tensors behind, forwards and backwards', () => {
    const table = tf.tensor2d([[1, 2], [3, 4]]); // biome-ignore format: rows
    const indices = tf.tensor1d([1, 1], 'int32');
    expectNeutral(() => gatherRows(table, indices));
    expectNeutral(() => sumRows(table, indices, 2));
    expectNeutral(() => tf.grad((x) => tf.sum(gatherRows(x as Tensor2D, indices)))(table));
    tf.dispose([table, indices]);
  });
});
