import { writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { messageRows } from '../../src/tables/message-column.ts';
import { talk } from '../helpers/messages.ts';
import { useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { importRows, withoutProvenance } from './import-rows.ts';

const path = useTemporaryFolder();
const write = (name: string, rows: readonly unknown[]): string => {
  writeFileSync(path(name), `${rows.map((row) => JSON.stringify(row)).join('\n')}\n`);
  return path(name);
};
const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string) => ({ role: 'assistant', content });

test('Alpaca files import as they are published', async () => {
  const file = path('alpaca.json');
  const rows = [
    { instruction: 'Give three primary colours.', input: '', output: 'Red, blue, yellow.' },
    { instruction: 'Turn into a question.', input: 'It rains.', output: 'Does it rain?' },
  ];
  writeFileSync(file, JSON.stringify(rows, null, 4));
  const { rows: made } = await importRows(file, { shape: 'alpaca' });
  expect(withoutProvenance(made)).toEqual(rows);
  expect(made[1]).toMatchObject({ id: 'alpaca-2', split: 'train', source_row: 2 });
});

test('self-instruct seeds give one row for every instance', async () => {
  const file = write('seeds.jsonl', [
    {
      id: 's0',
      instruction: 'Add.',
      instances: [
        { input: '1 1', output: '2' },
        { input: '2 2', output: '4' },
      ],
    },
    { id: 's1', instruction: 'Name a fish.', instances: [{ input: '', output: 'Carp' }] },
  ]);
  const input = { path: file, explode: 'instances' };
  const { rows } = await importRows(file, { input, shape: 'alpaca', columns: { id: 'id' } });
  expect(rows.map(({ id, input: given, output }) => [id, given, output])).toEqual([
    ['s0-1', '1 1', '2'],
    ['s0-2', '2 2', '4'],
    ['s1', '', 'Carp'],
  ]);
});

test('prompts with completions, unpaired labels and texts', async () => {
  const file = write('a.jsonl', [{ prompt: 'Hi', completion: 'Ho', label: 1, text: 'All of it.' }]);
  const completion = { prompt: 'Hi', completion: 'Ho' };
  const rowsOf = async (shape: string) => withoutProvenance((await importRows(file, { shape })).rows);
  expect(await rowsOf('prompt_completion')).toEqual([completion]);
  expect(await rowsOf('labelled')).toEqual([{ ...completion, label: true }]);
  expect(await rowsOf('text')).toEqual([{ text: 'All of it.' }]);
});

describe('conversations', () => {
  test('become lists of messages', async () => {
    const file = write('chat.jsonl', [
      { messages: [user('Hello'), assistant('Hi')] },
      { messages: [{ role: 'system', content: 'Be brief.' }, user('a'), assistant('b'), user('c'), assistant('d')] },
    ]);
    const { rows } = await importRows(file, { shape: 'messages' });
    expect(withoutProvenance(rows)).toEqual([
      { messages: messageRows(talk('Hello', 'Hi')), tools: null },
      { messages: messageRows([{ role: 'system', content: 'Be brief.' }, ...talk('a', 'b', 'c', 'd')]), tools: null },
    ]);
  });

  test("in ShareGPT's spelling as well", async () => {
    const conversations = [
      { from: 'human', value: 'Hello' },
      { from: 'gpt', value: 'Hi' },
    ];
    const file = write('share.jsonl', [{ conversations }]);
    const config = {
      shape: 'messages',
      columns: { messages: 'conversations' },
      messages: { role: 'from', content: 'value' },
    };
    expect(withoutProvenance((await importRows(file, config)).rows)).toEqual([
      { messages: messageRows(talk('Hello', 'Hi')), tools: null },
    ]);
  });
});

describe('preference pairs', () => {
  const pairs = async (rows: readonly unknown[], config: Record<string, unknown> = {}) =>
    withoutProvenance((await importRows(write('pairs.jsonl', rows), { shape: 'preference', ...config })).rows);

  test('HH transcripts split at the last turn of the assistant', async () => {
    const shared = '\n\nHuman: What is 2+2?\n\nAssistant: 4.\n\nHuman: Sure?';
    const made = await pairs([
      { chosen: `${shared}\n\nAssistant: Yes.`, rejected: `${shared}\n\nAssistant: No.` },
      { chosen: '\n\nHuman: Hi\n\nAssistant: Hello!', rejected: '\n\nHuman: Hi\n\nAssistant: What?' },
    ]);
    expect(made).toEqual([
      { prompt: 'User: What is 2+2?\n\nAssistant: 4.\n\nUser: Sure?', chosen: 'Yes.', rejected: 'No.', margin: 0 },
      { prompt: 'Hi', chosen: 'Hello!', rejected: 'What?', margin: 0 },
    ]);
  });

  test('messages share their beginning, which stands in both or apart', async () => {
    const whole = { chosen: [user('q'), assistant('a')], rejected: [user('q'), assistant('b')] };
    const apart = { prompt: [user('q')], chosen: [assistant('a')], rejected: [assistant('b')] };
    const expected = { prompt: 'q', chosen: 'a', rejected: 'b', margin: 0 };
    expect(await pairs([whole])).toEqual([expected]);
    expect(await pairs([apart], { columns: { prompt: 'prompt' } })).toEqual([expected]);
  });

  test('texts come with a prompt, and with a margin where one is given', async () => {
    const row = { question: 'q', good: 'a', bad: 'b', gap: 1.5, topic: 't' };
    const columns = { prompt: 'question', chosen: 'good', rejected: 'bad', margin: 'gap', topic: 'topic' };
    expect(await pairs([row], { columns })).toEqual([
      { prompt: 'q', chosen: 'a', rejected: 'b', margin: 1.5, topic: 't' },
    ]);
  });

  test('UKP files import as they are published', async () => {
    const file = path('tea-or-coffee-_tea.csv');
    writeFileSync(file, '#id\tlabel\ta1\ta2\nx_y\ta2\tit is "hot <br/> tea\tbecause\nz_w\ta1\tgood\tbad\n');
    const { rows } = await importRows(file, {
      input: { path: file, delimiter: '\t', quote: 'none' },
      shape: 'preference',
      columns: {
        prompt: { from: '$file', replace: { '-*_': '\nSide: ', '-+': ' ', '^': 'Debate: ' } },
        first: { from: 'a1', replace: { '\\s*<br/>\\s*': '\n' } },
        second: 'a2',
        preferred: { from: 'label', map: { a1: 'first', a2: 'second' } },
        pair: '#id',
      },
    });
    const prompt = 'Debate: tea or coffee\nSide: tea';
    expect(withoutProvenance(rows)).toEqual([
      { prompt, chosen: 'because', rejected: 'it is "hot\ntea', margin: 0, pair: 'x_y' },
      { prompt, chosen: 'good', rejected: 'bad', margin: 0, pair: 'z_w' },
    ]);
  });

  test('ranked groups give every pair, or the best against the rest, but no ties', async () => {
    const file = write('ranked.jsonl', [
      {
        q: 'q',
        responses: [
          { text: 'mid', score: 2 },
          { text: 'top', score: 3 },
          { text: 'low', score: 1 },
          { text: 'too', score: 2 },
        ],
      },
    ]);
    const columns = { prompt: 'q', answers: 'responses.*.text', scores: 'responses.*.score' };
    const all = await importRows(file, { shape: 'ranked', columns });
    expect(all.rows.map(({ chosen, rejected, margin }) => [chosen, rejected, margin])).toEqual([
      ['top', 'mid', 1],
      ['top', 'too', 1],
      ['top', 'low', 2],
      ['mid', 'low', 1],
      ['too', 'low', 1],
    ]);
    expect(all.rows.map(({ id }) => id)).toEqual([1, 2, 3, 4, 5].map((k) => `ranked-1-${k}`));
    const best = await importRows(file, { shape: 'ranked', columns, ranked: { pairs: 'best_vs_rest', tie: 1 } });
    expect(best.rows.map(({ chosen, rejected }) => [chosen, rejected])).toEqual([['top', 'low']]);
  });
});

describe('columns of a task', () => {
  test('are picked by name, number or path, and converted as the configuration says', async () => {
    const file = write('task.jsonl', [
      {
        a: { b: ['x', 'y'] },
        rating: '-0.7',
        text: 'It is\\nso. #### 12',
        options: 'one - two',
        n: 7,
        big: 2.5,
        flag: true,
      },
    ]);
    const { rows } = await importRows(file, {
      shape: 'task',
      columns: {
        second: 'a.b.1',
        all: { from: 'a.b', kind: 'list' },
        mood: { from: 'rating', thresholds: [{ below: -0.5, is: 'bad' }, { is: 'good' }] },
        answer: { from: 'text', match: '#### (.+)$' },
        why: { from: 'text', replace: { '####.*$': '', '\\\\n': '\n' } },
        options: { from: 'options', split: '-' },
        n: { from: 'n', kind: 'integer' },
        big: { from: 'big', kind: 'number' },
        flag: { from: 'flag', map: { true: 'yes' } },
        missing: { from: 'nowhere', default: '' },
        same: { constant: 'always' },
      },
    });
    expect(withoutProvenance(rows)).toEqual([
      {
        second: 'y',
        all: ['x', 'y'],
        mood: 'bad',
        answer: '12',
        why: 'It is\nso.',
        options: ['one', 'two'],
        n: 7,
        big: 2.5,
        flag: 'yes',
        missing: '',
        same: 'always',
      },
    ]);
  });
});

describe('splits', () => {
  const rows = Array.from({ length: 400 }, (_, i) => ({ text: `row ${i}`, group: `g${i % 40}` }));
  const fractions = { train: 0.8, validation: 0.1, test: 0.1 };
  const config = { shape: 'task', columns: { text: 'text', group: 'group' } };

  test('drawn by hash keep groups together, are near their shares and do not depend on order', async () => {
    const split = { fractions, by: ['group'] };
    const { rows: made, report } = await importRows(write('a.jsonl', rows), { ...config, split });
    for (const group of new Set(made.map((row) => row.group))) {
      expect(new Set(made.filter((row) => row.group === group).map((row) => row.split)).size).toBe(1);
    }
    // 40 groups: 32 ± 2.5 of them train.
    expect(report.splits.train).toBeGreaterThan(230);
    expect(report.splits.train).toBeLessThan(400);
    const reversed = await importRows(write('b.jsonl', [...rows].reverse().slice(100)), { ...config, split });
    const before = new Map(made.map((row) => [row.text, row.split]));
    expect(reversed.rows.every((row) => before.get(row.text) === row.split)).toBe(true);
    const other = await importRows(write('a.jsonl', rows), { ...config, split: { ...split, seed: 2 } });
    expect(other.rows.map((row) => row.split)).not.toEqual(made.map((row) => row.split));
  });

  test('come from a column through a map, and fractions then divide what is train', async () => {
    const split = {
      column: 'group',
      map: { g0: 'test', g1: 'test' },
      otherwise: 'train',
      fractions: { train: 1, dev: 1 },
    };
    const { rows: made } = await importRows(write('a.jsonl', rows), { ...config, split });
    for (const row of made) expect(row.split === 'test').toBe(row.group === 'g0' || row.group === 'g1');
    const dev = made.filter((row) => row.split === 'dev').length;
    expect(Math.abs(dev - 190)).toBeLessThan(60);
  });
});
