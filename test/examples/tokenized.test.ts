import { existsSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { packSequences } from '../../src/batch/packing.ts';
import { takeRows } from '../../src/batch/token-batch.ts';
import { DataError } from '../../src/errors.ts';
import {
  describeStatistics,
  type InstructRow,
  instructColumns,
  writeInstruct,
} from '../../src/examples/instruction-table.ts';
import { openPacked } from '../../src/examples/tokenized-packed.ts';
import { openPadded } from '../../src/examples/tokenized-padded.ts';
import { encodeTable, readTable } from '../../src/tables/arrow-file.ts';
import { openRandomAccess } from '../../src/tables/arrow-random-access.ts';
import { int32, int32List, utf8, utf8List } from '../../src/tables/columns.ts';
import { instructRow } from '../helpers/instruct-row.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';

const folder = mkdtempSync(join(tmpdir(), 'tokenized-'));
afterAll(() => rmSync(folder, { recursive: true }));
const bytes = byteTokenizer();
const inFolder = (name: string): string => join(folder, name);

function row(ids: number[], mask: number[], cut = 0): InstructRow {
  return instructRow(Int32Array.from(ids), Int32Array.from(mask), cut);
}
const example = (size: number, first = 5): InstructRow =>
  row(
    Array.from({ length: size }, (_, i) => (i === size - 1 ? 2 : first + i)),
    Array.from({ length: size }, (_, i) => (i < size / 2 ? 0 : 1)),
  );
const message = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return error.message.replaceAll(`${folder}/`, '');
  }
  return 'no error';
};

describe('writeInstruct', () => {
  it('writes rows and figures, leaving out what was dropped', async () => {
    const path = inFolder('figures.arrow');
    const rows = [
      ...[example(4), { droppedFrom: 'a.jsonl:2' }, row([1, 7, 8], [0, 1, 1], 5)],
      ...[{ droppedFrom: 'a.jsonl:2' }, { droppedFrom: 'a.jsonl:9' }],
    ];
    const figures = await writeInstruct(path, rows, bytes);
    expect(figures).toEqual({
      ...{ examples: 2, tokens: 7, trainableTokens: 4, longest: 4, truncated: 1, dropped: 3, withoutEos: 1 },
      firstDropped: ['a.jsonl:2', 'a.jsonl:9'],
      fullyMasked: 0,
    });
    const read = readTable(path, instructColumns, 'x');
    expect(read.rows).toEqual([rows[0], rows[2]]);
    expect(JSON.parse(read.metadata.statistics!)).toEqual(figures);
    expect(describeStatistics(figures)).toBe(
      '2 examples, 7 tokens (57 % learned), longest 4, 1 truncated, 3 dropped (too long, first at a.jsonl:2, a.jsonl:9), 1 WITHOUT EOS: their targets were cut',
    );
  });

  it('refuses an example without anything to learn, and writes nothing then', async () => {
    const path = inFolder('nothing.arrow');
    await expect(writeInstruct(path, [example(4), row([1, 2], [0, 0])], bytes)).rejects.toThrow(
      /nothing\.arrow: row 1: nothing would be learned\. Remove the row\.$/,
    );
    expect(existsSync(path)).toBe(false);
  });
});

