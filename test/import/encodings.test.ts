import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { decodeExact, type Encoding, encodings } from '../../src/import/encodings.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { importRows } from './import-rows.ts';
import { readAll } from './read-all.ts';

// Written by Python's codecs: scripts/fixtures/import_files.py.
const { tables, texts } = JSON.parse(
  readFileSync(fileURLToPath(new URL('../fixtures/import-files/encodings.json', import.meta.url)), 'utf8'),
) as { tables: Record<string, (string | null)[]>; texts: Record<string, { text: string; bytes: string }> };
const path = useTemporaryFolder();

/** Texts of rows, and where and why others are bad. */
async function read(name: string, bytes: Buffer | string, encoding: Encoding = 'utf-8') {
  writeFileSync(path(name), bytes);
  const { rows, bad } = await readAll(path(name), { encoding });
  return {
    texts: rows.map(({ fields }) => fields.text),
    bad: bad.map(({ where, reason, problem }) => `${where.replace(`${path()}/`, '')} ${reason}: ${problem}`),
  };
}

describe('code pages give the signs that Python gives', () => {
  const isControl = (sign: string) => /[\u0080-\u009f]/.test(sign);
  test.each(Object.entries(tables).filter(([name]) => name !== 'iso-8859-16'))('%s', (name, table) => {
    const encoding = (name === 'iso-8859-1' ? 'latin-1' : name) as Encoding;
    expect(encodings).toContain(encoding);
    const signs = table.map((_, i) => {
      const sign = decodeExact(Buffer.of(65, 128 + i), encoding);
      return typeof sign === 'string' ? sign.slice(1) : null;
    });
    // Control characters stand in no text: here they are faults.
    expect(signs).toEqual(table.map((sign) => (sign === null || isControl(sign) ? null : sign)));
  });

  test.each(Object.entries(texts).filter(([name]) => !name.startsWith('utf-16')))('%s', (name, { text, bytes }) => {
    expect(decodeExact(Buffer.from(bytes, 'base64'), name as Encoding)).toBe(text);
  });
});

describe('every text format is read in the encoding it has', () => {
  const wrap = (text: string): [string, string][] => [
    ['a.jsonl', `{"text": "${text}"}\n{"text": "x"}\n`],
    ['a.json', `[{"text": "${text}"},\n{"text": "x"}]`],
    ['a.csv', `text,n\n"${text}",1\nx,2\n`],
    ['a.tsv', `text\tn\n${text}\t1\nx\t2\n`],
  ];
  const encode = (text: string, encoding: string): Buffer => {
    const little = Buffer.from(text, 'utf16le');
    return encoding === 'utf-16be' ? little.swap16() : little;
  };

  test.each(['utf-16le', 'utf-16be'] as const)('%s, with and without byte order mark', async (encoding) => {
    const { text } = texts[encoding]!;
    expect(encode(text, encoding).toString('base64')).toBe(texts[encoding]!.bytes);
    for (const [name, content] of wrap(text)) {
      const expected = { texts: [text, 'x'], bad: [] };
      expect(await read(name, encode(`\ufeff${content}`, encoding))).toEqual(expected);
      expect(await read(name, encode(`\ufeff${content}`, encoding), encoding)).toEqual(expected);
      expect(await read(name, encode(content, encoding), encoding)).toEqual(expected);
      expect(await read(`${name}.gz`, gzipSync(encode(`\ufeff${content}`, encoding)))).toEqual(expected);
      expect((await read(name, encode(content, encoding))).bad[0]).toContain(
        `expected UTF-8, or encoding: ${encoding}`,
      );
    }
  });

  test.each(['shift_jis', 'gbk', 'big5', 'euc-kr', 'iso-2022-jp'])('%s', async (encoding) => {
    const { text, bytes } = texts[encoding]!;
    for (const [name, content] of wrap('@')) {
      const [before = '', after = ''] = content.split('@');
      const whole = Buffer.concat([Buffer.from(before), Buffer.from(bytes, 'base64'), Buffer.from(after)]);
      expect(await read(name, whole, encoding as Encoding)).toEqual({ texts: [text, 'x'], bad: [] });
    }
  });

  test('windows-1252, and latin-1 where it is that', async () => {
    for (const [name, content] of wrap('\x93Quoted\x94 and it\x92s 5 \x80')) {
      const bytes = Buffer.from(content, 'latin1');
      expect(await read(name, bytes, 'windows-1252')).toEqual({ texts: ['“Quoted” and it’s 5 €', 'x'], bad: [] });
    }
    for (const [name, content] of wrap('naïve café')) {
      expect(await read(name, Buffer.from(content, 'latin1'), 'latin-1')).toEqual({
        texts: ['naïve café', 'x'],
        bad: [],
      });
    }
  });

  test('a byte order mark of UTF-8 is passed over, also of files put one behind the other', async () => {
    for (const [name, content] of wrap('ü')) {
      expect(await read(name, `\ufeff${content}`)).toEqual({ texts: ['ü', 'x'], bad: [] });
    }
    expect(await read('a.jsonl', '\ufeff{"text": "a"}\n\ufeff{"text": "b"}\n')).toEqual({ texts: ['a', 'b'], bad: [] });
  });
});

