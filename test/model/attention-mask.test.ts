/** Who may attend to whom, against the rule itself on every pair; and what packed segments then read. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { packedResponseBatch, promptAndResponse } from '../../src/batch/response-batch.ts';
import type { TokenBatch } from '../../src/batch/token-batch.ts';
import { layOut } from '../../src/batch/token-batch.ts';
import { InvariantError, ShapeError } from '../../src/errors.ts';
import type { Columns, CrossAttention, KeyRanges, SelfAttention } from '../../src/model/attention-mask.ts';
import { keyRanges, stepBias } from '../../src/model/attention-mask.ts';
import { decode } from '../../src/model/decoder.ts';
import { decoderInputs, disposeInputs } from '../../src/model/inputs.ts';
import type { Model } from '../../src/model/model.ts';
import { disposeModel, modelWeights } from '../../src/model/model.ts';
import { attend, MASKED_SCORE, rangeBias } from '../../src/tensor/attention.ts';
import type { Tensor4D } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import { tolerance } from '../helpers/allclose.ts';
import { take } from '../helpers/fixtures.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { normalTensor } from '../tensor/gradient-check.ts';
import { tinyIds, tinyModel } from './tiny-model.ts';

/** A token by its place: which sequence of which row, and where in it; null is padding. */
type Place = { sequence: number; t: number } | null;

/** Rows of sequences, given by their lengths, with the padding on one side. */
interface Rows {
  readonly lengths: readonly (readonly number[])[];
  readonly seq: number;
  readonly padding: 'left' | 'right';
}

const batchOf = ({ lengths, seq, padding }: Rows): TokenBatch => {
  const sequence = (length: number) => ({ ids: new Int32Array(length).fill(5), learned: new Int32Array(length) });
  return layOut(
    lengths.map((row) => row.map(sequence)),
    ...([seq, 0, padding] as const),
  );
};

/** Every column of a row as its place, found by walking along it. */
function places({ lengths, seq, padding }: Rows, row: number): Place[] {
  const found = lengths[row]!.flatMap((length, sequence) => Array.from({ length }, (_, t): Place => ({ sequence, t })));
  const pad = new Array<Place>(seq - found.length).fill(null);
  return padding === 'left' ? [...pad, ...found] : [...found, ...pad];
}

/** 1 and 0 for every query and key of every row, by a rule on two places. */
function oracle(queries: Rows, keys: Rows, rule: (query: Place, key: Place, isSame: boolean) => boolean): number[] {
  return queries.lengths.flatMap((_, row) => {
    const asked = places(keys, row);
    return places(queries, row).flatMap((query, i) => asked.map((key, j) => (rule(query, key, i === j) ? 1 : 0)));
  });
}

const flags = (values: ArrayLike<number>): number[] =>
  Array.from(values, (value) => (value === 0 ? 1 : value === Math.fround(MASKED_SCORE) ? 0 : Number.NaN));

/** The same of the keys that each query sees. */
const flagsOf = ({ shared, ...own }: KeyRanges, keys: number): number[] =>
  [...own.first.keys()].flatMap((query) => {
    const sees = (column: number) => (range: Columns | null) =>
      range !== null && column >= range.first[query]! && column < range.end[query]!;
    return Array.from({ length: keys }, (_, column) => ([own, shared].some(sees(column)) ? 1 : 0));
  });

const rowLengths = fc.array(fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 3 }), { minLength: 1, maxLength: 3 });
const someRows: fc.Arbitrary<Rows> = fc.record({
  lengths: rowLengths,
  seq: fc.integer({ min: 12, max: 14 }),
  padding: fc.constantFrom('left', 'right'),
});
const windows = fc.option(fc.integer({ min: 1, max: 5 }), { nil: null });
const runs = { seed: 1, numRuns: 100 };