describe('openRandomAccess', () => {
  it('reads the lists of any row as the whole file does, over several record batches and any columns around', () => {
    const columns = { a: utf8('x'), ids: int32List('x'), words: utf8List('x'), n: int32('x'), more: int32List('x') };
    const list = fc.array(fc.integer({ min: -5, max: 2 ** 31 - 1 }), { maxLength: 6 });
    const rows = fc.array(fc.record({ a: fc.string(), ids: list, words: fc.array(fc.string()), more: list }), {
      minLength: 1,
      maxLength: 8,
    });
    fc.assert(
      fc.property(rows, fc.constantFrom(1, 400), (some, times) => {
        const all = Array.from({ length: times }, () => some).flat();
        const path = inFolder('random.arrow');
        const table = all.map((each, n) => ({
          ...each,
          n,
          ids: Int32Array.from(each.ids),
          more: Int32Array.from(each.more),
        }));
        writeFileSync(path, encodeTable(path, columns, table, { about: 'this' }));
        const file = openRandomAccess(path, 'x');
        expect([file.rows, file.metadata.about]).toEqual([all.length, 'this']);
        for (const name of ['ids', 'more'] as const) {
          const column = file.listColumn(name);
          expect([...column.lengths]).toEqual(all.map((each) => each[name].length));
          for (const at of [0, all.length - 1, all.length >> 1]) expect([...column.read(at)]).toEqual(all[at]![name]);
        }
        file.close();
      }),
      { seed: 1, numRuns: 40 },
    );
  });

  it('says what is wrong with a file or a column', () => {
    const path = inFolder('wrong.arrow');
    writeFileSync(path, encodeTable(path, { a: utf8('x') }, [{ a: 'b' }]));
    const table = openRandomAccess(path, 'the stage');
    expect(message(() => table.listColumn('ids'))).toBe(
      'wrong.arrow: no column "ids"; expected it among a. Name another file.',
    );
    expect(message(() => table.listColumn('a'))).toBe(
      'wrong.arrow: column "a": expected list<int32>, received Utf8. Run the stage.',
    );
    table.close();
    expect(message(() => openRandomAccess(inFolder('none.arrow'), 'the stage'))).toBe(
      'none.arrow: the file is missing; expected an Arrow file. Run the stage.',
    );
    writeFileSync(path, 'no Arrow file, but long enough for one');
    expect(message(() => openRandomAccess(path, 'the stage'))).toBe(
      'wrong.arrow: the file is damaged or not an uncompressed Arrow file (it does not begin and end with ARROW1). Run the stage.',
    );
    expect(message(() => openRandomAccess('test/fixtures/import/pandas.feather', 'the stage'))).toMatch(
      /it is compressed|damaged/,
    );
  });

  it('never does worse than a DataError on a damaged file', () => {
    const path = inFolder('damaged.arrow');
    const whole = encodeTable(path, { ids: int32List('x') }, [
      { ids: Int32Array.of(1, 2, 3) },
      { ids: Int32Array.of(4) },
    ]);
    const damage = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(damage, fc.nat(whole.length), fc.boolean(), (changes, end, isCut) => {
        const bad = Uint8Array.from(whole);
        for (const [at, value] of changes) bad[at] = value;
        writeFileSync(path, isCut ? bad.subarray(0, end) : bad);
        message(() => {
          const table = openRandomAccess(path, 'x');
          try {
            const column = table.listColumn('ids');
            for (let i = 0; i < column.lengths.length; i++) column.read(i);
          } finally {
            table.close();
          }
        });
      }),
      { seed: 2, numRuns: 400 },
    );
  });
});

