import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { exactNumber, parseExactJson, shortestNumber } from '../../src/import/exact-json.ts';
import { useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { importRows, withoutProvenance } from './import-rows.ts';
import { readAll } from './read-all.ts';

// Written by Python: scripts/fixtures/import_files.py.
const fixtures = fileURLToPath(new URL('../fixtures/import-files/', import.meta.url));
const path = useTemporaryFolder();

/** Numbers as they are written, each of which a float64 would write differently. */
const odd = [
  '18446744073709551616',
  '9999999999800000000001',
  '1285704473650888701',
  '-9007199254740993',
  '3.0',
  '1.10',
  '0.10000000000000001',
  '1e400',
  '1E5',
  '1e21',
  '-0',
  '0.0000001',
];
const even = ['0', '3', '-17', '0.5', '1e+21', '1e-7', '9007199254740991', '0.30000000000000004'];

describe('numbers of JSON', () => {
  test('are numbers where JavaScript writes them so, and texts otherwise', () => {
    expect(odd.map(exactNumber)).toEqual(odd);
    expect(even.map(exactNumber)).toEqual(even.map(Number));
  });

  test('stay as they are written, however deep, and never inside texts or keys', () => {
    const json = `{"a": [${odd.join(', ')}], "b": {"c": {"1.10": ${odd[0]}}}, "d": "[1.10, \\" 1.10", "e\\\\": 3.0,"f":${even.join(',"g":')}}`;
    expect(parseExactJson(json)).toEqual({
      a: odd,
      b: { c: { '1.10': odd[0] } },
      d: '[1.10, " 1.10',
      'e\\': '3.0',
      f: Number(even[0]),
      g: Number(even.at(-1)),
    });
    expect(parseExactJson('12345678901234567890')).toBe('12345678901234567890');
    expect(() => parseExactJson('{1.10: 2}')).toThrow(SyntaxError);
  });

  test('and nothing else differs from JSON.parse', () => {
    const numbers = fc.oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }));
    const value = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        numbers,
        fc.constantFrom('1.10', '"', '\\', '\\"', '12345678901234567890', ',-0', ':1.0,'),
        fc.string(),
        fc.constant(null),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(fc.string(), tie('value'), { maxKeys: 4 }),
      ),
    })).value;
    const asNumbers = (_: string, entry: unknown): unknown => (Object.is(entry, -0) ? 0 : entry);
    fc.assert(
      fc.property(value, fc.constantFrom(0, 1), (made, indent) => {
        const json = JSON.stringify(made, null, indent);
        expect(parseExactJson(json)).toEqual(JSON.parse(json, asNumbers));
      }),
      { seed: 7, numRuns: 300 },
    );
  });

  test('long strings of signs to escape are no trouble', () => {
    const text = '\\"'.repeat(300_000);
    expect(parseExactJson(JSON.stringify({ text, n: 1.5 }).replace('1.5', '1.50'))).toEqual({ text, n: '1.50' });
  });

  test('the shortest writing is what a mapping may also be given', () => {
    expect(['1.0', '1e3', '007', 'x', '1.10', '-0.50'].map(shortestNumber)).toEqual([
      '1',
      '1000',
      '007',
      'x',
      '1.1',
      '-0.5',
    ]);
  });
});

describe('an import keeps digits', () => {
  const sums = [
    ['What is 2 to the power of 64?', '18446744073709551616'],
    ['What is 99999999999 times 99999999999?', '9999999999800000000001'],
    ['What is 1.0 plus 2.0?', '3.0'],
    ['A tenth and a hundredth?', '1.10'],
    ['And three?', '3'],
  ];
  const rows = sums.map(([q, a]) => `{"question": "${q}", "answer": ${a}}`);
  test.each<[string, string]>([
    ['a.jsonl', rows.join('\n')],
    ['a.json', `[${rows.join(',\n')}]`],
    ['b.json', `{"train": [${rows.join(', ')}]}`],
    ['a.csv', `question,answer\n${sums.map(([q, a]) => `"${q}",${a}`).join('\n')}\n`],
  ])('%s', async (name, content) => {
    writeFileSync(path(name), content);
    const config = { shape: 'prompt_completion', columns: { prompt: 'question', completion: 'answer' } };
    const { rows: made } = await importRows(path(name), config);
    expect(withoutProvenance(made)).toEqual(sums.map(([prompt, completion]) => ({ prompt, completion })));
  });

  test('ids beyond 2^53 stay apart', async () => {
    const ids = [
      '1285704473650888701',
      '1285704473650888702',
      '732822797798539264',
      '9007199254740993',
      '9007199254740992',
    ];
    writeFileSync(path('a.jsonl'), ids.map((id) => `{"id": ${id}, "text": "post"}`).join('\n'));
    const { rows: made } = await importRows(path('a.jsonl'), { shape: 'text', columns: { id: 'id' } });
    expect(made.map(({ id }) => id)).toEqual(ids);
  });

  test('numbers are numbers where they are asked for, and labels are found by value', async () => {
    writeFileSync(path('a.jsonl'), '{"a": 1.50, "b": 2.0, "c": 1.0, "d": 4.0}\n');
    const columns = {
      a: { from: 'a', kind: 'number' },
      b: { from: 'b', kind: 'integer' },
      c: { from: 'c', map: { 1: 'one' } },
      d: { from: 'd', thresholds: [{ below: 3, is: 'low' }, { is: 'high' }] },
    };
    const { rows: made } = await importRows(path('a.jsonl'), { shape: 'task', columns });
    expect(withoutProvenance(made)).toEqual([{ a: 1.5, b: 2, c: 'one', d: 'high' }]);
    writeFileSync(path('b.jsonl'), '{"prompt": "p", "completion": "c", "label": 1.0}\n');
    expect((await importRows(path('b.jsonl'), { shape: 'labelled' })).rows[0]!.label).toBe(true);
  });
});

describe('columnar files give the digits that Python gives', () => {
  const { rows: expected } = JSON.parse(readFileSync(join(fixtures, 'numbers.json'), 'utf8')) as { rows: unknown[] };
  const asText = (value: unknown): unknown => {
    if (typeof value === 'number') return String(value);
    if (Array.isArray(value)) return value.map(asText);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, asText(entry)]));
  };
  test.each(['numbers.parquet', 'numbers-integers.parquet', 'numbers.arrow'])('%s', async (name) => {
    const { rows, bad } = await readAll(join(fixtures, name));
    expect(bad).toEqual([]);
    expect(asText(rows.map(({ fields }) => fields))).toEqual(expected);
  });
});