describe('attention to the own batch', () => {
  /** Padding sees itself alone; others what the rule says of two places in one sequence, within the window. */
  const expectRule = (
    rows: Rows,
    attention: SelfAttention,
    window: number | null,
    sees: (from: number, to: number, sequence: number, row: number) => boolean,
  ): void => {
    const ranges = keyRanges(batchOf(rows), attention, window);
    const expected = rows.lengths.flatMap((lengths, row) =>
      oracle({ ...rows, lengths: [lengths] }, { ...rows, lengths: [lengths] }, (query, key, isSame) => {
        if (query === null || key === null) return query === null && isSame;
        if (query.sequence !== key.sequence) return false;
        return sees(query.t, key.t, key.sequence, row) && (window === null || Math.abs(query.t - key.t) < window);
      }),
    );
    expect(flagsOf(ranges, rows.seq)).toEqual(expected);
  };

  it('causal: to itself and what is before it', () => {
    fc.assert(
      fc.property(someRows, windows, (rows, window) => {
        expectRule(rows, { kind: 'causal' }, window, (from, to) => to <= from);
      }),
      runs,
    );
  });

  it('full: to all of it', () => {
    fc.assert(
      fc.property(someRows, windows, (rows, window) => {
        expectRule(rows, { kind: 'full' }, window, () => true);
      }),
      runs,
    );
  });

  it('prefix: to what is before it and to all of the prefix', () => {
    fc.assert(
      fc.property(
        someRows,
        windows,
        fc.array(fc.nat({ max: 4 }), { minLength: 9, maxLength: 9 }),
        (rows, window, sizes) => {
          const sizeOf = (row: number, sequence: number): number => sizes[3 * row + sequence]!;
          const prefix = rows.lengths.flatMap((_, row) =>
            places(rows, row).map((place) => (place !== null && place.t < sizeOf(row, place.sequence) ? 1 : 0)),
          );
          const attention = { kind: 'prefix', prefix: Int32Array.from(prefix) } as const;
          expectRule(rows, attention, window, (from, to, sequence, row) => to <= from || to < sizeOf(row, sequence));
        },
      ),
      runs,
    );
  });

  it('refuses a prefix of another size, or in the middle of its segment', () => {
    const rows = batchOf({ lengths: [[2]], seq: 3, padding: 'right' });
    expect(() => keyRanges(rows, { kind: 'prefix', prefix: Int32Array.of(0, 1, 0) }, null)).toThrow(
      new ShapeError(
        'prefix attention: row 0, column 1: expected the prefix where its segment begins, at column 0, and without gaps.',
      ),
    );
    expect(() => keyRanges(rows, { kind: 'prefix', prefix: new Int32Array(2) }, null)).toThrow(
      new ShapeError('prefix attention: expected a prefix of 1 × 3, received 2 entries.'),
    );
  });
});

describe('attention of several responses to one prompt', () => {
  const lengths = fc.tuple(fc.integer({ min: 1, max: 4 }), fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 3 }));
  const response = (prompt: number, length: number, id: number) =>
    promptAndResponse(new Int32Array(prompt).fill(id), new Int32Array(length).fill(20));

  it('goes to the prompt and to the response itself, causally, distances in positions', () => {
    fc.assert(
      fc.property(fc.array(lengths, { minLength: 1, maxLength: 4 }), windows, (prompts, window) => {
        const all = prompts.flatMap(([prompt, answers], i) => answers.map((length) => response(prompt, length, 3 + i)));
        fc.pre(all.length > 0);
        const { tokens } = packedResponseBatch(all, 0);
        const { batch, seq, segments, positions } = tokens;
        const branches = tokens.branches ?? new Int32Array(batch * seq);
        const expected = Array.from({ length: batch * seq * seq }, (_, at) => {
          const row = Math.floor(at / seq / seq) * seq;
          const [query, key] = [Math.floor(at / seq), row + (at % seq)];
          if (segments[query] === 0 || segments[key] !== segments[query]) return query === key ? 1 : 0;
          const distance = positions[query]! - positions[key]!;
          const isRead = branches[key] === 0 || branches[key] === branches[query];
          return isRead && distance >= 0 && (window === null || distance < window) ? 1 : 0;
        });
        expect(flagsOf(keyRanges(tokens, { kind: 'causal' }, window), seq)).toEqual(expected);
      }),
      runs,
    );
  });

  it('refuses a model that is not causal', () => {
    const { tokens } = packedResponseBatch([response(2, 1, 5), response(2, 2, 5)], 0);
    expect(() => keyRanges(tokens, { kind: 'full' }, null)).toThrow(
      new ShapeError('responses to one prompt side by side: expected a model of causal attention, received full.'),
    );
  });
});

