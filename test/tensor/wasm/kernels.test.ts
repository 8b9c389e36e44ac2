import { beforeAll, describe, expect, it } from 'vitest';
import { tf } from '../../../src/tensor/tf.ts';
import { registerWasmKernels } from '../../../src/tensor/wasm/kernels.ts';
import '../../helpers/allclose.ts';
import { take } from '../../helpers/fixtures.ts';
import { useLane } from '../../helpers/use-lane.ts';
import { normalTensor } from '../gradient-check.ts';
import { expectNeutral } from '../neutral.ts';

describe('the wasm kernels', () => {
  beforeAll(async () => {
    await useLane('wasm');
  });

  it('are registered once: a second time changes nothing', () => {
    const names = ['UnsortedSegmentSum', 'BatchMatMul', 'SplitV'];
    const before = names.map((name) => tf.getKernel(name, 'wasm').kernelFunc);
    registerWasmKernels();
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

  it('leave no tensors behind', () => {
    const x = normalTensor([5, 3], 1);
    const ids = tf.tensor1d([0, 1, 0, 1, 0], 'int32');
    expectNeutral(() => tf.unsortedSegmentSum(x, ids, 2));
    tf.dispose([x, ids]);
  });
});
