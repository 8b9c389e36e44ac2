/** Sections whose keys depend on one of them: what is said of keys of another variant, and what help and fields know. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { configHelp, describeChanges } from '../../src/run/show-config.ts';
import { checkConfig, loadConfig } from '../../src/yaml/load-config.ts';
import { schemaFields } from '../../src/yaml/schema-fields.ts';
import { InstructConfig } from '../../stages/1-instruct.config.ts';
import { RewardConfig } from '../../stages/2-reward.config.ts';
import { PpoConfig } from '../../stages/3-ppo.config.ts';
import { problemsOf } from '../helpers/temporary-folder.ts';

const schemas = { instruct: InstructConfig, reward: RewardConfig, ppo: PpoConfig };
const problems = (stage: keyof typeof schemas, overrides: readonly string[]): Promise<string[]> =>
  problemsOf(() => loadConfig(schemas[stage], `configs/${stage}/tiny.yaml`, overrides), '');

/** Two shapes of one section, one within the other's keys. */
const Config = z.strictObject({
  shape: z
    .discriminatedUnion('kind', [
      z.strictObject({
        kind: z.literal('round').default('round').describe('What shape.'),
        radius: z.number().default(1).describe('Metres.'),
        paint: z.strictObject({ colour: z.string().default('red'), shine: z.number().default(0) }).prefault({}),
      }),
      z.strictObject({
        kind: z.literal('square').describe('What shape.'),
        side: z.number().describe('Metres.'),
        paint: z.strictObject({ colour: z.string().default('red') }).prefault({}),
      }),
      z.strictObject({ kind: z.literal('line').describe('What shape.'), side: z.number().describe('Metres.') }),
    ])
    .prefault({}),
});
const problemsOfShape = (shape: unknown): Promise<string[]> =>
  problemsOf(() => checkConfig(Config, { shape } as never, 'here'), '');

test('the first variant is the default, and the others are chosen by their name', () => {
  const red = { colour: 'red', shine: 0 };
  expect(Config.parse({})).toEqual({ shape: { kind: 'round', radius: 1, paint: red } });
  expect(Config.parse({ shape: { radius: 2 } })).toEqual({ shape: { kind: 'round', radius: 2, paint: red } });
  expect(Config.parse({ shape: { kind: 'line', side: 2 } })).toEqual({ shape: { kind: 'line', side: 2 } });
});

test('fields are the keys of all variants, each with those that have it', () => {
  expect(schemaFields(Config).map(({ path, readWhen, isOfVariant }) => [path, isOfVariant, ...readWhen])).toEqual([
    ['shape.kind', false],
    ['shape.radius', true, 'shape.kind=round'],
    ['shape.paint.colour', true, 'shape.kind=round|square'],
    ['shape.paint.shine', true, 'shape.kind=round|square'],
    ['shape.side', true, 'shape.kind=square|line'],
  ]);
});

test('fields of a nested section have the condition of their own variant', () => {
  const conditions = Object.fromEntries(schemaFields(PpoConfig).map(({ path, readWhen }) => [path, readWhen]));
  expect(conditions).toMatchObject({
    'tuning.method': [],
    'tuning.rates.layerDecay': [],
    'tuning.rates.embeddings': ['tuning.method=full'],
    'tuning.lora.rank': ['tuning.method=lora'],
    'kl.weight': [],
    'kl.target': ['kl.control=adaptive'],
  });
});

test('help tells what a key chooses among, and with which choice a key is there', () => {
  expect(configHelp(Config).filter((line) => line.startsWith('  shape'))).toEqual([
    '  shape.kind  (one of round, square, line; default round)',
    '  shape.radius  (number; default 1; read only with shape.kind round)',
    '  shape.paint.colour  (string; default red; read only with shape.kind round or square)',
    '  shape.paint.shine  (number; default 0; read only with shape.kind round or square)',
    '  shape.side  (number; required; read only with shape.kind square or line)',
  ]);
  expect(describeChanges(Config, Config.parse({ shape: { kind: 'line', side: 2 } }))).toEqual([
    'shape.kind  line  (default round)',
    'shape.side  2',
  ]);
});

test('what is no variant is refused with the names of all, and the nearest', async () => {
  expect(await problemsOfShape({ kind: 'sqare', side: 1 })).toEqual([
    'here shape.kind: expected one of "round", "square", "line", received "sqare". Did you mean square?',
  ]);
  expect(await problemsOfShape(3)).toEqual(['here shape: expected a section with keys, received 3.']);
  expect(await problemsOfShape({ kind: 'square' })).toEqual([
    'here shape.side: is missing; expected a number. Metres.',
  ]);
  expect(await problemsOfShape({ radus: 1 })).toEqual(['here shape.radus: unknown key. Did you mean shape.radius?']);
});

describe('a key of another variant is refused by name', () => {
  test.each([
    ['instruct', ['tuning.method=lora', 'tuning.freeze.layers=1'], 'tuning.freeze', 'tuning.method full', 'lora'],
    [
      'instruct',
      ['tuning.method=lora', 'tuning.rates.embeddings=0'],
      'tuning.rates.embeddings',
      'tuning.method full',
      'lora',
    ],
    ['instruct', ['mixture.weights={chat: 1}'], 'mixture.weights', 'mixture.rule weights', 'proportional'],
    [
      'instruct',
      ['mixture.rule=weights', 'mixture.weights={chat: 1}', 'mixture.cap=null', 'mixture.temperature=2'],
      'mixture.temperature',
      'mixture.rule proportional',
      'weights',
    ],
    ['reward', ['tuning.lora.alpha=3'], 'tuning.lora', 'tuning.method lora', 'full'],
    ['ppo', ['kl.horizon=5000'], 'kl.horizon', 'kl.control adaptive', 'fixed'],
    ['ppo', ['kl.control=fixed', 'kl.target=3'], 'kl.target', 'kl.control adaptive', 'fixed'],
  ] as const)('%s %o', async (stage, overrides, key, needs, is) => {
    const chooser = needs.split(' ')[0];
    expect(await problems(stage, overrides)).toEqual([
      `argument "${overrides.at(-1)}": ${key}: has no effect: it is read only with ${needs}, and ${chooser} is ${is}. Change one of the two; ${key}=null takes this key out on the command line.`,
    ]);
  });
});

test('a key of another variant can be taken out with an argument', async () => {
  const stories = (overrides: readonly string[]) =>
    problemsOf(() => loadConfig(InstructConfig, 'configs/instruct/stories.yaml', overrides), '');
  expect(await stories(['tuning.method=full'])).toEqual([expect.stringContaining('tuning.lora: has no effect')]);
  expect(await stories(['tuning.method=full', 'tuning.lora=null'])).toEqual([]);
});