describe('attention to another batch', () => {
  const cross = (keys: Rows): CrossAttention => ({ kind: 'cross', keys: batchOf(keys) });

  it('goes to the same segment of the same row there; padding sees nothing', () => {
    const pairs = fc.array(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 5 })), { maxLength: 3 }),
      {
        minLength: 1,
        maxLength: 3,
      },
    );
    // As many keys as the window can miss would be refused: the shortest window reaches the last query from the last key.
    fc.assert(
      fc.property(pairs, fc.option(fc.integer({ min: 4, max: 6 }), { nil: null }), (lengths, window) => {
        const queries: Rows = { lengths: lengths.map((row) => row.map(([q]) => q)), seq: 13, padding: 'left' };
        const keys: Rows = { lengths: lengths.map((row) => row.map(([, k]) => k)), seq: 16, padding: 'right' };
        const ranges = keyRanges(batchOf(queries), cross(keys), window);
        const expected = oracle(queries, keys, (query, key) => {
          if (query === null || key === null || query.sequence !== key.sequence) return false;
          return window === null || Math.abs(query.t - key.t) < window;
        });
        expect(flagsOf(ranges, keys.seq)).toEqual(expected);
      }),
      runs,
    );
  });

  it('refuses queries that would see nothing, and keys of other rows', () => {
    const queries = batchOf({ lengths: [[1, 4]], seq: 6, padding: 'right' });
    const keys = (...lengths: number[][]): CrossAttention => cross({ lengths, seq: 6, padding: 'right' });
    expect(() => keyRanges(queries, keys([3]), null)).toThrow(
      new InvariantError('cross attention: row 0, column 1: expected a key in segment 2 of this row, received none.'),
    );
    expect(() => keyRanges(queries, keys([3, 1]), 3)).toThrow(
      new InvariantError(
        'cross attention: row 0, column 4: expected a key in segment 2 of this row less than 3 positions away, received none.',
      ),
    );
    expect(() => keyRanges(queries, keys([1, 1], [1]), null)).toThrow(
      new ShapeError('cross attention: expected keys of 1 rows as the queries, received 2.'),
    );
  });
});

