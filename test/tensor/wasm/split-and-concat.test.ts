import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Tensor } from '../../../src/tensor/tf.ts';
import { tf } from '../../../src/tensor/tf.ts';
import { useLane } from '../../helpers/use-lane.ts';
import { expectNeutral } from '../neutral.ts';

/** tf.split of 0, 1, 2, … on a lane, as numbers and shapes. */
async function parts(
  lane: 'wasm' | 'cpu',
  shape: number[],
  sizes: number | number[],
  axis: number,
  dtype: 'float32' | 'int32' = 'float32',
) {
  await useLane(lane);
  const x = tf.tensor(
    Array.from({ length: shape.reduce((product, size) => product * size, 1) }, (_, i) => i),
    shape,
    dtype,
  );
  const made = tf.split(x, sizes, axis) as Tensor[];
  const found = made.map((part) => ({ shape: part.shape, dtype: part.dtype, data: [...part.dataSync()] }));
  tf.dispose([x, ...made]);
  return found;
}

describe('the wasm split', () => {
  it('cuts along any axis into parts of any sizes as the cpu backend does', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 0, maxLength: 2 }),
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }),
        fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 0, maxLength: 2 }),
        fc.constantFrom('float32' as const, 'int32' as const),
        async (lead, sizes, rest, dtype) => {
          const shape = [...lead, sizes.reduce((sum, size) => sum + size, 0), ...rest];
          const expected = await parts('cpu', shape, sizes, lead.length, dtype);
          expect(await parts('wasm', shape, sizes, lead.length, dtype)).toEqual(expected);
          expect(await parts('wasm', shape, sizes, lead.length - shape.length, dtype)).toEqual(expected);
        },
      ),
      { seed: 1, numRuns: 40 },
    );
  });

  it('cuts into a number of equal parts, and leaves "the rest" to the stock kernel', async () => {
    expect(await parts('wasm', [2, 6], 3, 1)).toEqual(await parts('cpu', [2, 6], 3, 1));
    expect((await parts('wasm', [2, 6], [2, -1], 1)).map(({ data }) => data)).toEqual([
      [0, 1, 6, 7],
      [2, 3, 4, 5, 8, 9, 10, 11],
    ]);
  });

  it('leaves no tensors behind', async () => {
    await useLane('wasm');
    const x = tf.ones([4, 6]);
    expectNeutral(() => tf.split(x, [1, 5], 1));
    x.dispose();
  });
});

describe('the wasm concat', () => {
  const joined = async (
    lane: 'wasm' | 'cpu',
    shapes: number[][],
    axis: number,
    dtype: 'float32' | 'int32' | 'bool',
  ) => {
    await useLane(lane);
    const made = shapes.map((shape, i) => {
      const size = shape.reduce((product, length) => product * length, 1);
      return tf.tensor(
        Array.from({ length: size }, (_, at) => (dtype === 'bool' ? at % 2 : 100 * i + at)),
        shape,
        dtype,
      );
    });
    const whole = tf.concat(made, axis);
    const found = { shape: whole.shape, dtype: whole.dtype, data: [...whole.dataSync()] };
    tf.dispose([whole, ...made]);
    return found;
  };

  it('joins tensors along any axis as the cpu backend does', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 0, maxLength: 2 }),
        fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 4 }),
        fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 0, maxLength: 2 }),
        fc.constantFrom('float32' as const, 'int32' as const, 'bool' as const),
        async (lead, sizes, rest, dtype) => {
          const shapes = sizes.map((size) => [...lead, size, ...rest]);
          const expected = await joined('cpu', shapes, lead.length, dtype);
          expect(await joined('wasm', shapes, lead.length, dtype)).toEqual(expected);
        },
      ),
      { seed: 1, numRuns: 40 },
    );
  });

  it('says what is wrong with shapes that do not fit', async () => {
    await expect(joined('wasm', [[2, 3], [2, 4]], 0, 'float32')).rejects.toThrow('Error in concat2D'); // biome-ignore format: shapes
  });
});
