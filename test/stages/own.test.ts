/** Stage 1 on files of one's own: read, recognized, planned, learned, resumed. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { readManifest } from '../../src/run/manifest.ts';
import { runStage } from '../../src/run/stage.ts';
import type { Lane } from '../../src/tensor/lane.ts';
import { Interrupted } from '../../src/terminal/interrupts.ts';
import { loadConfig } from '../../src/yaml/load-config.ts';
import { InstructConfig } from '../../stages/1-instruct.config.ts';
import { instruct } from '../../stages/1-instruct.ts';
import { problemsOf } from '../helpers/temporary-folder.ts';
import { arrowRows, filesBelow, interruptedAt, useSharedFolder, watchProgress } from '../helpers/tiny-runs.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';

const path = useSharedFolder();
const root = fileURLToPath(new URL('../../', import.meta.url));
/** The configuration that is written to be copied, on the shipped base. */
const own = (folder: string, overrides: readonly string[]): InstructConfig =>
  loadConfig(InstructConfig, `${root}configs/instruct/own.yaml`, [
    `model=${root}data/base`,
    `run.folder=${path(folder)}`,
    `data.cache=${path('cache')}`,
    ...overrides,
  ]);
const lines = (name: string, rows: readonly unknown[]): string => {
  mkdirSync(path('data'), { recursive: true });
  writeFileSync(path('data', name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return path('data', name);
};
const people = ['Ada', 'Olga', 'Dora', 'Finn'];
/** Two turns each; the system's text and the first answer belong to the conversation. */
const talk = (i: number) => ({
  id: i,
  messages: [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: `${people[i % 4]} has a jug and ${i} bowls. What does ${people[i % 4]} have?` },
    { role: 'assistant', content: `A jug and ${i} bowls.` },
    { role: 'user', content: 'Who?' },
    { role: 'assistant', content: `${people[i % 4]}.` },
  ],
});
const pair = (i: number) => ({ question: `What comes after ${i}?`, answer: `The number ${i + 1}.` });
const talks = Array.from({ length: 16 }, (_, i) => talk(i));
const short = ['evaluation.everySteps=2', 'checkpoints.everySteps=2', 'checkpoints.keepLast=10', 'training.rows=2'];

beforeAll(() => {
  lines('talk.jsonl', talks);
});

describe.each(lanesToTest())('on the %s lane', (name) => {
  let lane: Lane;
  beforeAll(async () => {
    lane = await useLane(name);
  });

  it('learns each row once, holds some out, and says what it took the file for', async () => {
    const said: string[] = [];
    const progress = watchProgress({ say: (line) => void said.push(line) });
    const config = own(`${name}/run`, [`data.file=${path('data/talk.jsonl')}`, ...short]);
    const summary = await runStage(instruct, config, { lane, progress });
    expect(said).toContain(`data  ${path('data/talk.jsonl')}: taken for messages (messages); train 16 rows`);
    expect(said).toContain('  fields not used:  id');
    expect(said).toContain('sequence  64 tokens (auto): 16 of 16 rows fit');
    const rows = arrowRows(path(name, 'run/instruct.arrow'));
    const ids = rows.map(({ row_id }) => row_id);
    // A share of 0.05 of 16 rows, one at least.
    expect([ids.length, new Set(ids).size]).toEqual([15, 15]);
    const { prompt, target, kind } = rows[ids.indexOf('talk-3')] ?? {};
    expect([kind, prompt, target]).toEqual([
      'conversation',
      'Be brief.\n\nDora has a jug and 2 bowls. What does Dora have?\n A jug and 2 bowls.\nWho?',
      'Dora.',
    ]);
    expect(summary.beatsStart).toBe(true);
    const manifest = readManifest(path(name, 'run'));
    expect(manifest?.inputs.map(({ role, path: file }) => [role, file])).toEqual([['file', path('data/talk.jsonl')]]);
    expect(manifest?.settled).toEqual({ 'data.file weight': [1], 'sequence.length': 64 });
  });

  it('goes on after a stop to the same bytes, with the length it began with', async () => {
    const config = own(`${name}/stopped`, [`data.file=${path('data/talk.jsonl')}`, ...short]);
    await expect(runStage(interruptedAt(instruct, 3), config, { lane, quiet: true })).rejects.toThrow(Interrupted);
    await runStage(instruct, config, { lane, quiet: true, resume: true });
    expect(filesBelow(path(name, 'stopped/best'))).toEqual(filesBelow(path(name, 'run/best')));
  });
});

/** What `npm run validate` prints. */
const check = (overrides: readonly string[]) => instruct.check(own('checked', overrides));
const refused = (overrides: readonly string[]) => problemsOf(() => check(overrides), path());

describe('the plan', () => {
  it('gives rows of files as often as their weights say, beside the tasks of a mixture', async () => {
    const pairs = lines(
      'pairs.jsonl',
      Array.from({ length: 20 }, (_, i) => pair(i)),
    );
    const files = `data.file=[{path: ${path('data/talk.jsonl')}, weight: 0.5}, {path: ${pairs}, weight: 2}]`;
    const tasks = [`data.tables=${root}data/seed`, `data.templates=${root}data/templates`, 'data.tasks=[cheaper]'];
    const told = await check([files, ...tasks, 'mixture.examples=50', 'evaluation.share=0', 'evaluation.best=last']);
    const rows = told.map((line) => line.trim().split(/\s\s+/));
    const examples = (task: string) => Number(rows.find((row) => row[1] === task)?.[6]);
    expect([examples('cheaper'), examples('talk'), examples('pairs')]).toEqual([50, 8, 40]);
  });

  it('takes rows of split validation from the file, and cuts long texts into rows without a loss', async () => {
    const text = 'Ada has a jug. '.repeat(300);
    const file = lines('texts.jsonl', [{ text }, { text: 'Olga has a bowl.', split: 'validation' }]);
    const told = (await check([`data.file=${file}`])).join('\n');
    expect(told).toContain('taken for text (text); train 1, validation 1 rows');
    expect(told).toMatch(/sequence {2}\d+ tokens \(auto\): .*longer texts are cut into rows/);
    expect(told).toContain('validation  loss on 1 rows');
    expect(told).toContain('(100 % learned)');
  });

  it('leaves out first turns of what is too long, and what is still too long', async () => {
    const long = { messages: [...talk(0).messages.slice(1, 3), ...talk(1).messages.slice(1, 3)] };
    const endless = { question: 'Say it. '.repeat(100), answer: 'It.' };
    const two = [`data.file=${lines('long.jsonl', [...talks, long])}`, 'sequence.length=40', 'evaluation.share=0'];
    expect((await check([...two, 'evaluation.best=last'])).join('\n')).toMatch(/[1-9]\d* truncated(?!.*dropped)/);
    const file = `data.file=${lines('endless.jsonl', [...Array.from({ length: 30 }, (_, i) => pair(i)), endless])}`;
    const told = (await check([file, 'sequence.length=40', 'evaluation.share=0', 'evaluation.best=last'])).join('\n');
    expect(told).toContain('1 dropped (too long, first at');
  });
});

describe('what is refused', () => {
  it('a configuration without rows, a length that nothing decides, keys that nothing reads', async () => {
    expect(await refused(['data.file=null'])).toEqual([
      expect.stringContaining('data: expected file, your own rows, or tables and templates'),
      expect.stringContaining('sequence.length: expected a number of tokens'),
    ]);
    const file = `data.file=${path('data/talk.jsonl')}`;
    expect(await refused([file, 'mixture.examples=5'])).toEqual([
      expect.stringContaining('mixture.examples: has no effect: it is read only with data.tables other than none'),
    ]);
    expect(await refused([file, 'data.tables=x'])).toEqual([expect.stringContaining('data.templates: expected the')]);
  });

  it('rows that the format of the model cannot hold, where they are too many', async () => {
    const special = { question: 'What is <|eos|>?', answer: 'The end.' };
    // The plain format of the shipped base takes it for plain text.
    const told = await check([
      `data.file=${lines('special.jsonl', [...Array.from({ length: 20 }, (_, i) => pair(i)), special])}`,
    ]);
    expect(told.join('\n')).toContain('train 21 rows');
  });

  it('a file that is gone or has changed when a run goes on', async () => {
    const lane = await useLane(lanesToTest()[0] ?? 'wasm');
    const file = lines('moving.jsonl', talks.slice(0, 12));
    const config = own('moving', [`data.file=${file}`, ...short]);
    await expect(runStage(interruptedAt(instruct, 2), config, { lane, quiet: true })).rejects.toThrow(Interrupted);
    writeFileSync(file, readFileSync(file, 'utf8').replace('Be brief.', 'Be loud.'));
    const resume = () => runStage(instruct, config, { lane, quiet: true, resume: true });
    expect(await problemsOf(resume, path())).toEqual([
      expect.stringContaining(`file ${join('data', 'moving.jsonl')}: has changed since the run began`),
    ]);
  });
});
