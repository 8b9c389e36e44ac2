import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Bool,
  Field,
  Float64,
  Int32,
  Int64,
  LargeUtf8,
  List,
  Table,
  tableFromArrays,
  tableToIPC,
  Utf8,
  type Vector,
  vectorFromArray,
} from 'apache-arrow';
import fc from 'fast-check';
import { afterAll, describe, expect, expectTypeOf, it } from 'vitest';
import { encodeTable, inspectTable, readTable, writeTable } from '../../src/tables/arrow-file.ts';
import {
  bool,
  type Columns,
  checkValue,
  float32,
  float32List,
  float64,
  int32,
  int32List,
  nullable,
  type Row,
  utf8,
  utf8List,
} from '../../src/tables/columns.ts';

const folder = mkdtempSync(join(tmpdir(), 'arrow-'));
afterAll(() => rmSync(folder, { recursive: true }));

const columns = {
  prompt: utf8('The prompt.'),
  step: int32('The step.'),
  score: float32('The score.'),
  seconds: float64('Time taken.'),
  flipped: bool('Whether it was turned round.'),
  input_ids: int32List('Token ids.'),
  rewards: float32List('Reward per token.'),
  options: utf8List('The options.'),
  loss: nullable(float64('The loss, where there is one.')),
  note: nullable(utf8('A note, where there is one.')),
  done: nullable(bool('Whether it ended, where known.')),
};

const row = fc.record({
  prompt: fc.string({ unit: 'binary' }),
  step: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  score: fc.float({ noNaN: true }),
  seconds: fc.double(),
  flipped: fc.boolean(),
  input_ids: fc.int32Array({ maxLength: 8 }),
  rewards: fc.float32Array({ maxLength: 8 }),
  options: fc.array(fc.string({ unit: 'grapheme' }), { maxLength: 4 }),
  loss: fc.option(fc.double()),
  note: fc.option(fc.string()),
  done: fc.option(fc.boolean()),
});

const at = (name: string): string => join(folder, name);

function save(name: string, bytes: Uint8Array | string): string {
  writeFileSync(at(name), bytes);
  return at(name);
}

function message(path: string, wanted: Columns = columns): string {
  try {
    readTable(path, wanted, 'node --import tsx the-stage.ts');
  } catch (error) {
    return String(error).replaceAll(folder, '');
  }
  return 'no error';
}

describe('writeTable and readTable', () => {
  it('give back the rows', () => {
    fc.assert(
      fc.property(fc.array(row, { maxLength: 12 }), (rows) => {
        const path = save('rows.arrow', encodeTable('rows', columns, rows));
        expect(readTable(path, columns, '').rows).toEqual(rows);
      }),
      { seed: 1, numRuns: 200 },
    );
  });

  it('give back more rows than fit one record batch, and metadata', async () => {
    const wanted = { step: int32('Step.'), ids: int32List('Ids.') };
    const rows = Array.from({ length: 2500 }, (_, i) => ({
      step: i,
      ids: Int32Array.from({ length: i % 5 }, () => i),
    }));
    await writeTable(at('many.arrow'), wanted, rows, { tokenizer: 'sha256:abc' });
    const table = readTable(at('many.arrow'), wanted, '');
    expect(table.rows).toEqual(rows);
    expect(table.metadata.tokenizer).toBe('sha256:abc');
    expect(readdirSync(folder).filter((name) => name.includes('tmp'))).toEqual([]);
  });

  it('give back a table without rows', () => {
    expect(readTable(save('none.arrow', encodeTable('none', columns, [])), columns, '').rows).toEqual([]);
  });

  it('write the file format, plain strings, descriptions and Hugging Face features', () => {
    const bytes = encodeTable('x', { prompt: utf8('The prompt.'), ids: int32List('Token ids.') }, [
      { prompt: 'a', ids: Int32Array.of(1) },
    ]);
    expect(Buffer.from(bytes.subarray(0, 6)).toString()).toBe('ARROW1');
    const found = inspectTable(save('described.arrow', bytes));
    expect(found.columns).toEqual([
      { name: 'prompt', type: 'Utf8', description: 'The prompt.' },
      { name: 'ids', type: 'List<Int32>', description: 'Token ids.' },
    ]);
    // The spelling that datasets 2, 3, 4 and 5 read (huggingface/datasets issues 7676, 7739).
    expect(JSON.parse(found.metadata.huggingface!)).toEqual({
      info: {
        features: {
          prompt: { dtype: 'string', _type: 'Value' },
          ids: { feature: { dtype: 'int32', _type: 'Value' }, length: -1, _type: 'Sequence' },
        },
      },
    });
    expect(found.row(0)).toEqual({ prompt: 'a', ids: [1] });
    expect(found.rowCount).toBe(1);
  });

  it('type the rows by the columns', () => {
    expectTypeOf<Row<typeof columns>['input_ids']>().toEqualTypeOf<Int32Array>();
    expectTypeOf<Row<typeof columns>['loss']>().toEqualTypeOf<number | null>();
  });

  it('pass over columns that were not asked for', () => {
    const path = save('more.arrow', encodeTable('x', { a: int32('A.'), b: int32('B.') }, [{ a: 1, b: 2 }]));
    expect(readTable(path, { b: int32('B.') }, '').rows).toEqual([{ b: 2 }]);
  });
});

