import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { ImportConfig } from '../../scripts/import.config.ts';
import { describeImport, runImport } from '../../scripts/import.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { importRows } from './import-rows.ts';

const path = useTemporaryFolder();
const write = (name: string, content: string | Buffer): string => {
  writeFileSync(path(name), content);
  return path(name);
};
const task = { shape: 'task', columns: { id: 'id', text: 'text' } };
const row = (id: string, text: unknown): string => JSON.stringify({ id, text });

/** All sorts of bad lines, and the reason under which each is counted. */
const lines: readonly (readonly [string, string | null])[] = [
  [row('a', 'good'), null],
  ['{"id": "b", "text": ', 'not JSON'],
  ['"text"', 'not an object'],
  [row('c', 7), null],
  [row('d', { a: 1 }), 'wrong type'],
  [row('e', ''), 'empty text'],
  [row('f', '  '), 'empty text'],
  ['{"id": "g"}', 'missing field'],
  ['{"id": "h", "text": "half \\ud800 of a pair"}', 'lone surrogate'],
  ['{"id": "i", "text": "nothing \\u0000 here"}', 'NUL character'],
  [row('j', 'x'.repeat(2000)), 'text too long'],
  [row('k', 'x'.repeat(20_000)), 'line too long'],
  [row('a', 'again'), 'doubled id'],
  [row('l', '\ufffd'), 'not UTF-8'],
  [row('m', 'last'), null],
];

describe('bad rows', () => {
  const content = lines.map(([line]) => line).join('\r\n');

  test('are counted by reason and left out where they may be', async () => {
    const { rows, report } = await importRows(write('a.jsonl', content), {
      ...task,
      badRows: 'skip',
      limits: { field: 1000 },
    });
    expect(rows.map(({ id, text }) => [id, text])).toEqual([
      ['a', 'good'],
      ['c', '7'],
      ['m', 'last'],
    ]);
    expect([report.rowsIn, report.rowsOut]).toEqual([lines.length, 3]);
    const counted = Object.entries(report.skipped).map(([reason, { count }]) => [reason, count]);
    const expected = new Map<string, number>();
    for (const [, reason] of lines) if (reason !== null) expected.set(reason, (expected.get(reason) ?? 0) + 1);
    expect(Object.fromEntries(counted)).toEqual(Object.fromEntries(expected));
    const named = Object.values(report.skipped).flatMap((entry) => entry.lines ?? []);
    expect(named.map((line) => line.replace(/^.*:/, '')).sort()).toEqual([
      '10',
      '11',
      '12',
      '13',
      '14',
      '2',
      '3',
      '5',
      '6-7',
      '8',
      '9',
    ]);
  });

  test('are all named by line where they are fatal, and nothing is written', async () => {
    const file = write('a.jsonl', content);
    const problems = await problemsOf(() => importRows(file, { ...task, limits: { field: 1000 } }), path());
    expect(problems).toEqual([
      'a.jsonl:2: not JSON (Unexpected end of JSON input); expected one object. Mend the row, or set badRows: skip.',
      'a.jsonl:3: expected one object on the line, received "text". Mend the row, or set badRows: skip.',
      'a.jsonl:5: "text": expected text, received {"a":1}. Mend the row, or set badRows: skip.',
      'a.jsonl:6: "text": expected text, received none. Mend the row, or set badRows: skip.',
      'a.jsonl:7: "text": expected text, received only spaces. Mend the row, or set badRows: skip.',
      'a.jsonl:8: "text": no field "text"; expected one of id, $file, $split. Mend the row, or set badRows: skip.',
      'a.jsonl:9: "text": U+D800 at position 5; expected none. Mend the row, or set badRows: skip.',
      'a.jsonl:10: "text": U+0000 at position 8; expected none. Mend the row, or set badRows: skip.',
      'a.jsonl:11: "text": expected at most 1000 characters (limits.field of npm run import), received 2000. Mend the row, or set badRows: skip.',
      'a.jsonl:12: the line is too long; expected at most 8000 bytes. Mend the row, or set badRows: skip.',
      'a.jsonl:13: id "a" stands twice; expected it once. Mend the row, or set badRows: skip.',
      'a.jsonl:14: "text": U+FFFD at position 0; expected none. Mend the row, or set badRows: skip.',
    ]);
    expect(readdirSync(path())).toEqual(['a.jsonl']);
  });

  test('end a fatal import after twenty', async () => {
    const file = write('a.jsonl', 'bad\n'.repeat(1000));
    expect(await problemsOf(() => importRows(file, task), path())).toHaveLength(20);
  });

  test('leave an older table as it was', async () => {
    const before = write('out.arrow', 'old');
    await expect(importRows(write('a.jsonl', 'bad'), task)).rejects.toThrow('not JSON');
    expect(readFileSync(before, 'utf8')).toBe('old');
  });

  test('are shown in the report, with the first places', async () => {
    const { report, metadata } = await importRows(write('a.jsonl', `${row('a', 'b')}\nx\ny\nz\nw`), {
      ...task,
      badRows: 'skip',
    });
    expect(JSON.parse(metadata.report ?? '')).toEqual(report);
    expect(describeImport(report).join('\n').replaceAll(`${path()}/`, '')).toMatch(
      /in +5\nout +1\n {2}train +1\nskipped: not JSON +4\nfirst of those skipped:\n {2}a\.jsonl:2: not JSON .*\n {2}a\.jsonl:3: .*\n {2}a\.jsonl:4: .*\nlines of those skipped:\n {2}not JSON: a\.jsonl:2-5$/,
    );
  });
});

