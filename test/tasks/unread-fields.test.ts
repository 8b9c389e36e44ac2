import { mkdirSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { readCorpus } from '../../src/examples/corpus.ts';
import { writeTable } from '../../src/tables/arrow-file.ts';
import { utf8, utf8List } from '../../src/tables/columns.ts';
import { loadTasks } from '../../src/tasks/tasks.ts';
import { readPairs } from '../helpers/read-pairs.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';

const path = useTemporaryFolder();
const tokenizer = byteTokenizer();
const problems = (act: () => unknown): Promise<string[]> => problemsOf(async () => act(), path());
const lines = (name: string, rows: readonly object[]): string => {
  writeFileSync(path(name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return path(name);
};
const taken = 'as the rest would be taken for the whole conversation';

describe('rows of tasks', () => {
  const template = (columns: string, input: string) => `dataset: chatty
cluster: talk
description: Conversations.
columns: [${columns}]
answer: {column: response}
metric: exact_match
templates:
  - {id: plain, split: train, input: "${input}", target: "{response}"}
  - {id: other, split: unseen, input: "Say: {prompt}", target: "{response}"}
`;
  const rows = [
    { id: 'a', split: 'train', system: 'Be a pirate.', history: ['q', 'r'], prompt: 'p', response: 'Arr.' },
    { id: 'b', split: 'train', system: '', history: [], prompt: 'Name a fruit.', response: 'Pear.' },
    { id: 'c', split: 'test', system: 'Be brief.', history: [''], prompt: 'p', response: 'R.' },
  ];
  const load = () => loadTasks(path('seed'), path('templates'));
  beforeEach(() => {
    mkdirSync(path('seed'), { recursive: true });
    mkdirSync(path('templates'), { recursive: true });
    writeFileSync(path('templates', 'chatty.yaml'), template('prompt, response', '{prompt}'));
    lines('seed/chatty.jsonl', rows);
  });

  it('with system texts and earlier turns are refused, with count, first rows and remedy', async () => {
    expect(await problems(() => load())).toEqual([
      `seed/chatty.jsonl: 2 of 3 rows have a "system", which nothing here reads (first at seed/chatty.jsonl:1, seed/chatty.jsonl:3); expected none, ${taken}. To train on whole conversations import them with shape: messages, which need no templates; else use {system} in every template of templates/chatty.yaml, or leave the column out.`,
      `seed/chatty.jsonl: 1 of 3 rows have a "history", which nothing here reads (first at seed/chatty.jsonl:1); expected none, ${taken}. To train on whole conversations import them with shape: messages, which need no templates; else leave the column out.`,
    ]);
  });

  it('may use the system text in every template; in some is not enough', async () => {
    writeFileSync(path('templates', 'chatty.yaml'), template('system, prompt, response', '{system} {prompt}'));
    lines(
      'seed/chatty.jsonl',
      rows.map(({ history: _, ...row }) => row),
    );
    expect((await problems(load))[0]).toContain('2 of 3 rows have a "system"');
    const all = template('system, prompt, response', '{system} {prompt}').replace('Say:', '{system} Say:');
    writeFileSync(path('templates', 'chatty.yaml'), all);
    expect(await problems(load)).toEqual([]);
  });
});

it('pairs and documents with parts of conversations beside them are refused', async () => {
  const columns = {
    prompt: utf8('.'),
    chosen: utf8('.'),
    rejected: utf8('.'),
    system: utf8('.'),
    history: utf8List('.'),
  };
  const pair = { prompt: 'a', chosen: 'b', rejected: 'c', system: '', history: [] as string[] };
  const pairs = async (...rows: (typeof pair)[]) => {
    await writeTable(path('pairs.arrow'), columns, rows);
    return problems(() => readPairs(path('pairs.arrow'), { tokenizer, contextLength: 9 }));
  };
  expect(await pairs(pair)).toEqual([]);
  expect(await pairs(pair, { ...pair, system: 'Be kind.' }, { ...pair, history: ['x'] })).toEqual([
    `pairs.arrow: 1 of 3 rows have a "system", which nothing here reads (first at row 1); expected none, ${taken}. Write it into the prompts, or import the pairs without that column.`,
    `pairs.arrow: 1 of 3 rows have a "history", which nothing here reads (first at row 2); expected none, ${taken}. Write it into the prompts, or import the pairs without that column.`,
  ]);

  const corpus = lines('corpus.jsonl', [{ text: 'a', system: 'Be kind.' }, { text: 'b' }]);
  expect(await problems(() => readCorpus(corpus))).toEqual([
    expect.stringContaining(
      'corpus.jsonl: 1 of 2 rows have a "system", which nothing here reads (first at corpus.jsonl:1)',
    ),
  ]);
});

it('no document is learned though it is of another split', async () => {
  const corpus = lines('corpus.jsonl', [{ text: 'a', split: 'train' }, { text: 'b', split: 'test' }, { text: 'c' }]);
  expect(await problems(() => readCorpus(corpus))).toEqual([
    'corpus.jsonl: rows of splits train, test, none; expected those of one. Put each split into a file of its own.',
  ]);
  expect(readCorpus(lines('train.jsonl', [{ text: 'a', split: 'train' }]))).toHaveLength(1);
});
