import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { likeLengths } from '../../src/batch/like-lengths.ts';
import { gridMask, promptAndResponse, responseBatch } from '../../src/batch/response-batch.ts';

const ids = (minLength: number) =>
  fc.array(fc.integer({ min: 3, max: 30 }), { minLength, maxLength: 40 }).map((list) => Int32Array.from(list));
const sequences = fc.array(
  fc.tuple(ids(1), ids(0)).map(([prompt, response]) => promptAndResponse(prompt, response)),
  { maxLength: 30 },
);

describe('likeLengths', () => {
  it('gives every sequence once, laid out as alone, in full batches of few shapes, the shortest first', () => {
    fc.assert(
      fc.property(sequences, fc.integer({ min: 1, max: 7 }), (all, rows) => {
        const batches = [...likeLengths(all, 0, rows)];
        const seen = batches.flatMap(({ indices }) => indices);
        expect([...seen].sort((a, b) => a - b)).toEqual(all.map((_, i) => i));
        const lengths = seen.map((i) => all[i]!.ids.length);
        expect(lengths).toEqual([...lengths].sort((a, b) => a - b));
        for (const { indices, batch } of batches) {
          const { seq } = batch.tokens;
          expect(batch.tokens.batch).toBe(Math.min(rows, all.length));
          expect([seq % 16, batch.grid.response % 16]).toEqual([0, 0]);
          expect(seq - Math.max(...indices.map((i) => all[i]!.ids.length))).toBeLessThan(16);
          indices.forEach((index, row) => {
            const alone = responseBatch([all[index]!], 0, { seq, response: batch.grid.response });
            const part = <T extends Int32Array | Float32Array>(values: T, width: number) => [
              ...values.subarray(row * width, (row + 1) * width),
            ];
            expect(part(batch.tokens.ids, seq)).toEqual([...alone.tokens.ids]);
            expect(part(gridMask(batch), batch.grid.response)).toEqual([...gridMask(alone)]);
            expect(batch.last[row]! - row * seq).toBe(alone.last[0]);
          });
        }
      }),
    );
  });
});
