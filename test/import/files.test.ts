import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { listFiles } from '../../src/import/files.ts';
import { splitsInName } from '../../src/import/split-names.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { importRows } from './import-rows.ts';
import { readAll } from './read-all.ts';

// Written by Python: scripts/fixtures/import_files.py.
const fixtures = fileURLToPath(new URL('../fixtures/import-files/', import.meta.url));
const path = useTemporaryFolder();
const lay = (files: Record<string, string | Buffer>): void => {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(path('in', name)), { recursive: true });
    writeFileSync(path('in', name), content);
  }
};
const line = (text: string, more: object = {}): string => `${JSON.stringify({ text, ...more })}\n`;
const shape = { shape: 'text' };
const inFolder = (notes: readonly string[]): string[] => notes.map((note) => note.replaceAll(`${path('in')}`, 'in'));

/** Split of each text of an import of the folder, and the notes. */
async function splitsOf(config: object = {}, input = 'in'): Promise<{ splits: object; notes: string[] }> {
  const { rows, report } = await importRows(path(input), { ...shape, ...config });
  return { splits: Object.fromEntries(rows.map(({ text, split }) => [text, split])), notes: inFolder(report.source) };
}

describe('splits come from names', () => {
  // The words are those of data_files.py in Hugging Face's datasets.
  test.each<[string, string[]]>([
    ['train', ['train']],
    ['train-00000-of-00001', ['train']],
    ['banking77_validation', ['validation']],
    ['my.dev.set', ['validation']],
    ['valid', ['validation']],
    ['val2017', ['validation']],
    ['TEST', ['test']],
    ['eval-harness', ['test']],
    ['evaluation', ['test']],
    ['testSet', ['test']],
    ['devset', ['validation']],
    ['validation_matched', ['validation']],
    ['training-tips', ['train']],
    ['contest', []],
    ['latest', []],
    ['evaluator', []],
    ['trainer', []],
    ['developers', []],
    ['valley', []],
    ['set', []],
    ['train_test', ['train', 'test']],
  ])('%s', (name, splits) => expect(splitsInName(name)).toEqual(splits));

  test('of files, said in one line', async () => {
    lay({ 'train.jsonl': line('a'), 'validation.jsonl': line('b'), 'test.jsonl': line('c') });
    expect(await splitsOf()).toEqual({
      splits: { a: 'train', b: 'validation', c: 'test' },
      notes: [
        'splits by the names of files: test from in/test.jsonl; train from in/train.jsonl; validation from in/validation.jsonl.',
      ],
    });
  });

  test('of shards, of folders, and of the nearest where several speak; what has none is train, and said', async () => {
    lay({
      'data/train-00000-of-00002.jsonl': line('a'),
      'data/train-00001-of-00002.jsonl': line('b'),
      'data/test/part-0.jsonl.gz': gzipSync(line('c')),
      'eval/dev.jsonl': line('d'),
      'contest.csv': 'text\ne\n',
    });
    expect(await splitsOf()).toEqual({
      splits: { a: 'train', b: 'train', c: 'test', d: 'validation', e: 'train' },
      notes: [
        'splits by the names of files: no split in the name, so train: in/contest.csv; test from in/data/test/part-0.jsonl.gz; ' +
          'train from in/data/train-00000-of-00002.jsonl, in/data/train-00001-of-00002.jsonl; validation from in/eval/dev.jsonl.',
      ],
    });
  });

  test('of a named file and of the folder that is named, but of none above', async () => {
    lay({ 'test-data/test/a.jsonl': line('a'), 'test-data/b.jsonl': line('b'), 'test-data/my_test.jsonl': line('c') });
    expect((await splitsOf({}, 'in/test-data/test')).splits).toEqual({ a: 'test' });
    expect((await splitsOf({}, 'in/test-data/b.jsonl')).splits).toEqual({ b: 'train' });
    expect((await splitsOf({}, 'in/test-data/my_test.jsonl')).splits).toEqual({ c: 'test' });
  });

  test('where nothing names one, all is train and nothing is said', async () => {
    lay({ 'a.jsonl': line('a'), 'latest.jsonl': line('b') });
    expect(await splitsOf()).toEqual({ splits: { a: 'train', b: 'train' }, notes: [] });
  });

  test('a name that tells of two is an error, unless the configuration decides', async () => {
    lay({ 'train-test.jsonl': line('a') });
    expect(await problemsOf(() => splitsOf(), path('in'))).toEqual([
      'train-test.jsonl: its name tells of two splits (train, test); expected one. Rename it, or set split.name, or split under input.files, of npm run import.',
    ]);
    expect((await splitsOf({ split: { name: 'train' } })).splits).toEqual({ a: 'train' });
    const files = [{ path: path('in/train-test.jsonl'), split: 'test' }];
    expect((await splitsOf({ input: { files } })).splits).toEqual({ a: 'test' });
  });

  test('a field or a key that says so goes before names', async () => {
    lay({
      'train.jsonl': line('a', { split: 'val' }) + line('b', { split: 'odd' }) + line('c'),
      'all.json': JSON.stringify({ train: [{ text: 'd' }], oos_test: [{ text: 'e' }] }),
    });
    expect(await splitsOf()).toEqual({
      splits: { a: 'validation', b: 'train', c: 'train', d: 'train', e: 'test' },
      notes: [
        'splits by the names of files: train from in/train.jsonl.',
        'splits by the field "split": validation 1.',
        'splits by the keys of a JSON object: train, oos_test is test.',
        'the field "split" holds other values too (odd), which are not used; split.column: split would use them.',
      ],
    });
  });

  test('what the configuration says goes before all, and what does not count is named', async () => {
    lay({ 'train.jsonl': line('a', { split: 'test' }), 'test.jsonl': line('b') });
    expect(await splitsOf({ split: { name: 'all' } })).toEqual({
      splits: { a: 'all', b: 'all' },
      notes: [
        'split is set, so these do not count: in/test.jsonl (test), the field "split" (test). To use them leave split out, or set split.column: $split.',
      ],
    });
    expect((await splitsOf({ split: { column: 'split', otherwise: 'x' }, badRows: 'skip' })).splits).toEqual({
      a: 'x',
    });
  });
});

