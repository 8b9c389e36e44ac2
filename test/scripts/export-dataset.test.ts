/** Exported folders against the rules of `datasets.load_from_disk`; `npm run notebooks` opens one with the library itself. */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { RecordBatchReader, RecordBatchStreamWriter, type Table, tableFromArrays, tableFromIPC } from 'apache-arrow';
import { describe, expect, it } from 'vitest';
import { exportArguments, exportDataset } from '../../scripts/export-dataset.ts';
import { encodeTable, writeTable } from '../../src/tables/arrow-file.ts';
import { bool, float32, int32, int32List, nullable, utf8, utf8List } from '../../src/tables/columns.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';

const path = useTemporaryFolder();

const columns = {
  prompt: utf8('Question.'),
  ids: int32List('Tokens.'),
  options: utf8List('Answers.'),
  rank: int32('Rank.'),
  margin: nullable(float32('Margin.')),
  ended: bool('Whether it ended.'),
};
const row = (rank: number) => ({
  prompt: `Ümlaut ${rank}?`,
  ids: Int32Array.of(1, rank, 2),
  options: rank % 2 === 0 ? [] : ['yes', 'no'],
  rank,
  margin: rank % 3 === 0 ? null : 0.5,
  ended: rank % 2 === 0,
});
const someRows = (count: number) => Array.from({ length: count }, (_, rank) => row(rank));
const json = (...parts: string[]): unknown => JSON.parse(readFileSync(path(...parts), 'utf8'));

/** The state that `datasets` 5.0.1 writes: seven keys, all of which it requires when it reads. */
const state = (source: string, names: string[], split: string | null) => ({
  _data_files: names.map((filename) => ({ filename })),
  _fingerprint: createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 16),
  _format_columns: null,
  _format_kwargs: {},
  _format_type: null,
  _output_all_columns: false,
  _split: split,
});

/** Rows of a shard, which must be a stream: pyarrow's memory-mapped reader of `datasets` knows no other format. */
function shardRows(...parts: string[]): Record<string, unknown>[] {
  const bytes = readFileSync(path(...parts));
  expect([...bytes.subarray(0, 4), ...bytes.subarray(-8)]).toEqual([
    255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0,
  ]);
  expect(RecordBatchReader.from(bytes).isStream()).toBe(true);
  const table: Table = tableFromIPC(bytes);
  return JSON.parse(JSON.stringify(table.toArray())) as Record<string, unknown>[];
}
const plainRows = (count: number) => someRows(count).map((value) => ({ ...value, ids: [...value.ids] }));