describe('damaged files', () => {
  const good = Array.from({ length: 5000 }, (_, i) => row(`r${i}`, `text ${i} ${Math.sin(i)}`)).join('\n');

  test('a gzip that is cut off keeps the rows before, where bad rows are skipped', async () => {
    const file = write('a.jsonl.gz', gzipSync(good).subarray(0, 60_000));
    const { report } = await importRows(file, { ...task, badRows: 'skip' });
    expect(report.rowsOut).toBeGreaterThan(100);
    expect(report.skipped['file damaged']!.first[0]).toContain(
      'its gzip is damaged or cut off (unexpected end of file)',
    );
    expect(await problemsOf(() => importRows(file, task), path())).toEqual([
      'a.jsonl.gz: its gzip is damaged or cut off (unexpected end of file). Fetch the file again. Mend the row, or set badRows: skip.',
    ]);
  });

  test.each([
    ['a.json', '[{"id": "a", "text": "b"}, {"id": ', 'after row 1: not JSON'],
    ['b.json', '{"a": [[1]]} trailing', 'after row 1: not JSON'],
    ['c.json', '7', 'after row 0: not JSON (begins with 7); expected one list of rows'],
    ['d.json', '{"a": "b"}\n{"a": "c"}', 'with a row a line call the file .jsonl'],
    ['null.jsonl', '{"id": "a", "text": null}', 'field "text" is null; expected a value, or columns.text.default'],
    ['e.json', '{"id": "a", "text": "b"}', 'keys that hold no list of rows, not used: id, text'],
    ['a.csv', 'id,text\na,b\nc\n', 'a row has another number of fields|expected 2 fields, received 1'],
    ['b.csv', 'id,text\na,"b\nc,d\n', 'expected values with closed quotes'],
    ['c.csv', 'id,id\na,b\n', 'column "id" stands twice; expected it once'],
    ['a.parquet', 'PAR1 and nothing more PAR1', 'not readable as Parquet'],
    ['a.arrow', 'ARROW1\0\0 and nothing more', 'not readable as Arrow (the file is cut off)'],
    ['b.arrow', Buffer.of(255, 255, 255, 255, 16, 0, 0, 0, 1, 2), 'not readable as Arrow (the file is cut off)'],
    [
      'bytes.jsonl',
      Buffer.from('{"id": "a", "text": "caf\xe9"}', 'latin1'),
      'byte 0xE9 at 24 is not UTF-8; expected it, or another encoding, perhaps windows-1252',
    ],
  ])('%s', async (name, content, message) => {
    const problems = await problemsOf(() => importRows(write(name, content), task), path());
    expect(problems.join('\n')).toMatch(new RegExp(message.replace(/[().]/g, '\\$&')));
    expect(readdirSync(path())).toEqual([name]);
  });
});