describe('openPacked', () => {
  it('gives the same rows as packing everything in memory', async () => {
    const path = inFolder('packed.arrow');
    const rows = [3, 9, 4, 4, 7, 2, 12, 5].map((size, i) => example(size, 10 * i + 3));
    await writeInstruct(path, rows, bytes);
    const data = openPacked(path, bytes, 12, 2);
    const memory = packSequences(
      rows.map((each) => ({ ids: each.input_ids, learned: each.loss_mask })),
      12,
      0,
    );
    expect([data.examples, data.units, data.perUpdate]).toEqual([8, memory.batch, 2]);
    const order = [2, 0, 1];
    expect(data.take(order)).toEqual(takeRows(memory, order));
    data.close();
  });

  it('names the row that would teach nothing or crash, when it is read', () => {
    const write = (ids: number[], mask: number[], hash = bytes.hash): string => {
      const path = inFolder('bad.arrow');
      const columns = { input_ids: int32List('x'), loss_mask: int32List('x') };
      const table = [{ input_ids: Int32Array.from(ids), loss_mask: Int32Array.from(mask) }];
      writeFileSync(path, encodeTable(path, columns, ids.length === 0 ? [] : table, { tokenizer: hash }));
      return path;
    };
    const open = (ids: number[], mask: number[], hash?: string): string =>
      message(() => openPacked(write(ids, mask, hash), bytes, 8, 1).take([0]));
    expect(open([1, 5, 2], [0, 0, 0])).toBe(
      'bad.arrow: row 0: loss_mask is 0 everywhere, so nothing would be learned; expected a 1. Remove the row.',
    );
    expect(open([1, 5, 2], [0, 1])).toBe(
      'bad.arrow: row 0: loss_mask: expected 3 entries as input_ids, received 2. Run node --import tsx stages/1-instruct.ts.',
    );
    expect(open([1, 999, 2], [0, 1, 1])).toBe(
      'bad.arrow: row 0: input_ids: expected ids below 259, received 999. Run node --import tsx stages/1-instruct.ts.',
    );
    expect(open([], [])).toBe(
      'bad.arrow: no examples; expected at least one. Run node --import tsx stages/1-instruct.ts.',
    );
    expect(open([1, 5, 2], [0, 1, 1], 'sha256:other')).toContain(
      `bad.arrow: made with another tokenizer; expected ${bytes.hash}, received sha256:other.`,
    );
    expect(open([1, 5, 6, 7, 8, 9, 10, 11, 2], [0, 1, 1, 1, 1, 1, 1, 1, 1])).toContain(
      'bad.arrow: row 0: expected at most 8 tokens, a packed row, received 9. Raise the length of rows.',
    );
  });

  it('says so where the file is cut off while it is read', async () => {
    const path = inFolder('cut.arrow');
    await writeInstruct(path, [example(6)], bytes);
    const data = openPacked(path, bytes, 8, 1);
    truncateSync(path, 100);
    expect(message(() => data.take([0]))).toBe('row 0: the file was cut off while it was read. Run the stage again.');
    data.close();
  });
});

describe('openPadded', () => {
  const sizes = [3, 9, 4, 4, 7, 2, 12, 5, 4];
  const open = async (buckets: number[], rows: number, seed = 1) => {
    const path = inFolder('padded.arrow');
    await writeInstruct(
      path,
      sizes.map((size, i) => example(size, 10 * i + 3)),
      bytes,
    );
    return openPadded(path, bytes, buckets, rows, seed);
  };

  it('makes batches of one bucket that hold every example', async () => {
    const data = await open([4, 8, 16], 2);
    // Up to 4 tokens: 3, 4, 4, 2, 4; up to 8: 7, 5; up to 16: 9, 12.
    expect([data.examples, data.units, data.perUpdate, data.length]).toEqual([9, 5, 1, 16]);
    const batches = Array.from({ length: data.units }, (_, unit) => data.take([unit]));
    expect(batches.map(({ seq }) => seq)).toEqual([4, 4, 4, 8, 16]);
    expect(batches.map(({ batch }) => batch)).toEqual([2, 2, 2, 2, 2]);
    const firsts = batches.flatMap(({ ids, seq }) => [ids[0], ids[seq]]);
    expect(new Set(firsts)).toEqual(new Set(sizes.map((_, i) => 10 * i + 3)));
    for (const { segments, ids } of batches) {
      expect([...segments]).toEqual([...ids].map((id) => (id === 0 ? 0 : 1)));
    }
    data.close();
  });

  it('draws which examples share a batch from the seed', async () => {
    const firsts = async (seed: number) => {
      const data = await open([16], 3, seed);
      const found = [0, 1, 2].map((unit) => [...data.take([unit]).ids].filter((_, i) => i % 16 === 0));
      data.close();
      return found;
    };
    expect(await firsts(1)).toEqual(await firsts(1));
    expect(await firsts(1)).not.toEqual(await firsts(2));
  });

  it('refuses examples longer than the last bucket', async () => {
    await expect(open([4, 8], 2)).rejects.toThrow(
      'row 1: expected at most 8 tokens, the largest bucket, received 9. Add a larger bucket.',
    );
  });
});
