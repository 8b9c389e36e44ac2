import { writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { filePath, Optimizer, Run } from '../../src/run/sections.ts';
import { PolicyPrompts } from '../../src/worlds/prompts-section.ts';
import { loadConfig } from '../../src/yaml/load-config.ts';
import { pathArgument } from '../../src/yaml/overrides.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';

const Config = z.strictObject({
  run: Run,
  model: filePath('A checkpoint.').optional(),
  group: z.string().nullable().default('topic').describe('A column.'),
  tasks: z.array(z.string()).default(['a', 'b']).describe('Tasks.'),
  shots: z.array(z.int()).optional().describe('Numbers.'),
  weights: z.record(z.string(), z.number()).default({}).describe('Shares.'),
  others: z.record(z.string(), filePath('A checkpoint.')).default({}).describe('Checkpoints by name.'),
  kind: z.enum(['on', 'off']).default('on').describe('A choice.'),
  optimizer: Optimizer.prefault({}),
  prompts: PolicyPrompts.optional(),
});

const path = useTemporaryFolder();
function load(overrides: readonly string[], yaml = 'run: {folder: out}\n'): z.infer<typeof Config> {
  writeFileSync(path('a.yaml'), yaml);
  return loadConfig(Config, path('a.yaml'), overrides);
}
const problems = (overrides: readonly string[], yaml?: string) => problemsOf(() => load(overrides, yaml), path());

describe('text in arguments is taken as it was typed', () => {
  test.each([
    'runs/try #2',
    'a: b',
    'C:\\runs\\a: #1',
    '*star',
    '&and',
    '!bang',
    '%percent',
    '@at',
    '`tick',
    '- dash',
    '? what',
    '| pipe',
    '> more',
    '[old] run/x',
    '{braces}',
    'a, b',
    "it's",
    '"half',
    'true',
    '2024',
    '1e-3',
    '0x10',
    '---',
    'a=b=c',
    ' spaces around ',
    'tab\tin',
    'ü/日本/🦊',
    'null/x',
    './~x',
    'a~b',
  ])('%s', (text) => {
    // biome-ignore format: a table
    expect(load([`run.folder=${text}`]).run.folder).toBe(text);
    expect(load([`group=${text}`]).group).toBe(text);
    expect(load([`tasks.1=${text}`]).tasks).toEqual(['a', text]);
  });

  test('quotes around all of it are left out, and keep what would be null', () => {
    expect(load(['run.folder="a #b"', "model='null'", 'group=""']).run.folder).toBe('a #b');
    expect(load(["model='null'"]).model).toBe('null');
    expect(load(['group=""']).group).toBe('');
    expect(load([`group="it's" so`]).group).toBe(`"it's" so`);
  });

  test('whatever a path is, a program passes it on unchanged', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1 }), (text) => {
        fc.pre(!/^~/.test(text));
        expect(load([pathArgument('run.folder', text)]).run.folder).toBe(text);
      }),
      { seed: 1, numRuns: 50 },
    );
  });

  test('other values are YAML, and what would be taken for a comment is refused', async () => {
    expect(load(['tasks=[x, "y #1"]', 'weights={a: 1}', 'optimizer.clipNorm=.5']).weights).toEqual({ a: 1 });
    expect(load(['tasks=[x, "y #1"]']).tasks).toEqual(['x', 'y #1']);
    expect(load(['optimizer.learningRate= 1e-3 ']).optimizer.learningRate).toBe(1e-3);
    expect(await problems(['tasks=[x] #y', 'weights={a: 1} # b', 'weights=[a #1, b]', 'kind=[on'])).toEqual([
      `argument "tasks=[x] #y": what stands after # in the value would be left out. Quote it, e.g. 'tasks="text"'.`,
      `argument "weights={a: 1} # b": what stands after # in the value would be left out. Quote it, e.g. 'weights="text"'.`,
      `argument "weights=[a #1, b]": the value is not valid YAML. Quote it, e.g. 'weights="text"'.`,
    ]);
    // In the order of the schema.
    expect(await problems(['optimizer.warmupSteps=3 #x', 'optimizer.beta1=*a', 'kind=of #'])).toEqual([
      'argument "kind=of #": kind: expected one of "on", "off", received "of #". Did you mean off?',
      'argument "optimizer.warmupSteps=3 #x": optimizer.warmupSteps: expected a number, received "3 #x".',
      'argument "optimizer.beta1=*a": optimizer.beta1: expected a number, received "*a".',
    ]);
  });
});

