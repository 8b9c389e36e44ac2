import { writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readText } from '../../src/files/text-file.ts';
import { readJsonLines } from '../../src/tables/jsonl.ts';
import { readYaml } from '../../src/yaml/yaml-source.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';

const path = useTemporaryFolder();
const write = (bytes: Buffer | string): string => {
  writeFileSync(path('a.txt'), bytes);
  return path('a.txt');
};
const utf16 = (text: string): Buffer => Buffer.from(`\uFEFF${text}`, 'utf16le');

describe('readText', () => {
  test.each([
    ['UTF-8', Buffer.from('aü日🦊\n')],
    ['UTF-8 with a byte-order mark', Buffer.from('\uFEFFaü日🦊\n')],
    ['UTF-16, little end first, as PowerShell writes it', utf16('aü日🦊\n')],
    ['UTF-16, big end first', utf16('aü日🦊\n').swap16()],
  ])('reads %s', (_, bytes) => {
    expect(readText(write(bytes))).toBe('aü日🦊\n');
  });

  test('leaves marks within the text, and reads files of nothing but a mark', () => {
    expect(readText(write('a\uFEFFb'))).toBe('a\uFEFFb');
    expect(readText(write('\uFEFF\uFEFFb'))).toBe('\uFEFFb');
    expect(readText(write('\uFEFF'))).toBe('');
    expect(readText(write(''))).toBe('');
  });

  test('refuses other encodings by line', async () => {
    const latin = Buffer.concat([Buffer.from('{"a":1}\n\n'), Buffer.from('caf\xe9\n', 'latin1')]);
    expect(await problemsOf(() => readText(write(latin)), path())).toEqual([
      'a.txt:3: is not UTF-8 text; expected UTF-8, or UTF-16 with a byte-order mark. Save the file as UTF-8.',
    ]);
    expect(await problemsOf(() => readYaml(write(Buffer.from('a: \xe9', 'latin1'))), path())).toEqual([
      'a.txt:1: is not UTF-8 text; expected UTF-8, or UTF-16 with a byte-order mark. Save the file as UTF-8.',
    ]);
  });
});

test('a mark before a YAML file moves no column, and is no part of its first key', () => {
  const source = readYaml(write('\uFEFFrun: {seed: 3}\n'));
  expect(source.data).toEqual({ run: { seed: 3 } });
  expect(source.locate(['run', 'seed'])).toBe(`${path('a.txt')}:1:13`);
  expect(readYaml(write(utf16('# only a comment\n'))).data).toEqual({});
});

test('a mark before JSON Lines is no part of the first row', () => {
  for (const bytes of [Buffer.from('\uFEFF{"id":"a"}\r\n{"id":"b"}\r\n'), utf16('{"id":"a"}\n{"id":"b"}\n')]) {
    expect(readJsonLines(write(bytes), 'x').map(({ fields }) => fields)).toEqual([{ id: 'a' }, { id: 'b' }]);
  }
});
