import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  gridMask,
  packedResponseBatch,
  promptAndResponse,
  putCells,
  responseBatch,
  takeCells,
} from '../../src/batch/response-batch.ts';
import { DataError } from '../../src/errors.ts';

const i = (...ids: number[]): Int32Array => Int32Array.from(ids);
const f = (...values: number[]): Float32Array => Float32Array.from(values);
const ids = (minLength: number) =>
  fc.array(fc.integer({ min: 3, max: 30 }), { minLength, maxLength: 5 }).map((list) => Int32Array.from(list));
const parts = fc.record({ prompt: ids(1), response: ids(0) });
const few = fc.array(parts, { minLength: 1, maxLength: 4 });
const many = fc.array(parts, { minLength: 1, maxLength: 60 });
const whole = ({ prompt, response }: { prompt: Int32Array; response: Int32Array }) =>
  promptAndResponse(prompt, response);

describe('responseBatch', () => {
  it('gives the documented example', () => {
    expect(responseBatch([promptAndResponse(i(5, 6), i(7, 2))], 0, { seq: 6, response: 3 })).toEqual({
      tokens: {
        batch: 1,
        seq: 6,
        ids: i(5, 6, 7, 2, 0, 0),
        segments: i(1, 1, 1, 1, 0, 0),
        positions: i(0, 1, 2, 3, 0, 0),
        learned: i(0, 0, 1, 1, 0, 0),
      },
      grid: { sequences: 1, response: 3 },
      cells: i(0, 1),
      predictors: i(1, 2),
      targets: i(7, 2),
      responseMask: f(1, 1),
      last: i(3),
    });
  });

  it('takes every learned token for a response token, in a dialogue too', () => {
    const dialogue = { ids: i(1, 5, 6, 2, 7, 8, 2), learned: i(0, 0, 1, 1, 0, 1, 1) };
    const batch = responseBatch([dialogue], 0);
    expect([batch.grid.response, [...batch.cells], [...batch.predictors], [...batch.targets]]).toEqual([
      ...[4, [0, 1, 2, 3], [1, 2, 4, 5], [6, 2, 8, 2]],
    ]);
  });

  it('points at the token before each response token, and at the last token of each row', () => {
    fc.assert(
      fc.property(few, fc.nat({ max: 3 }), (all, extra) => {
        const longest = Math.max(...all.map(({ prompt, response }) => prompt.length + response.length));
        const batch = responseBatch(all.map(whole), 0, { seq: longest + extra });
        const { tokens, grid } = batch;
        const expected = all.flatMap(({ prompt, response }, row) => {
          const line = [...prompt, ...response];
          const padded = [...line, ...new Array<number>(tokens.seq - line.length).fill(0)];
          expect([...tokens.ids.subarray(row * tokens.seq, (row + 1) * tokens.seq)]).toEqual(padded);
          expect(batch.last[row]).toBe(row * tokens.seq + line.length - 1);
          return [...response].map((id, t) => {
            return [row * grid.response + t, row * tokens.seq + prompt.length - 1 + t, id];
          });
        });
        const found = [...batch.cells].map((cell, n) => [cell, batch.predictors[n], batch.targets[n]]);
        expect(found.slice(0, expected.length)).toEqual(expected);
        expect([...batch.responseMask]).toEqual(found.map((_, n) => (n < expected.length ? 1 : 0)));
      }),
      { seed: 1, numRuns: 50 },
    );
  });

  it('refuses a response that its columns do not hold, a sequence longer than asked for, and one without a prompt', () => {
    const sequence = promptAndResponse(i(5), i(7, 8, 2));
    expect(() => responseBatch([sequence], 0, { response: 2 })).toThrow(
      new DataError('response batch: expected responses of at most 2 tokens, received 3. Raise sampling.maxNewTokens.'),
    );
    expect(() => responseBatch([sequence], 0, { seq: 3 })).toThrow(
      new DataError('response batch: expected sequences of at most 3 tokens, received 4. Raise the length.'),
    );
    expect(() => responseBatch([sequence, promptAndResponse(i(), i(7))], 0)).toThrow(
      new DataError(
        'response batch: sequence 1: expected a prompt of at least one token before the response, received none.',
      ),
    );
  });
});

