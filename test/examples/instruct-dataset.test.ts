import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { loadFileTasks } from '../../src/examples/file-tasks.ts';
import { type InstructSource, planInstruct, prepareInstruct } from '../../src/examples/instruct-dataset.ts';
import { mixtureLines } from '../../src/report/mixture-table.ts';
import type { Tokenizer } from '../../src/tokenizer/tokenizer.ts';
import { talk } from '../helpers/messages.ts';
import { type SampleFolder, sampleFolder } from '../tasks/sample-task.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';

function folderForTest(): SampleFolder {
  const folder = sampleFolder();
  onTestFinished(() => folder.remove());
  return folder;
}

function sourceOf({ tables, templates }: SampleFolder, examples = 4): InstructSource {
  return {
    data: { tables, templates, learn: 'all' },
    holdOut: { clusters: [], datasets: [], templates: ['trade/who'] },
    mixture: {
      examples,
      rule: 'proportional',
      cap: 10,
      temperature: 1,
      maximumRate: null,
      rowCap: null,
      templateChoice: 'round_robin',
      parts: { plain: { share: 1, kinds: ['direct', 'inverted'], shots: [0] } },
    },
  };
}

const prepare = (source: InstructSource, folder: SampleFolder, seed = 1) =>
  prepareInstruct(source, planInstruct(source), byteTokenizer(), {
    cache: folder.path('cache'),
    seed,
    fit: { maxLength: 100, overlong: 'error', learn: 'all' },
  });

it('the dataset of stage 1 is made once for each content, and made again when a row, a template or the seed changes', async () => {
  const folder = folderForTest();
  const first = await prepare(sourceOf(folder), folder);
  expect(first.fresh).toBe(true);
  const again = await prepare(sourceOf(folder), folder);
  expect(again).toEqual({ ...first, fresh: false });
  const replace = (path: string, from: string, to: string) => {
    const before = readFileSync(path, 'utf8');
    writeFileSync(path, before.replace(from, to));
    expect(readFileSync(path, 'utf8')).not.toBe(before);
  };
  replace(join(folder.templates, 'trade.yaml'), 'What is {name}', 'Say what is {name}');
  const other = await prepare(sourceOf(folder), folder);
  replace(join(folder.tables, 'trade.jsonl'), 'Ada', 'Ida');
  const third = await prepare(sourceOf(folder), folder);
  const seeds = await prepare(sourceOf(folder), folder, 2);
  const larger = await prepare(sourceOf(folder, 6), folder, 2);
  const made = [first, other, third, seeds, larger];
  expect(made.map(({ fresh }) => fresh)).toEqual([true, true, true, true, true]);
  expect(new Set(made.map(({ path }) => path)).size).toBe(5);
  expect(larger.statistics.examples).toBe(6);
});

it('the dataset of stage 1 is found again from other folders with the same content', async () => {
  const [here, there] = [folderForTest(), folderForTest()];
  await prepare(sourceOf(here), here);
  const found = await prepare(sourceOf(there), here);
  expect(found.fresh).toBe(false);
});

it('the dataset of stage 1 is found again by a run that differs in anything but the data', async () => {
  const folder = folderForTest();
  await prepare(sourceOf(folder), folder);
  const run = { ...sourceOf(folder), run: { folder: 'another' }, optimizer: { learningRate: 1 } };
  expect((await prepare(run, folder)).fresh).toBe(false);
});

it('the realised mixture is shown with its rates, lost examples and what is held out', () => {
  const none = { tokens: 0, trainable_tokens: 0, truncated: 0, dropped: 0, lost_shots: 0 };
  const lines = mixtureLines([
    {
      ...none,
      ...{ part: 'few', task: 'sums', cluster: 'arithmetic', trained: true, held_out: '', rows: 40 },
      ...{ declared_rate: 0.25, examples: 12, realised_rate: 0.2, tokens: 345, lost_shots: 3, dropped: 2 },
    },
    {
      ...none,
      ...{ part: '', task: 'claims', cluster: 'entailment', trained: false, held_out: 'cluster entailment', rows: 9 },
      ...{ declared_rate: 0, examples: 0, realised_rate: 0 },
    },
  ]);
  expect(lines[2]).toMatch(/^few +sums +arithmetic +40 +25\.0 % +20\.0 % +12 +345 +0 +2$/);
  expect(lines.slice(3)).toEqual([
    '  3 solved examples did not fit in front of their questions',
    '  held out: claims (cluster entailment)',
  ]);
});

it.each([
  ['conversations', (i: number) => ({ messages: talk(`q${i}`, 'one', 'r', `a${i}`) })],
  ['texts', (i: number) => ({ text: `Text ${i}.` })],
])('rows of files are tokenized once: %s', async (_, rowOf) => {
  const folder = folderForTest();
  const path = folder.path('my.jsonl');
  writeFileSync(path, Array.from({ length: 6 }, (_, i) => `${JSON.stringify(rowOf(i))}\n`).join(''));
  const own = { file: path, shape: 'auto', encoding: 'utf-8', badRows: 0, learn: 'all' } as const;
  const plain = byteTokenizer();
  const source = { ...sourceOf(folder), data: { learn: 'all' as const } };
  const make = async (name: string, tokenizer: Tokenizer, isKept: boolean) => {
    const files = await loadFileTasks(own, plain);
    const given = isKept ? files : files.map((file) => ({ ...file, whole: new Map() }));
    const settings = {
      cache: folder.path(name),
      seed: 1,
      fit: { maxLength: 100, overlong: 'error', learn: 'all' },
    } as const;
    const plan = planInstruct(source, { share: 0.2, seed: 1 }, given);
    const made = await prepareInstruct(source, plan, tokenizer, settings);
    expect(plan.files.map(({ whole }) => whole.size)).toEqual([0]);
    return readFileSync(join(made.path, 'instruct.arrow'));
  };
  const twice = await make('twice', plain, false);
  const stopped = (): never => {
    throw new Error('tokenized again');
  };
  const unable = { ...plain, encode: stopped, encodeOn: stopped, encodeSection: stopped };
  await expect(make('never', unable, false)).rejects.toThrow('tokenized again');
  expect((await make('once', unable, true)).equals(twice)).toBe(true);
});