describe('checkValue', () => {
  it('refuses what does not fit, naming row and column, before anything is written', async () => {
    const wanted = { step: int32('Step.'), ids: int32List('Ids.'), loss: nullable(float64('Loss.')), b: bool('B.') };
    const rows = [
      { step: 1, ids: Int32Array.of(1), loss: null, b: true },
      { step: 1.5, ids: [1, 2 ** 31], loss: undefined, b: 'yes' },
    ] as unknown as Row<typeof wanted>[];
    await expect(writeTable(at('bad.arrow'), wanted, rows)).rejects.toThrowErrorMatchingInlineSnapshot(`
      [DataError: ${at('bad.arrow')}: row 1, column "step": expected int32, received 1.5. Not written.
      ${at('bad.arrow')}: row 1, column "ids": expected list<int32>, received a list with 2147483648. Not written.
      ${at('bad.arrow')}: row 1, column "loss": expected float64 or null, received nothing. Not written.
      ${at('bad.arrow')}: row 1, column "b": expected bool, received "yes". Not written.]
    `);
    expect(readdirSync(folder)).not.toContain('bad.arrow');
  });

  it('names each kind of wrong value', () => {
    expect(checkValue(utf8('x'), 3)).toBe('expected utf8, received 3');
    expect(checkValue(utf8('x'), null)).toBe('expected utf8, received null');
    expect(checkValue(int32List('x'), 'text')).toBe('expected list<int32>, received "text"');
    expect(checkValue(int32List('x'), new Float32Array(1))).toBe('expected list<int32>, received a Float32Array');
    expect(checkValue(utf8List('x'), [{}])).toBe('expected list<utf8>, received a list with an object');
    expect(checkValue(utf8List('x'), new Int32Array(1))).toBe('expected list<utf8>, received a Int32Array');
    expect(checkValue(float32List('x'), Int32Array.of(1))).toBeNull();
    expect(checkValue(float64('x'), Number.NaN)).toBeNull();
  });
});

describe('files of other writers', () => {
  const write = (vectors: Record<string, Vector>): string =>
    save('other.arrow', tableToIPC(new Table(vectors), 'file'));

  it('are read where only widths and string layouts differ, as pandas and polars write them', () => {
    const path = write({
      dictionary: vectorFromArray(['a', 'b', 'a']),
      large: vectorFromArray(['x', 'é', 'z'], new LargeUtf8()),
      wide: vectorFromArray([1n, 2n, 3n], new Int64()),
      ids: vectorFromArray([[1n], [2n, 3n], []], new List(new Field('item', new Int64()))),
      scores: vectorFromArray([[1.5], [], [2, 3]], new List(new Field('item', new Float64()))),
    });
    const wanted = {
      dictionary: utf8(''),
      large: utf8(''),
      wide: int32(''),
      ids: int32List(''),
      scores: float32List(''),
    };
    expect(readTable(path, wanted, '').rows).toEqual([
      { dictionary: 'a', large: 'x', wide: 1, ids: Int32Array.of(1), scores: Float32Array.of(1.5) },
      { dictionary: 'b', large: 'é', wide: 2, ids: Int32Array.of(2, 3), scores: Float32Array.of() },
      { dictionary: 'a', large: 'z', wide: 3, ids: Int32Array.of(), scores: Float32Array.of(2, 3) },
    ]);
  });

  it('are refused where a value is missing or does not fit', () => {
    const path = write({
      step: vectorFromArray([1n, 2n ** 40n], new Int64()),
      prompt: vectorFromArray(['a', null], new Utf8()),
      ids: vectorFromArray([[1, null], [2]], new List(new Field('item', new Int32(), true))),
    });
    expect(message(path, { step: int32(''), prompt: utf8(''), ids: int32List('') })).toMatchInlineSnapshot(`
      "DataError: /other.arrow: column "step": 1099511627776 does not fit 32 bits; expected int32. Run node --import tsx the-stage.ts.
      /other.arrow: column "prompt": a value is missing (null); expected utf8. Run node --import tsx the-stage.ts.
      /other.arrow: column "ids": a list has a missing (null) entry; expected list<int32>. Run node --import tsx the-stage.ts."
    `);
  });

  it('are refused with all missing and wrong columns at once', () => {
    const path = write({ prompt: vectorFromArray([1, 2]), flipped: vectorFromArray([true, false], new Bool()) });
    expect(message(path, { prompt: utf8(''), ids: int32List(''), flipped: int32('') })).toMatchInlineSnapshot(`
      "DataError: /other.arrow: column "prompt" has another type; expected utf8, received Float64. Run node --import tsx the-stage.ts.
      /other.arrow: column "ids" is missing; expected list<int32>, found the columns prompt, flipped. Run node --import tsx the-stage.ts.
      /other.arrow: column "flipped" has another type; expected int32, received Bool. Run node --import tsx the-stage.ts."
    `);
  });
});