describe('what an import refuses', () => {
  test.each<[string, string, Record<string, unknown>, string]>([
    [
      'conversations that do not alternate',
      '{"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}',
      { shape: 'messages' },
      '"messages": expected user and assistant in turn, received user, user',
    ],
    [
      'unknown roles',
      '{"messages": [{"role": "robot", "content": "a"}]}',
      { shape: 'messages' },
      '"messages[0].role": expected one of system, developer, user',
    ],
    [
      'messages that are none',
      '{"messages": [7]}',
      { shape: 'messages' },
      '"messages[0]": expected a message, received 7',
    ],
    [
      'no list of messages',
      '{"messages": "a"}',
      { shape: 'messages' },
      '"messages": expected a list of messages, received "a"',
    ],
    [
      'conversations without answer',
      '{"messages": [{"role": "user", "content": "a"}]}',
      { shape: 'messages' },
      '"messages": expected the assistant to have the last word',
    ],
    [
      'the same answer twice',
      '{"prompt": "q", "chosen": "a", "rejected": "a"}',
      { shape: 'preference', columns: { prompt: 'prompt' } },
      'expected two different answers, received the same twice',
    ],
    [
      'transcripts with different prompts',
      '{"chosen": "\\n\\nHuman: a\\n\\nAssistant: b", "rejected": "\\n\\nHuman: c\\n\\nAssistant: d"}',
      { shape: 'preference' },
      'expected chosen and rejected to be the same but for the last answer',
    ],
    [
      'pairs of calls of tools',
      '{"chosen": [{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [{"name": "f"}]}], "rejected": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}',
      { shape: 'preference' },
      'a turn of a call of a tool; expected texts of system, user and assistant. Stage 2 reads such rows without an import',
    ],
    [
      'transcripts that end with a person',
      '{"chosen": "\\n\\nHuman: a", "rejected": "\\n\\nHuman: b"}',
      { shape: 'preference' },
      'expected chosen and rejected to end with an answer of the assistant',
    ],
    [
      'transcripts with an empty answer',
      '{"chosen": "\\n\\nHuman: a\\n\\nAssistant: b", "rejected": "\\n\\nHuman: a\\n\\nAssistant:"}',
      { shape: 'preference' },
      '"rejected[1]": expected text, received none',
    ],
    [
      'labels that prefer neither',
      '{"f": "a", "s": "b", "l": "a1"}',
      { shape: 'preference', columns: { prompt: { constant: 'q' }, first: 'f', second: 's', preferred: 'l' } },
      '"preferred": expected first, second or tie, received "a1"',
    ],
    [
      'ties',
      '{"f": "a", "s": "b", "l": "tie"}',
      { shape: 'preference', columns: { prompt: { constant: 'q' }, first: 'f', second: 's', preferred: 'l' } },
      'a tie; expected one of the two to be preferred',
    ],
    [
      'groups with all answers alike',
      '{"prompt": "q", "answers": ["a", "b"], "scores": [1, 1]}',
      { shape: 'ranked' },
      'all answers tie; expected two whose scores differ',
    ],
    [
      'groups of uneven lists',
      '{"prompt": "q", "answers": ["a"], "scores": [1]}',
      { shape: 'ranked' },
      'expected "answers" and "scores" to be lists of one length, two or more',
    ],
    [
      'scores that are none',
      '{"prompt": "q", "answers": ["a", "b"], "scores": [1, "x"]}',
      { shape: 'ranked' },
      '"scores[1]": expected a number, received "x"',
    ],
    [
      'maps of what is no text',
      '{"a": {"b": 1}}',
      { shape: 'task', columns: { a: { from: 'a', map: { x: 'y' } } } },
      '"a": expected text, received {"b":1}',
    ],
    [
      'labels that are none',
      '{"prompt": "q", "completion": "a", "label": 3}',
      { shape: 'labelled' },
      '"label": expected true, 1, yes, good or their opposites, received 3',
    ],
    [
      'texts without match',
      '{"a": "x"}',
      { shape: 'task', columns: { a: { from: 'a', match: 'y' } } },
      '"a": expected a text that /y/su matches',
    ],
    [
      'ratings that are none',
      '{"a": "x"}',
      { shape: 'task', columns: { a: { from: 'a', thresholds: [{ is: 'p' }] } } },
      '"a": expected a number within the thresholds, received "x"',
    ],
    [
      'fractions in whole numbers',
      '{"a": 1.5}',
      { shape: 'task', columns: { a: { from: 'a', kind: 'integer' } } },
      '"a": expected a whole number of 32 bits, received 1.5',
    ],
    [
      'lists that are none',
      '{"a": 1}',
      { input: { explode: 'a' }, shape: 'task', columns: { a: 'a' } },
      '"a": expected a list with entries, received 1',
    ],
    [
      'splits without name',
      '{"a": "x", "s": ""}',
      { shape: 'task', columns: { a: 'a' }, split: { column: 's' } },
      '"s": expected the name of a split, received none',
    ],
  ])('%s', async (_, line, config, message) => {
    const file = write('a.jsonl', line);
    const input = { path: file, ...(config.input as object | undefined) };
    const problems = await problemsOf(() => importRows(file, { ...config, input }), path());
    expect(problems[0]).toContain(`a.jsonl:1: ${message}`);
  });

  test('transcripts that do not begin as one are taken for text, which needs a prompt', async () => {
    const file = write('a.jsonl', '{"chosen": "Human: a", "rejected": "b"}');
    const problems = await problemsOf(() => importRows(file, { shape: 'preference' }), path());
    expect(problems[0]).toContain('a.jsonl:1: "prompt": expected text, received nothing');
  });

  test('sources that are missing, empty or of unknown format', async () => {
    mkdirSync(path('empty'));
    const problems = (file: string) => problemsOf(() => importRows(path(file), task), path());
    expect(await problems('none.csv')).toEqual([
      'none.csv: missing; expected a file or folder of data. Fetch it, or correct the path.',
    ]);
    expect(await problems('empty')).toEqual([
      'empty: no data in this folder; expected .jsonl, .csv, .parquet, … files. Correct the path.',
    ]);
    write('a.xyz', 'text');
    expect(await problems('a.xyz')).toEqual([
      'a.xyz: its ending names no format; expected one of jsonl, json, csv, tsv, parquet, arrow as ending, or as input.format of npm run import.',
    ]);
    write('a.jsonl', '\n');
    expect(await problems('a.jsonl')).toEqual([
      'a.jsonl: no rows are left; expected at least one, received 0 of which none is good.',
      'without any row: a.jsonl.',
    ]);
    mkdirSync(path('saved'));
    write('saved/state.json', '{"_data_files": [{"filename": "../up.arrow"}]}');
    expect(await problems('saved')).toEqual([
      'saved/state.json: no _data_files; expected [{"filename": "…"}, …]. Save the dataset again.',
    ]);
    mkdirSync(path('dict'));
    write('dict/dataset_dict.json', '{}');
    expect(await problems('dict')).toEqual([
      'dict/dataset_dict.json: no splits; expected {"splits": ["train", …]}. Save the dataset again.',
    ]);
    write('dict/dataset_dict.json', '{');
    expect((await problems('dict'))[0]).toMatch(
      /^dict\/dataset_dict\.json: not readable \(.*\)\. Save the dataset again\.$/,
    );
  });

  test('configurations that contradict themselves', () => {
    const issues = (config: Record<string, unknown>): string[] => {
      const base = {
        input: { path: 'a' },
        shape: 'text',
        provenance: { source: 's', licence: 'l' },
        output: 'a.arrow',
      };
      const result = ImportConfig.safeParse({ ...base, ...config });
      return result.success ? [] : result.error.issues.map(({ path: at, message }) => `${at.join('.')}: ${message}`);
    };
    expect(issues({})).toEqual([]);
    expect(issues({ input: {} })).toEqual(['input: expected either path or files']);
    expect(issues({ split: { name: 'a', column: 'b' } })).toEqual([
      'split: expected either name, or column and fractions',
    ]);
    expect(issues({ shape: 'task' })).toEqual(['columns: expected a column or more']);
    expect(issues({ columns: { source: 'a' } })).toEqual([
      'columns.source: is written by the importer; expected another name',
    ]);
    expect(issues({ shape: 'preference', columns: { first: 'a', second: 'b' } })).toEqual([
      'columns.first: shape preference does not read it; expected prompt, chosen, rejected, margin or columns of other names',
      'columns.second: shape preference does not read it; expected prompt, chosen, rejected, margin or columns of other names',
    ]);
    expect(issues({ shape: 'preference', columns: { preferred: 'a', margin: 'b' } })).toEqual([
      'columns.margin: shape preference does not read it beside "preferred"; expected prompt, first, second, preferred or columns of other names',
    ]);
    expect(issues({ shape: 'ranked', columns: { chosen: 'a' } })).toEqual([
      'columns.chosen: shape ranked does not read it; expected prompt, answers, scores or columns of other names',
    ]);
    expect(issues({ shape: 'alpaca', columns: { output: { from: 'a', kind: 'integer' } } })).toEqual([
      'columns.output.kind: shape alpaca knows what it holds; expected no kind',
    ]);
    expect(issues({ shape: 'task', columns: { a: { constant: 'x', map: { x: 'y' } } } })[0]).toContain(
      'a constant stays as it is; expected only kind beside it',
    );
    expect(issues({ split: { map: { a: 'b' }, otherwise: 'c' } })).toEqual([
      'split.map: is read beside split.column; expected one',
      'split.otherwise: is read beside split.column; expected one',
    ]);
    expect(issues({ split: { by: ['a'] } })).toEqual(['split.by: is read beside split.fractions; expected them']);
    expect(issues({ split: { seed: 2 } })).toEqual(['split.seed: is read beside split.fractions; expected them']);
    expect(issues({ input: { path: 'a', format: 'jsonl', header: false } })).toEqual([
      'input.format: delimiter, quote and header are read of csv and tsv; expected them left out for jsonl',
    ]);
    expect(issues({ messages: { role: 'from' } })).toEqual([
      'messages: is read for shapes messages and preference; expected none for shape text',
    ]);
    expect(issues({ messages: { accept: ['user_last'] } })).toHaveLength(1);
    expect(issues({ ranked: { tie: 1 } })).toEqual(['ranked: is read for shape ranked; expected none for shape text']);
    expect(issues({ output: 'a.csv' })).toEqual(['output: expected .arrow or .jsonl']);
  });
});

test('an interrupted import leaves nothing behind', async () => {
  const file = write('a.jsonl', `${row('a', 'b')}\n`);
  const config = ImportConfig.parse({
    input: { path: file },
    ...task,
    provenance: { source: 's', licence: 'l' },
    output: path('out.arrow'),
  });
  await expect(runImport(config, () => true)).rejects.toThrow('interrupted; nothing was written. Run it again.');
  expect(existsSync(path('out.arrow'))).toBe(false);
  expect(readdirSync(path())).toEqual(['a.jsonl']);
});

test('a .jsonl output holds the same rows', async () => {
  const file = write('a.jsonl', `${row('a', 'b')}\n${row('c', 'd')}\n`);
  const { rows } = await importRows(file, { ...task, output: path('out.jsonl') });
  expect(rows).toEqual([
    { id: 'a', split: 'train', text: 'b', source: expect.stringContaining('a.jsonl'), source_row: 1 },
    { id: 'c', split: 'train', text: 'd', source: expect.stringContaining('a.jsonl'), source_row: 2 },
  ]);
});
