import { describe, expect, it } from 'vitest';
import { executeRaw, typeAttribute } from '../../src/tensor/raw-op.ts';
import { tf } from '../../src/tensor/tf.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { expectNeutral } from './neutral.ts';

it('writes type attributes with TensorFlow’s numbers (types.proto: DT_FLOAT 1, DT_INT32 3, DT_BOOL 10)', () => {
  expect((['float32', 'int32', 'bool'] as const).map((type) => typeAttribute('T', type))).toEqual([
    { name: 'T', type: 'type', value: 1 },
    { name: 'T', type: 'type', value: 3 },
    { name: 'T', type: 'type', value: 10 },
  ]);
});

describe.skipIf(!lanesToTest().includes('tensorflow'))('on the tensorflow lane', () => {
  it('runs an op that tfjs does not wrap, with several outputs, and leaves no tensors behind', async () => {
    await useLane('tensorflow');
    const x = tf.tensor1d([4, 4, 9, 4], 'int32');
    const attributes = [typeAttribute('T', 'int32'), typeAttribute('out_idx', 'int32')];
    const run = () => executeRaw('UniqueWithCounts', attributes, [x], 3);
    const outputs = run();
    expect(outputs.map((output) => [...output.dataSync()])).toEqual([
      [4, 9],
      [0, 0, 1, 0],
      [3, 1],
    ]);
    tf.dispose(outputs);
    expectNeutral(run);
    x.dispose();
  });
});