describe('files that are not as they should be', () => {
  const good = encodeTable('good', { prompt: utf8('P.'), ids: int32List('I.') }, [
    { prompt: 'one', ids: Int32Array.of(1, 2, 3) },
    { prompt: 'two', ids: Int32Array.of(4) },
  ]);
  const wanted = { prompt: utf8(''), ids: int32List('') };

  it('missing, empty, cut off, in stream format, another format, a folder: each is said', () => {
    expect(message(at('nowhere.arrow'), wanted)).toMatchInlineSnapshot(
      `"DataError: /nowhere.arrow: the file is missing; expected an Arrow file. Run node --import tsx the-stage.ts."`,
    );
    expect(message(save('empty.arrow', ''), wanted)).toMatchInlineSnapshot(
      `"DataError: /empty.arrow: the file is empty; expected an Arrow file, received 0 bytes. Run node --import tsx the-stage.ts."`,
    );
    expect(message(save('cut.arrow', good.subarray(0, good.length - 50)), wanted)).toMatchInlineSnapshot(
      `"DataError: /cut.arrow: the file is cut off; expected it to end with ARROW1, received 872 bytes that do not. Run node --import tsx the-stage.ts."`,
    );
    expect(
      message(save('stream.arrow', tableToIPC(tableFromArrays({ a: [1] }), 'stream')), wanted),
    ).toMatchInlineSnapshot(
      `"DataError: /stream.arrow: the file is in Arrow's stream format; expected its file format. Convert it, in Python: pyarrow.feather.write_feather(pyarrow.ipc.open_stream(source).read_all(), target, compression="uncompressed")."`,
    );
    expect(message(save('json.arrow', '{"prompt": "one", "ids": [1]}'), wanted)).toMatchInlineSnapshot(
      `"DataError: /json.arrow: not an Arrow file; expected it to begin with ARROW1. Run node --import tsx the-stage.ts."`,
    );
    expect(message(folder, wanted)).toMatchInlineSnapshot(
      `"DataError: : a folder; expected an Arrow file. Name the .arrow file in it."`,
    );
  });

  it('every cut is noticed', () => {
    for (let length = 0; length < good.length; length += 7) {
      expect(message(save('cut.arrow', good.subarray(0, length)), wanted)).toMatch(
        /^DataError: .* Run node --import tsx the-stage\.ts\.$/,
      );
    }
  });

  it('a block of zeros gives an error for people or other values, never a crash or an endless loop', () => {
    for (let position = 8; position < good.length - 10; position += 8) {
      const damaged = good.slice().fill(0, position, Math.min(position + 64, good.length - 10));
      expect(message(save('damaged.arrow', damaged), wanted), `byte ${position}`).toMatch(/^(DataError: |no error)/);
    }
  });

  it('a damaged message header is damage (the library alone would loop for ever)', () => {
    const damaged = good.slice();
    damaged[8] = 0;
    expect(message(save('damaged.arrow', damaged), wanted)).toMatch(
      /^DataError: \/damaged\.arrow: the file is damaged \(/,
    );
  });

  it('a footer that points nowhere is damage', () => {
    const damaged = good.slice();
    new DataView(damaged.buffer).setInt32(good.length - 10, 1e9, true);
    expect(message(save('damaged.arrow', damaged), wanted)).toMatch(
      /^DataError: \/damaged\.arrow: the file is damaged \(.*\)\. Run node/,
    );
  });

  it('a list offset outside the file is damage', () => {
    const damaged = good.slice();
    const offsets = Buffer.from(damaged.buffer).indexOf(Buffer.from(Int32Array.of(0, 3, 4).buffer));
    damaged[offsets + 8] = 99;
    expect(message(save('damaged.arrow', damaged), wanted)).toContain(
      'column "ids": an offset points outside the file',
    );
  });
});

it('compressed files are refused with the way out', () => {
  const path = new URL('./fixtures/compressed.arrow', import.meta.url).pathname;
  expect(message(path, { step: int32('') }).replace(path, 'compressed.arrow')).toMatchInlineSnapshot(
    `"DataError: compressed.arrow: the file is compressed; expected uncompressed record batches. Write it again with compression="uncompressed"."`,
  );
});
