import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DataError } from '../../src/errors.ts';
import { responseBatch } from '../../src/steps/response-batch.ts';

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