describe('exportDataset', () => {
  it('makes a Dataset of one file', async () => {
    await writeTable(path('pairs.arrow'), columns, someRows(7));
    expect(await exportDataset([path('pairs.arrow')], path('out'))).toEqual([{ name: 'pairs', rows: 7, shards: 1 }]);
    const name = 'data-00000-of-00001.arrow';
    expect(readdirSync(path('out')).sort()).toEqual([name, 'dataset_info.json', 'state.json']);
    expect(json('out', 'state.json')).toEqual(state(path('pairs.arrow'), [name], null));
    const value = (dtype: string) => ({ dtype, _type: 'Value' });
    const list = (dtype: string) => ({ feature: value(dtype), length: -1, _type: 'Sequence' });
    expect(json('out', 'dataset_info.json')).toEqual({
      citation: '',
      description: '',
      features: {
        ...{ prompt: value('string'), ids: list('int32'), options: list('string') },
        ...{ rank: value('int32'), margin: value('float32'), ended: value('bool') },
      },
      homepage: '',
      license: '',
    });
    expect(shardRows('out', name)).toEqual(plainRows(7));
  });

  it('makes a DatasetDict of several files, with names that datasets allows', async () => {
    await writeTable(path('train.arrow'), columns, someRows(3));
    await writeTable(path('held-out.arrow'), columns, someRows(2));
    await exportDataset([path('train.arrow'), path('held-out.arrow')], path('out'));
    expect(json('out', 'dataset_dict.json')).toEqual({ splits: ['train', 'held_out'] });
    expect(readdirSync(path('out')).sort()).toEqual(['dataset_dict.json', 'held_out', 'train']);
    const name = 'data-00000-of-00001.arrow';
    expect(json('out', 'held_out', 'state.json')).toEqual(state(path('held-out.arrow'), [name], 'held_out'));
    expect(shardRows('out', 'train', name)).toEqual(plainRows(3));
    expect(shardRows('out', 'held_out', name)).toEqual(plainRows(2));
  });

  it('begins a new shard where one is full, each a whole stream', async () => {
    await writeTable(path('long.arrow'), columns, someRows(2500));
    expect(await exportDataset([path('long.arrow')], path('out'), 1)).toEqual([
      { name: 'long', rows: 2500, shards: 3 },
    ]);
    const names = [0, 1, 2].map((shard) => `data-0000${shard}-of-00003.arrow`);
    expect(json('out', 'state.json')).toEqual(state(path('long.arrow'), names, null));
    expect(names.map((name) => shardRows('out', name).length)).toEqual([1000, 1000, 500]);
    expect(names.flatMap((name) => shardRows('out', name))).toEqual(plainRows(2500));
  });

  it('keeps a table without rows, with its columns', async () => {
    await writeTable(path('none.arrow'), columns, []);
    await exportDataset([path('none.arrow')], path('out'));
    const table = tableFromIPC(readFileSync(path('out', 'data-00000-of-00001.arrow')));
    expect([table.numRows, table.schema.names]).toEqual([0, Object.keys(columns)]);
  });

  it('takes streams and dictionaries of other writers, and leaves out features that it does not know', async () => {
    const table = tableFromArrays({ word: ['a', 'b', 'a'] });
    writeFileSync(path('words.arrow'), RecordBatchStreamWriter.writeAll(table).toUint8Array(true));
    await exportDataset([path('words.arrow')], path('out'), 1);
    expect(json('out', 'dataset_info.json')).not.toHaveProperty('features');
    expect(shardRows('out', 'data-00000-of-00001.arrow')).toEqual([{ word: 'a' }, { word: 'b' }, { word: 'a' }]);
  });

  it('replaces an earlier export', async () => {
    await writeTable(path('a.arrow'), columns, someRows(4));
    await exportDataset([path('a.arrow')], path('out'));
    await writeTable(path('a.arrow'), columns, someRows(1));
    await exportDataset([path('a.arrow')], path('out'));
    expect(shardRows('out', 'data-00000-of-00001.arrow')).toEqual(plainRows(1));
  });

  it('names all that is wrong before it writes anything', async () => {
    mkdirSync(path('x'));
    writeFileSync(path('x', 'notes.txt'), '');
    await writeTable(path('a b.arrow'), columns, []);
    await writeTable(path('a_b.arrow'), columns, []);
    const files = ['a b.arrow', 'missing.arrow', 'x', 'a_b.arrow'].map((name) => path(name));
    expect(await problemsOf(() => exportDataset(files, path('x')), path())).toEqual([
      'missing.arrow: the file is missing; expected an Arrow file. Correct the path.',
      'x: not a file; expected an Arrow file. Name the .arrow file in it.',
      'a_b.arrow: split "a_b" is taken by a b.arrow; expected another file name. Rename one of them.',
      'x: holds other files; expected a new folder or an earlier export, received 1 entries. Choose another folder.',
    ]);
    expect(await problemsOf(() => exportDataset([path('a_b.arrow')], path('a b.arrow')), path())).toEqual([
      'a b.arrow: a file; expected a folder to write. Choose another name.',
    ]);
    expect(readdirSync(path('x'))).toEqual(['notes.txt']);
  });

  it.each([
    [
      'is cut off',
      () => encodeTable('', columns, someRows(3)).subarray(0, 900),
      'not readable as Arrow (the file is cut off); expected a whole .arrow file. Run the program that wrote it again.',
    ],
    [
      'is no Arrow',
      () => new TextEncoder().encode('{"prompt": "a"}\n'),
      'not readable as Arrow (a message does not begin as one); expected a whole .arrow file. Run the program that wrote it again.',
    ],
    [
      'is empty',
      () => new Uint8Array(),
      'the file is empty; expected an Arrow file. Run the program that wrote it again.',
    ],
    [
      'has broken features',
      () => {
        const table = tableFromIPC(encodeTable('', columns, someRows(1)));
        table.schema.metadata.set('huggingface', '{');
        return RecordBatchStreamWriter.writeAll(table).toUint8Array(true);
      },
      'its metadata "huggingface" is not JSON; expected {"info": {"features": …}}. Write the file again.',
    ],
  ])('keeps the earlier export where a file %s', async (_, bytes, problem) => {
    await writeTable(path('good.arrow'), columns, someRows(2));
    await exportDataset([path('good.arrow')], path('out'));
    writeFileSync(path('bad.arrow'), bytes());
    const export_ = () => exportDataset([path('good.arrow'), path('bad.arrow')], path('out'));
    expect(await problemsOf(export_, path())).toEqual([`bad.arrow: ${problem}`]);
    expect(shardRows('out', 'data-00000-of-00001.arrow')).toEqual(plainRows(2));
    expect(readdirSync(path()).sort()).toEqual(['bad.arrow', 'good.arrow', 'out']);
  });
});

describe('exportArguments', () => {
  it('takes the last argument as the folder', () => {
    expect(exportArguments(['a', 'b', 'c'])).toEqual({ files: ['a', 'b'], folder: 'c' });
  });

  it('says how it is used', async () => {
    expect(await problemsOf(() => exportArguments(['a']), path())).toEqual([
      'export-dataset: expected Arrow files and a folder, received 1 arguments. Run node --import tsx scripts/export-dataset.ts file.arrow… folder.',
    ]);
  });
});
