import { describe, expect, it } from 'vitest';
import { llamaStyle } from '../../src/model/dimensions.ts';
import { mimeticValues } from '../../src/model/mimetic.ts';
import { parameterSpecs } from '../../src/model/parameter-table.ts';
import { seededRandom } from '../../src/random.ts';
import { layoutOf, parameterValues } from '../../src/tensor/parameters.ts';

const dimensions = llamaStyle({ vocab: 50, context: 16, layers: 2, heads: 4, kvHeads: 2, dModel: 64, dFf: 96 });
const { heads, kvHeads, headDim, dModel } = dimensions;
const layout = layoutOf(parameterSpecs(dimensions, 'tokens'));
const draw = (seed: number) => mimeticValues(dimensions, 'tokens', seededRandom(seed));
const values = draw(1);
const part = (name: string) => parameterValues(layout, values, name);

/** A product of two matrices by the definition: rows · inner times inner · columns. */
function product(a: (i: number, k: number) => number, b: (k: number, j: number) => number, inner: number): number[][] {
  return Array.from({ length: dModel }, (_, i) =>
    Array.from({ length: dModel }, (_, j) => {
      let sum = 0;
      for (let k = 0; k < inner; k++) sum += a(i, k) * b(k, j);
      return sum;
    }),
  );
}

/** Mean of the diagonal over the root mean square of the rest: far above 1 for what is near a multiple of the identity. */
function likeIdentity(matrix: readonly (readonly number[])[]): number {
  const diagonal = matrix.reduce((sum, row, i) => sum + (row[i] as number), 0) / dModel;
  const rest = matrix.flatMap((row, i) => row.filter((_, j) => j !== i));
  return diagonal / Math.sqrt(rest.reduce((sum, x) => sum + x * x, 0) / rest.length);
}

describe('attention that begins as a lookup', () => {
  it.each([
    0, 1,
  ])('layer %d: W_Q W_Kᵀ of each group and W_V W_O of each head are near multiples of the identity', (layer) => {
    const qkv = part(`blocks.${layer}.attention.qkv.weight`);
    const output = part(`blocks.${layer}.attention.output.weight`);
    const columns = (heads + 2 * kvHeads) * headDim;
    for (let head = 0; head < heads; head++) {
      const kv = Math.floor((head * kvHeads) / heads);
      const of = (block: number) => (row: number, unit: number) =>
        qkv[row * columns + block * headDim + unit] as number;
      const copied = product(
        of(heads + kvHeads + kv),
        (unit, column) => output[(head * headDim + unit) * dModel + column] as number,
        headDim,
      );
      // A projection on 16 of 64 random directions: expected 4.0.
      expect(likeIdentity(copied)).toBeGreaterThan(3);
      if (head % (heads / kvHeads) > 0) continue;
      const [query, key] = [of(head), of(heads + kv)];
      expect(likeIdentity(product(query, (unit, row) => key(row, unit), headDim))).toBeGreaterThan(3);
    }
  });

  it('leaves all other parameters as they are drawn, and depends on the seed alone', () => {
    expect([...new Set(part('blocks.1.attention.norm.gain'))]).toEqual([1]);
    expect(values.every(Number.isFinite)).toBe(true);
    const same = (seed: number): boolean => Buffer.from(draw(seed).buffer).equals(Buffer.from(values.buffer));
    expect([same(1), same(2)]).toEqual([true, false]);
  });
});