it('one token beside a cache sees the visible columns within its window, its own the last', () => {
  const cases = fc.array(fc.record({ first: fc.nat({ max: 4 }), own: fc.integer({ min: 4, max: 7 }) }), {
    minLength: 1,
    maxLength: 3,
  });
  fc.assert(
    fc.property(cases, windows, (rows, window) => {
      const visible = Uint8Array.from(
        rows.flatMap(({ first, own }) => Array.from({ length: 8 }, (_, k) => (k >= first && k <= own ? 1 : 0))),
      );
      const found = stepBias(
        visible,
        rows.length,
        Int32Array.from(rows, ({ own }) => own),
        window,
      );
      expect(found.shape).toEqual([rows.length, 1, 1, 8]);
      const expected = rows.flatMap(({ first, own }) =>
        Array.from({ length: 8 }, (_, k) => (k >= first && k <= own && (window === null || own - k < window) ? 1 : 0)),
      );
      expect(flags(found.values)).toEqual(expected);
    }),
    runs,
  );
});

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  function hiddenStates(model: Model, tokens: TokenBatch, attention?: SelfAttention): Float32Array[] {
    const inputs = decoderInputs(model.dimensions, tokens, attention);
    const flat = take(tf.tidy(() => decode(model.dimensions, modelWeights(model), inputs).hidden));
    disposeInputs(inputs);
    const width = model.dimensions.dModel;
    return Array.from({ length: tokens.ids.length }, (_, i) => flat.slice(i * width, (i + 1) * width));
  }
  const laid = (rows: Int32Array[][], seq: number): TokenBatch =>
    layOut(
      rows.map((row) => row.map((ids) => ({ ids, learned: new Int32Array(ids.length) }))),
      ...([seq, 0] as const),
    );

  it('a model reads both ways where it or its input says so, and then packed sequences still as if each were alone', () => {
    const model = tinyModel('llama');
    const encoder: Model = { ...model, dimensions: { ...model.dimensions, attention: 'full' } };
    const ids = tinyIds(6, 1);
    const other = ids.slice();
    other[4] = 3 + ((ids[4]! - 2) % 29);
    const prefix = Int32Array.of(1, 1, 1, 1, 1, 0);
    const changed = (read: Model, attention?: SelfAttention): string => {
      const [before, after] = [ids, other].map((row) => hiddenStates(read, laid([[row]], 6), attention));
      return before!.map((state, t) => (state.some((value, i) => value !== after![t]![i]) ? 'x' : '.')).join('');
    };
    expect(changed(model)).toBe('....xx');
    expect(changed(encoder)).toBe('xxxxxx');
    expect(changed(model, { kind: 'prefix', prefix })).toBe('xxxxxx');
    expect(changed(model, { kind: 'prefix', prefix: Int32Array.of(1, 1, 1, 0, 0, 0) })).toBe('....xx');
    const parts = [tinyIds(4, 1), tinyIds(3, 2)];
    const packed = hiddenStates(encoder, laid([parts], 8));
    const alone = parts.flatMap((part) => hiddenStates(encoder, laid([[part]], part.length)));
    alone.forEach((state, t) => {
      expect(packed[t]!).toBeAllclose(state, tolerance.forward);
    });
    disposeModel(model);
  });

  it('queries over the keys of another batch mix what each segment mixes alone', () => {
    const [query, key, value] = [
      normalTensor<Tensor4D>([1, 2, 5, 4], 1),
      normalTensor<Tensor4D>([1, 2, 6, 4], 2),
      normalTensor<Tensor4D>([1, 2, 6, 4], 3),
    ];
    const queries = batchOf({ lengths: [[3, 1]], seq: 5, padding: 'right' });
    const keys = batchOf({ lengths: [[2, 3]], seq: 6, padding: 'right' });
    const { first: from, end } = keyRanges(queries, { kind: 'cross', keys }, null);
    const perQuery = (values: Float32Array): Tensor4D => tf.tensor4d(values, [1, 1, 5, 1]);
    const columns = tf.tensor1d([0, 1, 2, 3, 4, 5]);
    const mixed = take(
      tf.tidy(() => attend(query, key, value, rangeBias([{ first: perQuery(from), end: perQuery(end) }], columns))),
    );
    const part = (from: number, count: number, keyFrom: number, keyCount: number): Float32Array =>
      take(
        tf.tidy(() =>
          attend(
            tf.slice(query, [0, 0, from, 0], [1, 2, count, 4]),
            tf.slice(key, [0, 0, keyFrom, 0], [1, 2, keyCount, 4]),
            tf.slice(value, [0, 0, keyFrom, 0], [1, 2, keyCount, 4]),
            tf.zeros([1, 1, count, keyCount]) as Tensor4D,
          ),
        ),
      );
    const [first, second] = [part(0, 3, 0, 2), part(3, 1, 2, 3)];
    for (const head of [0, 1]) {
      expect(mixed.slice(20 * head, 20 * head + 12)).toBeAllclose(first.slice(12 * head, 12 * head + 12));
      expect(mixed.slice(20 * head + 12, 20 * head + 16)).toBeAllclose(second.slice(4 * head, 4 * head + 4));
    }
    expect(mixed.every(Number.isFinite)).toBe(true);
    tf.dispose([query, key, value, columns]);
  });
});