describe('what cannot be right is named', () => {
  test('by line, byte and remedy, and the other rows stay', async () => {
    const bytes = Buffer.from('{"text": "a"}\n{"text": "caf\xe9"}\n{"text": "\x93b\x94"}\n{"text": "c"}\n', 'latin1');
    expect(await read('a.jsonl', bytes)).toEqual({
      texts: ['a', 'c'],
      bad: [
        'a.jsonl:2 not UTF-8: byte 0xE9 at 27 is not UTF-8; expected it, or another encoding, perhaps windows-1252',
        'a.jsonl:3 not UTF-8: byte 0x93 at 41 is not UTF-8; expected it, or another encoding, perhaps windows-1252',
      ],
    });
    expect(await read('a.jsonl', bytes, 'latin-1')).toEqual({
      texts: ['a', 'café', 'c'],
      bad: [
        'a.jsonl:3 not latin-1: byte 0x93 at 41 is a control character in latin-1; expected encoding: windows-1252',
      ],
    });
    const undefinedByte = Buffer.from('{"text": "a\x81"}\n{"text": "\x80"}\n', 'latin1');
    expect(await read('a.jsonl', undefinedByte, 'windows-1252')).toEqual({
      texts: ['€'],
      bad: ['a.jsonl:1 not windows-1252: byte 0x81 at 11 has no meaning in windows-1252; expected another encoding'],
    });
    expect(
      await read('a.jsonl', Buffer.from('{"text": "\x82\xa0"}\n{"text": "\x82"}\n', 'latin1'), 'shift_jis'),
    ).toEqual({
      texts: ['あ'],
      bad: ['a.jsonl:2 not shift_jis: byte 0x82 at 25 has no meaning in shift_jis; expected another encoding'],
    });
  });

  test('in CSV by line too, where a value spans several', async () => {
    const bytes = Buffer.from('text,n\na,1\n"two\n\x93lines\x94",2\nb,3\n\x81,4\nc,5\n', 'latin1');
    expect(await read('a.csv', bytes, 'latin-1')).toEqual({
      texts: ['a', 'b', 'c'],
      bad: [
        'a.csv:4 not latin-1: byte 0x93 at 16 is a control character in latin-1; expected encoding: windows-1252',
        'a.csv:6 not latin-1: byte 0x81 at 31 is a control character in latin-1; expected encoding: windows-1252',
      ],
    });
    expect((await read('a.csv', bytes, 'windows-1252')).texts).toEqual(['a', 'two\n“lines”', 'b', 'c']);
    expect((await read('a.csv', Buffer.from('te\xe9xt\na\n', 'latin1'))).bad[0]).toMatch(
      /^a\.csv:1 not UTF-8: byte 0xE9 at 2 /,
    );
  });

  test('in JSON by row', async () => {
    const bytes = Buffer.from('[{"text": "a"},\n{"text": "caf\xe9"},\n{"text": "c"}]', 'latin1');
    const at =
      'at line 2 or after: byte 0xE9 at 29 is not UTF-8; expected it, or another encoding, perhaps windows-1252';
    expect(await read('a.json', bytes)).toEqual({ texts: ['a', 'c'], bad: [`a.json: row 2 not UTF-8: ${at}`] });
    expect((await read('a.json', bytes, 'windows-1252')).texts).toEqual(['a', 'café', 'c']);
  });

  test('UTF-8 that is taken for something else', async () => {
    for (const name of ['a.jsonl', 'a.csv', 'a.json']) {
      const content =
        name === 'a.csv' ? 'text\ncafé\n' : name === 'a.json' ? '[{"text": "café"}]' : '{"text": "café"}\n';
      expect(await read(name, content, 'windows-1252')).toEqual({
        texts: [],
        bad: [`${name} not windows-1252: is UTF-8, not windows-1252; expected to be told so. Leave encoding out`],
      });
      expect((await read(name, `\ufeff${content}`, 'latin-1')).bad).toEqual([
        `${name} not latin-1: begins with the byte order mark of UTF-8; expected encoding: utf-8`,
      ]);
    }
    expect((await read('a.jsonl', `{"text": "${'日本語'.repeat(4)}"}`, 'shift_jis')).texts).toEqual([]);
  });

  test('UTF-16 with half a sign, and UTF-32', async () => {
    const bytes = Buffer.from('\ufeff{"text": "a"}\n{"text": "b"}\n', 'utf16le');
    expect((await read('a.jsonl', bytes.subarray(0, -1))).bad[0]).toMatch(
      /^a\.jsonl not UTF-16LE: half a sign, after line 2, between bytes 57 and 57/,
    );
    expect((await read('a.jsonl', Buffer.from('\xff\xfe\0\0{\0\0\0', 'latin1'))).bad[0]).toContain('is UTF-32');
  });

  test('texts that were read wrongly before they came here', async () => {
    const rows = ['it\u0092s', 'cafÃ©', 'donâ€™t', 'SÃO', 'fine é'].map((text) => JSON.stringify({ text }));
    writeFileSync(path('a.jsonl'), rows.join('\n'));
    const { report } = await importRows(path('a.jsonl'), { shape: 'text' });
    const notes = Object.entries(report.notes).map(([what, { count }]) => [what, count]);
    expect(notes).toEqual([
      ['control characters such as U+0092, as of windows-1252 read as latin-1, kept', 1],
      ['signs such as "Ã©" or "â€™", as of UTF-8 read as windows-1252, kept', 2],
    ]);
  });

  test('a setting that no file has a use for', async () => {
    writeFileSync(path('a.csv'), 'text\na\n');
    writeFileSync(path('a.jsonl'), '{"text": "a"}\n');
    const note = async (file: string, input: object) =>
      (await importRows(path(file), { shape: 'text', input: { path: path(file), ...input } })).report.source;
    expect(await note('a.csv', { delimiter: ';', encoding: 'windows-1252' })).toEqual([]);
    expect(await note('a.jsonl', { delimiter: ';', quote: 'none' })).toEqual([
      'no file has a use for input.delimiter, input.quote.',
    ]);
    const parquet = join(fileURLToPath(new URL('../fixtures/import/', import.meta.url)), 'none.parquet');
    const { report } = await importRows(parquet, {
      shape: 'text',
      input: { path: parquet, encoding: 'latin-1' },
      output: path('out.arrow'),
    });
    expect(report.source).toEqual(['no file has a use for input.encoding.']);
  });
});

test('a code page without sign for a byte is an error of the import with its place', async () => {
  writeFileSync(path('a.csv'), Buffer.from('text\n\x93a\x94\n', 'latin1'));
  const input = { path: path('a.csv'), encoding: 'latin-1' };
  expect(await problemsOf(() => importRows(path('a.csv'), { shape: 'text', input }), path())).toEqual([
    'a.csv:2: byte 0x93 at 5 is a control character in latin-1; expected encoding: windows-1252. Mend the row, or set badRows: skip.',
  ]);
});
