import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { packedResponseBatch, responseBatch, responseCells, takeCells } from '../../src/batch/response-batch.ts';
import { DataError } from '../../src/errors.ts';

const i = (...ids: number[]): Int32Array => Int32Array.from(ids);
const ids = (minLength: number) =>
  fc.array(fc.integer({ min: 3, max: 30 }), { minLength, maxLength: 5 }).map((list) => Int32Array.from(list));
const sequences = fc.array(fc.record({ promptIds: ids(1), responseIds: ids(0) }), { minLength: 1, maxLength: 4 });

describe('responseBatch', () => {
  it('gives the documented example', () => {
    const batch = responseBatch([{ promptIds: i(5, 6), responseIds: i(7, 2) }], 0, { seq: 6, response: 3 });
    expect(batch).toEqual({
      tokens: {
        batch: 1,
        seq: 6,
        ids: i(5, 6, 7, 2, 0, 0),
        segments: i(1, 1, 1, 1, 0, 0),
        positions: i(0, 1, 2, 3, 0, 0),
        learned: i(0, 0, 1, 1, 0, 0),
      },
      response: 3,
      ids: i(7, 2, 0),
      predictors: i(1, 2, 0),
      mask: Float32Array.of(1, 1, 0),
      last: i(3),
    });
  });

  it('points at the token before each response token, and at the last token of each row', () => {
    fc.assert(
      fc.property(sequences, fc.nat({ max: 3 }), (rows, extra) => {
        const longest = Math.max(...rows.map(({ promptIds, responseIds }) => promptIds.length + responseIds.length));
        const { tokens, response, ...batch } = responseBatch(rows, 0, { seq: longest + extra });
        rows.forEach(({ promptIds, responseIds }, row) => {
          const whole = [...promptIds, ...responseIds];
          const line = tokens.ids.subarray(row * tokens.seq, (row + 1) * tokens.seq);
          expect([...line]).toEqual([...whole, ...new Array<number>(tokens.seq - whole.length).fill(0)]);
          expect(batch.last[row]).toBe(row * tokens.seq + whole.length - 1);
          for (let t = 0; t < response; t++) {
            const at = row * response + t;
            expect(batch.mask[at]).toBe(t < responseIds.length ? 1 : 0);
            if (!batch.mask[at]) continue;
            expect(batch.ids[at]).toBe(responseIds[t]);
            expect(tokens.ids[batch.predictors[at]! + 1]).toBe(batch.ids[at]);
            expect(batch.predictors[at]).toBe(row * tokens.seq + promptIds.length - 1 + t);
          }
        });
      }),
      { seed: 1, numRuns: 50 },
    );
  });

  it('refuses a response that its columns do not hold', () => {
    expect(() => responseBatch([{ promptIds: i(5), responseIds: i(7, 8, 2) }], 0, { response: 2 })).toThrow(
      new DataError('response batch: expected responses of at most 2 tokens, received 3. Raise sampling.maxNewTokens.'),
    );
  });

  it('refuses a sequence that is longer than asked for', () => {
    expect(() => responseBatch([{ promptIds: i(5), responseIds: i(7, 8, 2) }], 0, { seq: 3 })).toThrow(DataError);
  });
});

describe('packedResponseBatch', () => {
  it('gives the documented layout, several sequences in a row', () => {
    const all = [
      { promptIds: i(5, 6), responseIds: i(7, 2) },
      { promptIds: i(8), responseIds: i(9) },
    ];
    const { tokens, response, ids: grid, predictors, mask, last } = packedResponseBatch(all, 0, 3);
    const line = (...values: number[]) => i(...values, ...new Array<number>(16 - values.length).fill(0));
    expect(tokens).toEqual({
      batch: 1,
      seq: 16,
      ids: line(5, 6, 7, 2, 8, 9),
      segments: line(1, 1, 1, 1, 2, 2),
      positions: line(0, 1, 2, 3, 0, 1),
      learned: line(0, 0, 1, 1, 0, 1),
    });
    expect([response, grid, predictors, mask, last]).toEqual([
      ...[3, i(7, 2, 0, 9, 0, 0), i(1, 2, 0, 4, 0, 0), Float32Array.of(1, 1, 0, 1, 0, 0), i(3, 5)],
    ]);
  });

  it('holds every sequence once, whole and apart, in few rows of few sizes', () => {
    const many = fc.array(fc.record({ promptIds: ids(1), responseIds: ids(0) }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(many, (all) => {
        const { tokens, last, ...batch } = packedResponseBatch(all, 0);
        const lengths = all.map(({ promptIds, responseIds }) => promptIds.length + responseIds.length);
        expect(tokens.segments.filter((segment) => segment > 0).length).toBe(lengths.reduce((a, b) => a + b, 0));
        expect([tokens.seq % 16, batch.response % 16]).toEqual([0, 0]);
        // Best-fit decreasing needs at most 11/9 of the fewest rows and one more; rounding adds an eighth.
        const fewest = Math.ceil(lengths.reduce((a, b) => a + b, 0) / tokens.seq);
        expect(tokens.batch).toBeLessThanOrEqual(Math.min(all.length, (11 / 9) * fewest + 1) * 1.125 + 1);
        all.forEach(({ promptIds, responseIds }, index) => {
          const from = last[index]! + 1 - lengths[index]!;
          const at = <T extends Int32Array>(values: T): number[] => [...values.subarray(from, last[index]! + 1)];
          expect(at(tokens.ids)).toEqual([...promptIds, ...responseIds]);
          expect(at(tokens.positions)).toEqual(lengths[index]! > 0 ? [...Array(lengths[index]!).keys()] : []);
          expect(new Set(at(tokens.segments)).size).toBe(1);
          expect(Math.floor(from / tokens.seq)).toBe(Math.floor(last[index]! / tokens.seq));
          responseIds.forEach((id, t) => {
            expect(tokens.ids[batch.predictors[index * batch.response + t]! + 1]).toBe(id);
          });
        });
      }),
    );
  });
});

describe('responseCells', () => {
  it('gives every response token once, and fills up what is left', () => {
    fc.assert(
      fc.property(sequences, (all) => {
        const batch = packedResponseBatch(all, 0);
        const found = responseCells(batch);
        const kept = <T extends Int32Array | Float32Array>(values: T): number[] =>
          [...takeCells(values, found)].filter((_, at) => found.mask[at] === 1);
        expect(kept(batch.ids)).toEqual(all.flatMap(({ responseIds }) => [...responseIds]));
        expect(kept(batch.mask.map((flag, cell) => flag * (cell + 0.5)))).toEqual(
          [...found.cells].filter((_, at) => found.mask[at] === 1).map((cell) => cell + 0.5),
        );
        expect(found.cells.length).toBeLessThanOrEqual(batch.mask.length);
      }),
    );
  });
});
