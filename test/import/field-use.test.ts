import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { describeImport } from '../../scripts/import.ts';
import { useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { importRows } from './import-rows.ts';

const path = useTemporaryFolder();
const file = (rows: readonly unknown[], name = 'a.jsonl'): string => {
  writeFileSync(path(name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return path(name);
};
const counts = (entries: Record<string, { count: number }>) =>
  Object.fromEntries(Object.entries(entries).map(([name, { count }]) => [name, count]));

test('fields that no column uses are named, with the rows that have something there', async () => {
  const rows = [
    { instruction: 'i', input: '', output: 'o', history: [['q', 'a']], tools: [], url: 'x' },
    { instruction: 'i', input: '', output: 'o', history: [], tools: [], url: 'y' },
    { instruction: 'i', input: '', output: 'o', score: 0 },
  ];
  const { report, metadata } = await importRows(file(rows), { shape: 'alpaca' });
  expect(counts(report.unused)).toEqual({ history: 1, tools: 0, url: 2, score: 1 });
  expect(JSON.parse(metadata.report ?? '').unused).toEqual(report.unused);
  const lines = describeImport(report).map((line) => line.replaceAll(`${path()}/`, ''));
  expect(lines.slice(lines.indexOf('fields that no column uses:'))).toEqual([
    'fields that no column uses:',
    '  history: 1, first at a.jsonl:1',
    '  tools: empty throughout',
    '  url: 2, first at a.jsonl:1',
    '  score: 1, first at a.jsonl:3',
  ]);
});

test('paths, splits, ids and exploded lists are uses, and what stands beside them is named by its path', async () => {
  // As OpenAI's preference files hold them.
  const openAi = {
    input: { messages: [{ role: 'user', content: 'q' }], tools: [{ type: 'function' }], parallel_tool_calls: true },
    preferred_output: [{ role: 'assistant', content: 'a' }],
    non_preferred_output: [{ role: 'assistant', content: 'b' }],
  };
  const columns = { prompt: 'input.messages', chosen: 'preferred_output', rejected: 'non_preferred_output' };
  const { report } = await importRows(file([openAi]), { shape: 'preference', columns });
  expect(counts(report.unused)).toEqual({ 'input.tools': 1, 'input.parallel_tool_calls': 1 });

  const group = {
    q: 'q',
    set: 'train',
    answers: [
      { text: 'a', score: 2, by: 'x' },
      { text: 'b', score: 1 },
    ],
    'a.b': 1,
  };
  const ranked = await importRows(file([group]), {
    shape: 'ranked',
    columns: { prompt: 'q', answers: 'answers.*.text', scores: 'answers.*.score' },
    split: { column: 'set' },
  });
  expect(counts(ranked.report.unused)).toEqual({ 'answers.*.by': 1, 'a.b': 1 });

  const exploded = file([
    { id: 's', input: 'of the row', kind: 'k', instances: [{ input: 'i', output: 'o', note: 'n' }] },
  ]);
  const alpaca = await importRows(exploded, {
    input: { path: exploded, explode: 'instances' },
    shape: 'alpaca',
    columns: { id: 'id', instruction: 'kind' },
  });
  expect(counts(alpaca.report.unused)).toEqual({ note: 1 });
  expect(Object.keys(alpaca.report.notes)).toEqual([
    'field "input" of the row, which the entries of "instances" have too, not used',
  ]);
});

test('fields of tables and lists of values are named as well', async () => {
  writeFileSync(path('b.csv'), 'text,label,extra\na,1,\nb,2,x\n');
  const { report } = await importRows(path('b.csv'), { shape: 'text' });
  expect(counts(report.unused)).toEqual({ label: 2, extra: 1 });
  writeFileSync(path('c.json'), '{"train": [["a", "x"], ["b", "y"]]}');
  const list = await importRows(path('c.json'), { shape: 'text', columns: { text: 0 } });
  expect(counts(list.report.unused)).toEqual({ 1: 2 });
});

test('rows of an exploded list are counted in their own splits', async () => {
  const rows = Array.from({ length: 20 }, (_, i) => ({ items: [{ t: `a${i}` }, { t: `b${i}` }, { t: `c${i}` }] }));
  const name = file(rows);
  const made = await importRows(name, {
    input: { path: name, explode: 'items' },
    shape: 'text',
    columns: { text: 't' },
    split: { fractions: { train: 1, test: 1 } },
  });
  const test = made.rows.filter(({ split }) => split === 'test').length;
  expect(made.report.splits).toEqual({ train: 60 - test, test });
});

test('CRLF is written as LF and counted; every other space stays', async () => {
  const texts = ['a\r\nb', ' a \t\u00a0', 'a\rb', '\u2028a\u200b', 'a\n\n'];
  const { rows, report } = await importRows(file(texts.map((text) => ({ text }))), { shape: 'text' });
  expect(rows.map(({ text }) => text)).toEqual(['a\nb', ...texts.slice(1)]);
  expect(counts(report.notes)).toEqual({ 'line breaks CRLF, written as LF': 1 });
});
