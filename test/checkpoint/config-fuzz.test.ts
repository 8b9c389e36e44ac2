/** config.json with every field replaced by values of every type: read as something whole, or refused in words. */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readModelConfig } from '../../src/checkpoint/model-config.ts';
import { CheckpointError } from '../../src/errors.ts';
import { fixturePath } from '../helpers/fixtures.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';

type Json = Record<string, unknown>;

const inFolder = useTemporaryFolder();
const families = [
  ...['gpt2', 'gpt-neo', 'gpt-neox', 'opt', 'llama2', 'llama3', 'mistral', 'qwen2', 'qwen3'],
  ...['gemma2', 'gemma3', 'phi3'],
];
const configOf = (family: string): Json =>
  JSON.parse(readFileSync(fixturePath(`families/${family}/config.json`), 'utf8')) as Json;

/** The dimensions, or the problems. */
function read(config: Json): object {
  writeFileSync(inFolder('config.json'), JSON.stringify(config));
  try {
    return readModelConfig(inFolder('config.json'));
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    return error.problems;
  }
}

const VALUES: readonly unknown[] = [
  ...[null, true, false, 0, -1, 1, 0.5, 7.5, 1e8, 1e10, 1e308, '', 'global', 'ab', '2'],
  ...[[], [5], [[]], [['global']], [[['global'], 1e10]], [[5, 1]], [null], ['full_attention', 'full_attention']],
  ...[{}, { toString: 1 }, { rope_type: 'linear' }, { factor: 0 }, { rope_type: 'linear', factor: 1e308 }],
];

/** Every configuration with one field, or one within `rope_parameters` and `rope_scaling`, replaced or taken out. */
function* spoilt(config: Json): Generator<Json> {
  const { rope_parameters: rope = {} } = config as { rope_parameters?: Json };
  const scaling = { rope_type: 'linear', factor: 2 };
  const more = [
    'rope_scaling',
    'sliding_window',
    'layer_types',
    'attention_layers',
    'plumbline',
    'architectures',
    'auto_map',
  ];
  for (const value of [undefined, ...VALUES]) {
    for (const key of new Set([...Object.keys(config), ...more])) yield { ...config, [key]: value };
    for (const key of Object.keys(rope)) yield { ...config, rope_parameters: { ...rope, [key]: value } };
    for (const key of Object.keys(scaling)) yield { ...config, rope_scaling: { ...scaling, [key]: value } };
    const normalisation = { mean: 0, deviation: 1 };
    for (const key of Object.keys(normalisation)) {
      yield { ...config, plumbline: { reward_normalisation: { ...normalisation, [key]: value } } };
    }
  }
}

const numbersIn = (value: unknown): number[] => {
  if (typeof value === 'number') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(numbersIn) : [];
};

describe('a field of a wrong type or size', () => {
  it.each(families)('is refused in words, or the model is whole: %s', (family) => {
    const config = configOf(family);
    for (const changed of spoilt(config)) {
      const found = read(changed);
      if (Array.isArray(found)) {
        for (const problem of found as string[]) expect(problem).toMatch(/config\.json:? \S+: /);
        continue;
      }
      const { dimensions, normalisation } = found as ReturnType<typeof readModelConfig>;
      expect(numbersIn(dimensions).every((value) => Number.isFinite(value) && value > 0)).toBe(true);
      expect(Number.isFinite(normalisation.mean) && normalisation.deviation > 0).toBe(true);
      expect([0, dimensions.layers]).toContain(dimensions.windows.length);
    }
  });

  it.each<readonly [family: string, change: Json, problem: string]>([
    [
      'gpt-neo',
      { attention_types: 'global' },
      'attention_types: expected "global" or "local" for each of 2 layers, received "global".',
    ],
    [
      'mistral',
      { num_hidden_layers: 1e10 },
      'num_hidden_layers: expected a whole number from 1 to 10,000, received 10000000000.',
    ],
    [
      'qwen2',
      { layer_types: 'abc' },
      'layer_types: expected full_attention or sliding_attention for each of 3 layers, received "abc".',
    ],
    [
      'mistral',
      { sliding_window: '4' },
      'sliding_window: expected a whole number from 1 to 1,000,000,000, received "4".',
    ],
    ['llama2', { rms_norm_eps: -1 }, 'rms_norm_eps: expected a number above 0, received -1.'],
    [
      'llama2',
      { rope_scaling: { type: 'linear', factor: 0 } },
      'rope_scaling.factor: expected a number above 0, received 0.',
    ],
    [
      'llama3',
      { plumbline: { reward_normalisation: { mean: 0 } } },
      'plumbline.reward_normalisation.deviation: expected a number above 0, received nothing.',
    ],
    [
      'llama3',
      { plumbline: { reward_normalisation: { deviation: 1 } } },
      'plumbline.reward_normalisation.mean: expected a number, received nothing.',
    ],
  ])('is named: %s %j', async (family, change, problem) => {
    writeFileSync(inFolder('config.json'), JSON.stringify({ ...configOf(family), ...change }));
    const problems = await problemsOf(() => readModelConfig(inFolder('config.json')), inFolder());
    expect(problems).toContain(`config.json ${problem}`);
  });
});