describe('the entries of a folder', () => {
  test('are read or named, subfolders too', async () => {
    lay({
      'part-0.JSONL': line('a'),
      'deep/er/part-1.jsonl.zst': readFileSync(join(fixtures, 'frames.jsonl.zst')),
      'README.md': '#',
      LICENSE: '',
      _SUCCESS: '',
      'dataset_info.json': '{}',
      '.hidden.jsonl': line('no'),
      '.git/config.json': '{}',
      '__MACOSX/part-0.jsonl': line('no'),
      'images/a.png': '',
      'empty.jsonl': '',
      'heads.csv': 'text\n',
    });
    const { rows, report } = await importRows(path('in'), shape);
    expect(rows).toHaveLength(401);
    expect(inFolder(report.source)).toEqual([
      'in: passed over .git/, .hidden.jsonl, LICENSE, README.md, _SUCCESS, __MACOSX/, dataset_info.json, images/a.png.',
      'without any row: in/empty.jsonl, in/heads.csv.',
    ]);
  });

  test('are listed up to eight', () => {
    lay({ 'a.jsonl': '', ...Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`${10 + i}.png`, ''])) });
    const { notes } = listFiles([{ path: path('in') }]);
    expect(inFolder(notes)).toEqual([
      'in: passed over 10.png, 11.png, 12.png, 13.png, 14.png, 15.png, 16.png, 17.png and 4 more.',
    ]);
  });

  test('a link is followed once; one that leads back, or nowhere, is named', async () => {
    lay({ 'data/a.jsonl': line('a') });
    symlinkSync(path('in'), path('in/data/back'));
    symlinkSync(path('in/data/a.jsonl'), path('in/same.jsonl'));
    const { files, notes } = listFiles([{ path: path('in') }]);
    expect(files.map(({ path: at }) => at)).toEqual([path('in/data/a.jsonl')]);
    expect(inFolder(notes)).toEqual([
      'in: passed over data/back/ (leads back).',
      'read once, though named twice: in/same.jsonl (in/data/a.jsonl).',
    ]);
    symlinkSync(path('in/gone'), path('in/broken.jsonl'));
    expect(await problemsOf(() => listFiles([{ path: path('in') }]), path())).toEqual([
      'in/broken.jsonl: a link that leads nowhere, or not readable; expected a file. Mend or remove it.',
    ]);
  });

  test('data that cannot be read is refused by name, all at once', async () => {
    lay({
      'a.jsonl': line('a'),
      'b.jsonl.bz2': 'x',
      'c.csv.xz': 'x',
      'd.jsonl.gz.part': 'x',
      'e.parquet': 'version https://git-lfs.github.com/spec/v1\noid sha256:0\n',
      'f.parquet.gz': gzipSync('PAR1'),
      'g.jsonl': Buffer.from('BZh91AY&SY…', 'latin1'),
      'h.json': '<!DOCTYPE html><html></html>',
      'i.csv': Buffer.from('PK\x03\x04…', 'latin1'),
    });
    const problems = await problemsOf(() => listFiles([{ path: path('in') }]), path('in'));
    expect(problems.map((problem) => problem.replace(/; expected.*| Unpack.*/, ''))).toEqual([
      'b.jsonl.bz2: data that is packed in a way that is not read here, or not all there',
      'c.csv.xz: data that is packed in a way that is not read here, or not all there',
      'd.jsonl.gz.part: data that is packed in a way that is not read here, or not all there',
      'e.parquet: a Git LFS pointer, not the data itself. Run git lfs pull.',
      'f.parquet.gz: a packed parquet file; it is read here and there, not from end to end.',
      'g.jsonl: packed by bzip2',
      'h.json: a web page',
      'i.csv: a ZIP archive (or a spreadsheet)',
    ]);
  });

  test('a Hugging Face folder among them is read as it lists its files, and its cache is named', () => {
    const state = { _data_files: [{ filename: 'data.arrow' }], _split: 'test' };
    const saved = {
      'state.json': JSON.stringify(state),
      'dataset_info.json': '{}',
      'data.arrow': 'ARROW1',
      'cache-1.arrow': '',
    };
    lay({ 'a.jsonl': '', ...Object.fromEntries(Object.entries(saved).map(([name, text]) => [`hf/${name}`, text])) });
    const { files, notes } = listFiles([{ path: path('in') }]);
    expect(files.map(({ name, split }) => [name, split])).toEqual([
      ['a', null],
      ['data', 'test'],
    ]);
    expect(inFolder(notes)).toEqual(['in: passed over hf/cache-1.arrow.']);
  });

  test('have names of their own, from which ids are made', async () => {
    lay({ 'x/a.jsonl': line('1'), 'y/a.jsonl': line('2'), 'y/a.csv': 'text\n3\n' });
    const { rows } = await importRows(path('in'), shape);
    expect(new Set(rows.map(({ id }) => id)).size).toBe(3);
  });
});