describe('an argument takes a key out', () => {
  const own =
    'run: {folder: out, seed: 7}\noptimizer: {learningRate: 1, clipNorm: 2}\nweights: {a: 1, b: 2}\nmodel: m\n';

  test('null or nothing: back to the default, left out, or null where that is a value', () => {
    for (const none of ['null', '', '~']) {
      expect(load([`run.seed=${none}`], own).run.seed).toBe(1);
      expect(load([`group=${none}`], own).group).toBeNull();
      expect(load([`optimizer.clipNorm=${none}`], own).optimizer.clipNorm).toBeNull();
      if (none !== '~') expect(load([`model=${none}`], own).model).toBeUndefined();
    }
  });

  test('whole sections, keys of maps, items of lists, and then other values', () => {
    expect(load(['optimizer=null'], own).optimizer).toEqual(Optimizer.parse({}));
    expect(load(['weights.a=null'], own).weights).toEqual({ b: 2 });
    expect(load(['weights=null', 'weights.c=3'], own).weights).toEqual({ c: 3 });
    expect(load(['tasks.0=null'], `${own}tasks: [x, y, z]`).tasks).toEqual(['y', 'z']);
    expect(load(['optimizer=null', 'optimizer.beta1=0.5'], own).optimizer).toMatchObject({
      learningRate: 3e-4,
      beta1: 0.5,
    });
  });

  test('a file of prompts replaces the tables that the configuration names, and the message says how', async () => {
    const seeded = 'run: {folder: out}\nprompts: {tables: s, templates: t, split: ppo}\n';
    expect(await problems(['prompts.file=mine.jsonl'], seeded)).toEqual([
      'argument "prompts.file=mine.jsonl": prompts: expected either file, or tables and templates, received file, tables, templates. On the command line key=null takes a key out, as prompts.tables=null.',
    ]);
    const own = load(['prompts.file=mine.jsonl', 'prompts.tables=null', 'prompts.templates=null'], seeded);
    expect(own.prompts).toEqual({ file: 'mine.jsonl', encoding: 'utf-8', badRows: 0.1, raw: false, split: 'ppo' });
    expect(load(['prompts=null'], seeded).prompts).toBeUndefined();
    expect(await problems(['prompts.templates=null'], seeded)).toEqual([
      expect.stringContaining('expected either file, or tables and templates, received tables.'),
    ]);
  });

  test('what must be there is missed, and what is unknown is named', async () => {
    expect(await problems(['run.folder=null'])).toEqual([
      expect.stringMatching(/^argument "run\.folder=null": run\.folder: is missing; /),
    ]);
    expect(await problems(['run.sed=null', 'optimiser.beta1=null'])).toEqual([
      'argument "run.sed=null": run.sed: unknown key. Did you mean run.seed?',
      'argument "optimiser.beta1=null": optimiser: unknown key. Did you mean optimizer?',
    ]);
    expect(await problems(['weights.c=null'], own)).toEqual([
      'argument "weights.c=null": there is no "c" to take out; weights has a, b. Correct the name.',
    ]);
    expect(await problems(['tasks.2=null'], `${own}tasks: [x, y]`)).toEqual([
      'argument "tasks.2=null": "2" is no position in a list of 2. Count from 0, or give the whole list: key=[a, b].',
    ]);
  });
});

describe('lists and keys', () => {
  test('an item is set, added at the end, or begins a list', () => {
    expect(load(['tasks.0=x'], 'run: {folder: o}\ntasks: [a]').tasks).toEqual(['x']);
    expect(load(['tasks.1=x', 'tasks.2=2'], 'run: {folder: o}\ntasks: [a]').tasks).toEqual(['a', 'x', '2']);
    expect(load(['tasks.0=x']).tasks).toEqual(['x', 'b']);
    expect(load(['shots.0=1', 'shots.1=2']).shots).toEqual([1, 2]);
  });

  test('slips give the remedy', async () => {
    expect(await problems(['tasks[0]=x', 'weights[a]=1', 'run.=3'])).toEqual([
      'argument "tasks[0]=x": items of a list are counted with dots. Write tasks.0=….',
      'argument "weights[a]=1": items of a list are counted with dots. Write weights.a=….',
      'argument "run.=3": expected key.path=value, e.g. optimizer.learningRate=1e-3.',
    ]);
    expect(await problems(['tasks.one=x', 'run.folder=o'])).toEqual([
      'argument "tasks.one=x": "one" is no position in a list of 2. Count from 0 (2 adds one at the end), or give the whole list: key=[a, b].',
    ]);
    expect(load(['run.seed =3', ' run.folder=x']).run).toEqual({ seed: 3, folder: 'x' });
  });
});

test('numbers that are none are named as they are, and not as null', async () => {
  const received = async (typed: string) => (await problems([`weights.a=${typed}`]))[0]?.replace(/^.*received /, '');
  expect([await received('.nan'), await received('-.inf'), await received('1e999')]).toEqual([
    'NaN.',
    '-Infinity.',
    'Infinity.',
  ]);
});

describe('~ in paths', () => {
  test('is the home folder, in arguments and in files', () => {
    expect(load(['model=~/models/a', 'run.folder=~']).run.folder).toBe(homedir());
    expect(load(['model=~/models/a #1']).model).toBe(join(homedir(), 'models/a #1'));
    expect(load(['others.dpo=~/a #1', 'others.b=c: d']).others).toEqual({ dpo: join(homedir(), 'a #1'), b: 'c: d' });
    expect(load(['others={dpo: ~/a}']).others).toEqual({ dpo: join(homedir(), 'a') });
    expect(load([], 'run: {folder: ~/runs}').run.folder).toBe(join(homedir(), 'runs'));
    expect(load([], 'run: {folder: a/~/b}').run.folder).toBe('a/~/b');
  });

  test('of another user is refused, and alone in a file it is null', async () => {
    expect(await problems(['model=~bob/m'])).toEqual([
      'argument "model=~bob/m": model: expected ~/ for your home folder, or ./~name for a name that begins with ~.',
    ]);
    expect(await problems([], 'run: {folder: ~}')).toEqual([
      'a.yaml:1:15 run.folder: expected text, received null. In YAML ~ is null; the home folder is ~/.',
    ]);
  });
});
