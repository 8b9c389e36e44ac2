import { writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { publicDocuments } from '../../scripts/public-corpus.ts';
import { encodeTable } from '../../src/tables/arrow-file.ts';
import { utf8 } from '../../src/tables/columns.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';

const inFolder = useTemporaryFolder();

function write(name: string, rows: Record<string, string>[]): void {
  const columns = Object.fromEntries(Object.keys(rows[0] ?? {}).map((column) => [column, utf8('x')]));
  writeFileSync(inFolder(name), encodeTable(name, columns, rows as never));
}

it('takes every distinct text of the train rows, without labels', () => {
  write('bank.arrow', [
    { split: 'train', text: 'hello', intent: 'greet' },
    { split: 'test', text: 'never', intent: 'greet' },
    { split: 'train', text: 'hello', intent: 'other' },
  ]);
  write('claims.arrow', [{ split: 'train', question: 'Is it?', why: ' Because.', answer: 'yes' }]);
  write('pairs.arrow', [
    { split: 'train', prompt: 'Say', chosen: 'a', rejected: 'b' },
    { split: 'train', prompt: 'Say', chosen: 'b', rejected: 'c' },
  ]);
  expect(publicDocuments(inFolder()).map(({ kind, text }) => [kind, text])).toEqual([
    ['bank', 'hello'],
    ['claims', 'Is it?\nBecause.'],
    ['pairs', 'Say\na'],
    ['pairs', 'Say\nb'],
    ['pairs', 'Say\nc'],
  ]);
});

it('says what is missing', async () => {
  expect(await problemsOf(() => publicDocuments(inFolder()), '/')).toEqual([
    expect.stringMatching(/: no \.arrow table; expected imported ones\. Run npm run import\.$/),
  ]);
  write('odd.arrow', [{ split: 'train', note: 'x' }]);
  expect(await problemsOf(() => publicDocuments(inFolder()), inFolder())).toEqual([
    expect.stringMatching(/odd\.arrow: no column text, question or prompt\. Move it elsewhere\.$/),
  ]);
});