describe('patterns', () => {
  const all = {
    'a.jsonl': line('a'),
    'b.csv': 'text\nb\n',
    'deep/c.jsonl': line('c'),
    'deep/test/d.jsonl': line('d'),
    'e.txt': 'text\ne\n',
  };
  test.each<[string, object, object]>([
    ['in/*.jsonl', {}, { a: 'train' }],
    ['in/**/*.jsonl', {}, { a: 'train', c: 'train', d: 'test' }],
    ['in/*.{jsonl,csv}', {}, { a: 'train', b: 'train' }],
    ['in/[ab].*', {}, { a: 'train', b: 'train' }],
    ['in/dee*', {}, { c: 'train', d: 'test' }],
    ['in/*.txt', { format: 'csv' }, { e: 'train' }],
    ['in/{a.jsonl,deep}', {}, { a: 'train', c: 'train', d: 'test' }],
  ])('%s', async (pattern, input, splits) => {
    lay(all);
    expect((await splitsOf({ input: { path: path(pattern), ...input } }, 'in')).splits).toEqual(splits);
  });

  test('that match nothing are an error with what is there', async () => {
    lay(all);
    const problems = (pattern: string) => problemsOf(() => listFiles([{ path: path(pattern) }]), path());
    expect(await problems('in/*.parquet')).toEqual([
      'in/*.parquet: matches no file; expected at least one. In ' +
        `${path('in')} there is a.jsonl, b.csv, deep, e.txt. Correct the path.`.replace(`${path()}/`, ''),
    ]);
    expect((await problems('gone/*.jsonl'))[0]).toContain('There is no folder gone.');
    expect((await problems('in/*.txt'))[0]).toContain(
      'no data in this folder; expected .jsonl, .csv, .parquet, … files. There is e.txt.',
    );
  });

  test('give way to a file of that very name', async () => {
    lay({ 'a[1].jsonl': line('a') });
    expect((await splitsOf({}, 'in/a[1].jsonl')).splits).toEqual({ a: 'train' });
  });
});

describe('zstd', () => {
  test('of several frames, with one to skip between them', async () => {
    const { rows, bad } = await readAll(join(fixtures, 'frames.jsonl.zst'));
    expect(bad).toEqual([]);
    expect(rows.map(({ fields }) => fields)).toEqual(
      Array.from({ length: 400 }, (_, i) => ({ i, text: `row ${i} ${'ü'.repeat(i % 7)}` })),
    );
  });

  test('of several blocks', async () => {
    lay({ 'blocks.csv': readFileSync(join(fixtures, 'blocks.txt.zst')) });
    const { rows, bad } = await readAll(path('in/blocks.csv'), { header: false });
    expect(bad).toEqual([]);
    const text = Array.from({ length: 40_000 }, (_, i) => `${i * i} is the square of ${i}. `)
      .join('')
      .slice(0, 300_000);
    expect(rows.map(({ fields }) => fields[0])).toEqual([text]);
  });

  test('that is cut off, damaged or cannot be unpacked here is named', async () => {
    const whole = readFileSync(join(fixtures, 'frames.jsonl.zst'));
    const problem = async (bytes: Buffer): Promise<string> => {
      lay({ 'a.jsonl': bytes });
      const { bad } = await readAll(path('in/a.jsonl'));
      return bad.map(({ reason, problem: what }) => `${reason}: ${what}`).join();
    };
    for (const length of [whole.length - 1, whole.length - 5, whole.length - 300, 700, 5]) {
      expect(await problem(whole.subarray(0, length))).toMatch(
        /^file damaged: its zstd is damaged or cut off \(unexpected end of file\)/,
      );
    }
    expect(await problem(Buffer.concat([whole, Buffer.from('more')]))).toContain(
      'something else follows what is packed',
    );
    expect(await problem(readFileSync(join(fixtures, 'dictionary.jsonl.zst')))).toContain('it needs a dictionary');
    // RFC 8878: magic number, a descriptor without flags, a window of 2^(10+21) bytes.
    expect(await problem(Buffer.of(0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3, 1, 0, 0))).toContain(
      'it needs 2048 MB to unpack, expected at most 128',
    );
  });
});