describe('packedResponseBatch', () => {
  const two = [promptAndResponse(i(5, 6), i(7, 2)), promptAndResponse(i(8), i(9))];

  it('gives the documented layout, several sequences in a row', () => {
    const batch = packedResponseBatch(two, 0);
    const line = (...values: number[]) => i(...values, ...new Array<number>(16 - values.length).fill(0));
    expect(batch.tokens).toEqual({
      batch: 1,
      seq: 16,
      ids: line(5, 6, 7, 2, 8, 9),
      segments: line(1, 1, 1, 1, 2, 2),
      positions: line(0, 1, 2, 3, 0, 1),
      learned: line(0, 0, 1, 1, 0, 1),
    });
    // Three response tokens, filled up to a quarter of the row.
    expect(batch).toMatchObject({
      grid: { sequences: 2, response: 16 },
      cells: i(0, 1, 16, 0),
      predictors: i(1, 2, 4, 1),
      targets: i(7, 2, 9, 7),
      responseMask: f(1, 1, 1, 0),
      last: i(3, 5),
    });
  });

  it('gives the documented layout of several responses to one prompt', () => {
    const batch = packedResponseBatch([promptAndResponse(i(5, 6), i(7, 2)), promptAndResponse(i(5, 6), i(8))], 0);
    const line = (...values: number[]) => i(...values, ...new Array<number>(16 - values.length).fill(0));
    expect(batch.tokens).toEqual({
      batch: 1,
      seq: 16,
      ids: line(5, 6, 7, 2, 8),
      segments: line(1, 1, 1, 1, 1),
      positions: line(0, 1, 2, 3, 2),
      learned: line(0, 0, 1, 1, 1),
      branches: line(0, 0, 1, 1, 2),
    });
    expect(batch).toMatchObject({ predictors: i(1, 2, 1, 1), targets: i(7, 2, 8, 7), last: i(3, 4) });
  });

  it('reads each prompt once for its responses, and points at what predicts each of their tokens', () => {
    const prompts = [i(5), i(5, 6), i(7, 8, 9)];
    const answers = fc.array(fc.record({ prompt: fc.constantFrom(...prompts), response: ids(1) }), {
      minLength: 1,
      maxLength: 40,
    });
    fc.assert(
      fc.property(answers, (all) => {
        const { tokens, predictors, targets, last } = packedResponseBatch(all.map(whole), 0);
        const responses = all.reduce((sum, { response }) => sum + response.length, 0);
        // A row of twice the longest sequence holds five responses of one token at the least.
        const held = tokens.segments.filter((segment) => segment > 0).length;
        const asked = prompts.filter((prompt) => all.some((each) => each.prompt === prompt));
        const once = asked.reduce((sum, prompt) => sum + prompt.length, 0);
        expect(held).toBeGreaterThanOrEqual(responses + once);
        if (all.length <= 2) expect(held).toBe(responses + once);
        let next = 0;
        for (const [index, { prompt, response }] of all.entries()) {
          const line = [...prompt, ...response];
          for (let t = prompt.length; t < line.length; t++) {
            const at = predictors[next]!;
            expect([tokens.ids[at], tokens.positions[at], targets[next]]).toEqual([line[t - 1], t - 1, line[t]]);
            next++;
          }
          const end = last[index]!;
          expect([tokens.ids[end], tokens.positions[end]]).toEqual([line.at(-1), line.length - 1]);
        }
      }),
      { seed: 4, numRuns: 50 },
    );
  });

  it('leaves long responses to a short prompt apart, where sharing it would make more tokens or longer rows', () => {
    const answer = (length: number, first: number) => promptAndResponse(i(5, 6), new Int32Array(length).fill(first));
    const { tokens } = packedResponseBatch([answer(198, 7), answer(198, 8)], 0);
    expect([tokens.batch, tokens.seq, tokens.branches]).toEqual([2, 224, undefined]);
  });

  it('leaves the numbers of some sequences where they are in the grid of all', () => {
    const batch = packedResponseBatch(two, 0, { grid: { sequences: 5, response: 3 }, lines: [4, 1] });
    expect(batch.cells).toEqual(i(12, 13, 3, 12));
    const grid = f(...Array.from({ length: 15 }, (_, cell) => 10 * cell));
    expect(takeCells(grid, batch)).toEqual(f(120, 130, 30, 120));
    expect(putCells(f(1, 2, 3, 4), batch)).toEqual(f(0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0));
  });

  it('holds every sequence once, whole and apart, in few rows of few sizes', () => {
    fc.assert(
      fc.property(many, (all) => {
        const { tokens, grid, last, ...batch } = packedResponseBatch(all.map(whole), 0);
        const lengths = all.map(({ prompt, response }) => prompt.length + response.length);
        expect(tokens.segments.filter((segment) => segment > 0).length).toBe(lengths.reduce((a, b) => a + b, 0));
        expect([tokens.seq % 16, grid.response % 16]).toEqual([0, 0]);
        // Best-fit decreasing needs at most 11/9 of the fewest rows and one more; rounding adds an eighth.
        const fewest = Math.ceil(lengths.reduce((a, b) => a + b, 0) / tokens.seq);
        expect(tokens.batch).toBeLessThanOrEqual(Math.min(all.length, (11 / 9) * fewest + 1) * 1.125 + 1);
        let next = 0;
        all.forEach(({ prompt, response }, index) => {
          const from = last[index]! + 1 - lengths[index]!;
          const at = (values: Int32Array): number[] => [...values.subarray(from, last[index]! + 1)];
          expect(at(tokens.ids)).toEqual([...prompt, ...response]);
          expect(at(tokens.positions)).toEqual(lengths.slice(index, index + 1).flatMap((n) => [...Array(n).keys()]));
          expect(new Set(at(tokens.segments)).size).toBe(1);
          expect(Math.floor(from / tokens.seq)).toBe(Math.floor(last[index]! / tokens.seq));
          response.forEach((id, t) => {
            const expected = [index * grid.response + t, from + prompt.length + t - 1, id, 1];
            expect([batch.cells[next], batch.predictors[next], batch.targets[next], batch.responseMask[next]]).toEqual(
              expected,
            );
            next++;
          });
        });
        expect(batch.responseMask.reduce((sum, flag) => sum + flag, 0)).toBe(next);
      }),
      { seed: 2, numRuns: 50 },
    );
  });
});

it('numbers of response tokens go into a grid and come back', () => {
  fc.assert(
    fc.property(many, (all) => {
      const batch = packedResponseBatch(all.map(whole), 0);
      const numbers = Float32Array.from(batch.cells, (_, n) => n + 1);
      const grid = putCells(numbers, batch);
      const tokens = all.reduce((sum, { response }) => sum + response.length, 0);
      expect([...takeCells(grid, batch).subarray(0, tokens)]).toEqual([...numbers.subarray(0, tokens)]);
      const { response: columns } = batch.grid;
      const mask = all.flatMap(({ response }) =>
        Array.from({ length: columns }, (_, t) => (t < response.length ? 1 : 0)),
      );
      expect([...gridMask(batch)]).toEqual(mask);
      expect([...grid].map((value) => (value === 0 ? 0 : 1))).toEqual(mask);
    }),
    { seed: 3, numRuns: 50 },
  );
});
