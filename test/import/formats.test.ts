import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { listFiles } from '../../src/import/files.ts';
import { useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { readAll } from './read-all.ts';

const fixtures = fileURLToPath(new URL('../fixtures/import/', import.meta.url));
const path = useTemporaryFolder();
// Written by Python beside the files: scripts/fixtures/import_formats.py.
const expected = JSON.parse(readFileSync(join(fixtures, 'expected.json'), 'utf8')) as {
  rows: Record<string, unknown>[];
  blocks: { rows: number; first: string; last: string };
};

describe('every format holds the rows that Python wrote', () => {
  test.each([
    'pandas.feather',
    'pandas-zstd.feather',
    'polars.arrow',
    'polars-lz4.arrow',
    'polars.arrows',
    'large-types.arrow',
    'hf-single',
    'hf-shards',
    'hf-dict',
    'none.parquet',
    'snappy.parquet',
    'zstd.parquet',
    'gzip.parquet',
    'lz4.parquet',
    'brotli.parquet',
    'lines.jsonl',
    'list.json',
  ])('%s', async (name) => {
    const { rows, bad } = await readAll(join(fixtures, name));
    expect(bad).toEqual([]);
    // JSON's 3.0 stays as it is written; binary formats have no writing of a number.
    expect(rows.map(({ fields }) => ({ ...fields, score: Number(fields.score) }))).toEqual(expected.rows);
  });

  test.each([
    ['plain.csv', {}],
    ['plain.tsv.gz', { quote: '"' }],
  ])('%s, all values as text', async (name, options) => {
    const { rows, bad } = await readAll(join(fixtures, name), options);
    expect(bad).toEqual([]);
    const asText = expected.rows.map(({ tags: _, good, ...row }) => {
      return { ...row, id: String(row.id), score: Number(row.score), good: good ? 'True' : 'False' };
    });
    expect(rows.map(({ fields }) => ({ ...fields, score: Number(fields.score) }))).toEqual(asText);
  });

  test('an LZ4 frame of several blocks that refer to each other', async () => {
    const { rows } = await readAll(join(fixtures, 'blocks.feather'));
    expect(rows).toHaveLength(expected.blocks.rows);
    expect(String(rows[0]!.fields.text).slice(0, 20)).toBe(expected.blocks.first);
    expect(String(rows.at(-1)!.fields.text).slice(-20)).toBe(expected.blocks.last);
  });
});

describe('places of rows', () => {
  test('are lines, also where a value of a CSV spans several and lines are blank', async () => {
    writeFileSync(path('a.csv'), 'text,n\r\none,1\r\n"two\r\nlines",2\r\n\r\nthree,3\r\n"a "b",4\r\n"fi\nve",5');
    const { rows, bad } = await readAll(path('a.csv'));
    expect(rows.map(({ where, row }) => [where.replace(path(), ''), row])).toEqual([
      ['/a.csv:2', 2],
      ['/a.csv:3', 3],
      ['/a.csv:6', 6],
      ['/a.csv:8', 8],
    ]);
    expect(bad.map(({ where }) => where.replace(path(), ''))).toEqual(['/a.csv:7']);
    expect(rows[1]!.fields).toEqual({ text: 'two\r\nlines', n: '2' });
  });

  test('count lines of rows with broken quotes, one bad row each, and blank ones in front', async () => {
    writeFileSync(path('a.csv'), '\ntext,n\n\na "quoted" b,1\n\n"two\n\nlines",2\nthree,3\n\n\nfour,4,4\n');
    const { rows, bad } = await readAll(path('a.csv'));
    expect(rows.map(({ row, fields }) => [row, fields.n])).toEqual([
      [6, '2'],
      [9, '3'],
    ]);
    expect(bad.map(({ where, reason }) => [where.replace(path(), ''), reason])).toEqual([
      ['/a.csv:4', 'broken quotes'],
      ['/a.csv:12', 'number of fields'],
    ]);
  });

  test('with the keys of a JSON object that hold no rows', async () => {
    writeFileSync(
      path('a.json'),
      '{"version": "1.1", "data": [{"a": {"b": 1}, "c": "d"}], "n": 18, "x": null, "y": [], "z": {}}',
    );
    const { rows, notes } = await readAll(path('a.json'));
    expect(rows.map(({ fields }) => fields)).toEqual([{ a: { b: 1 }, c: 'd', $key: 'data' }]);
    expect(notes).toEqual([`${path('a.json')}: keys that hold no list of rows, not used: version, n, x.`]);
    writeFileSync(path('a.json'), '[{"a": 1, "b": "c"}]');
    expect((await readAll(path('a.json'))).notes).toEqual([]);
  });

  test('are numbers where the format has no lines, counted over all splits of a JSON object', async () => {
    writeFileSync(path('a.json'), '{"train": [["a", 1], ["b", 2]],\n "test": [["c", 3]]}');
    const { rows } = await readAll(path('a.json'));
    expect(rows).toEqual([
      { where: `${path('a.json')}: row 1`, row: 1, fields: { 0: 'a', 1: 1, $key: 'train' } },
      { where: `${path('a.json')}: row 2`, row: 2, fields: { 0: 'b', 1: 2, $key: 'train' } },
      { where: `${path('a.json')}: row 3`, row: 3, fields: { 0: 'c', 1: 3, $key: 'test' } },
    ]);
  });
});

describe('text files', () => {
  test('may begin with a byte order mark and end lines with CRLF', async () => {
    writeFileSync(path('a.jsonl'), '\ufeff{"a": "x"}\r\n\r\n{"a": "y"}');
    writeFileSync(path('a.json'), '\ufeff[{"a": "x"}, {"a": "y"}]');
    writeFileSync(path('a.csv'), '\ufeffa\r\nx\r\ny\r\n');
    for (const name of ['a.jsonl', 'a.json', 'a.csv']) {
      const { rows, bad } = await readAll(path(name));
      expect(bad).toEqual([]);
      expect(rows.map(({ fields }) => fields)).toEqual([{ a: 'x' }, { a: 'y' }]);
    }
  });

  test('may be latin-1, without header and without quotes', async () => {
    writeFileSync(path('a.tsv'), Buffer.from('1\tcaf\xe9 "bar\n2\tna\xefve\n', 'latin1'));
    const { rows } = await readAll(path('a.tsv'), { encoding: 'latin-1', header: false });
    expect(rows.map(({ fields }) => fields)).toEqual([
      { 0: '1', 1: 'café "bar' },
      { 0: '2', 1: 'naïve' },
    ]);
  });

  test('are cut into lines wherever the pieces that are read end', async () => {
    const rows = Array.from({ length: 300 }, (_, i) => ({ i, text: 'ü'.repeat(5000 + i) }));
    const text = rows.map((row) => JSON.stringify(row)).join('\n');
    writeFileSync(path('a.jsonl.gz'), gzipSync(text));
    writeFileSync(path('a.json'), JSON.stringify(rows));
    for (const name of ['a.jsonl.gz', 'a.json']) {
      expect((await readAll(path(name))).rows.map(({ fields }) => fields)).toEqual(rows);
    }
  });
});

describe('the files of a source', () => {
  test('are those that state.json lists, each with the split of its folder', () => {
    const { files } = listFiles([{ path: join(fixtures, 'hf-dict') }]);
    expect(files.map(({ split }) => split)).toEqual(['train', 'test']);
    expect(listFiles([{ path: join(fixtures, 'hf-shards') }]).files.map(({ name }) => name)).toEqual([
      'data-00000-of-00002',
      'data-00001-of-00002',
    ]);
  });

  test('have names with folders in front where names alone would be the same', () => {
    const names = listFiles([{ path: 'test/fixtures/import/hf-dict' }]).files.map(({ name }) => name);
    expect(names).toEqual([
      'test-fixtures-import-hf-dict-train-data-00000-of-00001',
      'test-fixtures-import-hf-dict-test-data-00000-of-00001',
    ]);
  });
});
