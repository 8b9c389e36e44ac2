import { beforeAll, describe, expect, it } from 'vitest';
import { tf } from '../../../src/tensor/tf.ts';
import { registerWasmBackend } from '../../../src/tensor/wasm/backend.ts';
import '../../helpers/allclose.ts';
import { take } from '../../helpers/fixtures.ts';
import { useLane } from '../../helpers/use-lane.ts';
import { normalTensor } from '../gradient-check.ts';
import { expectNeutral } from '../neutral.ts';

describe('the wasm kernels', () => {
  beforeAll(async () => {
    await useLane('wasm');
  });

  it('are registered once: a second time changes nothing', async () => {
    const names = ['UnsortedSegmentSum', 'BatchMatMul', 'SplitV', 'Concat', 'GatherV2', 'Identity'];
    const before = names.map((name) => tf.getKernel(name, 'wasm').kernelFunc);
    await registerWasmBackend();
    expect(names.map((name) => tf.getKernel(name, 'wasm').kernelFunc)).toEqual(before);
  });

  it('sum rows of any width by segment, as the cpu backend does', async () => {
    const ids = [3, 0, 3, 3, 1];
    const sums = async (lane: 'wasm' | 'cpu'): Promise<Float32Array> => {
      await useLane(lane);
      return take(tf.tidy(() => tf.unsortedSegmentSum(normalTensor([5, 2, 3], 1), tf.tensor1d(ids, 'int32'), 5)));
    };
    expect(await sums('wasm')).toBeAllclose(await sums('cpu'));
    await useLane('wasm');
  });

  it('share the values of a clone, which lives on without its original', () => {
    const x = normalTensor([3, 2], 1);
    const values = x.dataSync();
    const clone = x.clone();
    x.dispose();
    const other = normalTensor([3, 2], 2);
    expect([clone.shape, clone.dataSync()]).toEqual([[3, 2], values]);
    tf.dispose([clone, other]);
  });

  it('gather rows of any width, and refuse a row that is not there', () => {
    const table = tf.tensor2d(Array.from({ length: 21 }, (_, i) => i), [3, 7]); // biome-ignore format: one tensor
    const ids = tf.tensor1d([2, 0, 2], 'int32');
    const rows = tf.gather(table, ids);
    expect(rows.arraySync()).toEqual([[14, 15, 16, 17, 18, 19, 20], [0, 1, 2, 3, 4, 5, 6], [14, 15, 16, 17, 18, 19, 20]]); // biome-ignore format: matrix
    const beyond = tf.tensor1d([3], 'int32');
    expect(() => tf.gather(table, beyond)).toThrow('the index value 3 is not in [0, 2]');
    tf.dispose([table, ids, rows, beyond]);
  });

  it('leave no tensors behind', () => {
    const x = normalTensor([5, 3], 1);
    const ids = tf.tensor1d([0, 1, 0, 1, 0], 'int32');
    expectNeutral(() => tf.unsortedSegmentSum(x, ids, 2));
    tf.dispose([x, ids]);
  });
});
