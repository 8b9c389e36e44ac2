import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { configHelp } from '../../src/run/show-config.ts';
import { loadConfig } from '../../src/yaml/load-config.ts';
import { describeCondition, parseCondition } from '../../src/yaml/read-conditions.ts';
import { schemaFields } from '../../src/yaml/schema-fields.ts';
import { PretrainConfig } from '../../stages/0-pretrain.config.ts';
import { InstructConfig } from '../../stages/1-instruct.config.ts';
import { RewardConfig } from '../../stages/2-reward.config.ts';
import { PpoConfig } from '../../stages/3-ppo.config.ts';
import { EvaluateConfig } from '../../stages/4-evaluate.config.ts';
import { DistillConfig } from '../../stages/distill.config.ts';
import { problemsOf } from '../helpers/temporary-folder.ts';

const schemas: Record<string, z.ZodType> = { pretrain: PretrainConfig, instruct: InstructConfig, reward: RewardConfig, ppo: PpoConfig, evaluate: EvaluateConfig, distill: DistillConfig }; // biome-ignore format: one line

/** What is wrong with the shipped configuration of a stage once these arguments are added. */
const problems = (stage: string, overrides: readonly string[], file = 'tiny'): Promise<string[]> =>
  problemsOf(() => loadConfig(schemas[stage]!, `configs/${stage}/${file}.yaml`, overrides), '');
const tail = (key: string) => `Change one of the two; ${key}=null takes this key out on the command line.`;

test('a key that nothing reads is refused with what would read it, all at once', async () => {
  expect(
    await problems('distill', [
      'distill.alpha=0',
      'distill.temperature=4',
      'optimizer.schedule=constant',
      'optimizer.finalRate=0.1',
    ]),
  ).toEqual([
    `argument "distill.temperature=4": distill.temperature: has no effect: it is read only with distill.alpha other than 0, and distill.alpha is 0. ${tail('distill.temperature')}`,
    `argument "optimizer.finalRate=0.1": optimizer.finalRate: has no effect: it is read only with optimizer.schedule linear or cosine, and optimizer.schedule is constant. ${tail('optimizer.finalRate')}`,
  ]);
});

describe('refused', () => {
  test.each([
    ['ppo', ['kl.weight=0', 'kl.estimator=k3'], 'kl.estimator', 'kl.weight other than 0'],
    [
      'ppo',
      ['valueOptimizer.schedule=constant', 'valueOptimizer.finalRate=0.5'],
      'valueOptimizer.finalRate',
      'valueOptimizer.schedule linear or cosine',
    ],
    [
      'evaluate',
      ['chainOfThought.samples=1', 'chainOfThought.temperature=1'],
      'chainOfThought.temperature',
      'chainOfThought.samples other than 0 or 1',
    ],
    ['evaluate', ['dev.split=test'], 'dev.split', 'dev.rowsPerTask other than 0'],
    [
      'evaluate',
      ['prompts=null', 'policies=null', 'reward=null', 'sampling.topK=5'],
      'sampling.topK',
      'prompts other than none',
    ],
    ['distill', ['distill.alpha=0', 'distill.temperature=4'], 'distill.temperature', 'distill.alpha other than 0'],
  ] as const)('%s %o', async (stage, overrides, key, needs) => {
    // biome-ignore format: a table
    expect(await problems(stage, overrides)).toEqual([
      expect.stringContaining(`${key}: has no effect: it is read only with ${needs}, and `),
    ]);
  });
});

test('nothing is said of keys that are read, or at their defaults', async () => {
  expect(await problems('instruct', ['tuning.method=lora', 'tuning.lora.rank=4'])).toEqual([]);
  expect(await problems('instruct', ['optimizer.finalRate=0', 'optimizer.schedule=constant'])).toEqual([]);
  expect(await problems('pretrain', ['optimizer.schedule=constant'], 'base')).toEqual([]);
  expect(await problems('ppo', ['kl.control=adaptive', 'kl.horizon=5000', 'kl.target=3'])).toEqual([]);
  // A file that sets the key can be made to forget it.
  expect(await problems('instruct', ['tuning.method=full'], 'stories')).toHaveLength(1);
  expect(await problems('instruct', ['tuning=null'], 'stories')).toEqual([]);
  expect(await problems('instruct', ['tuning.method=full', 'tuning.lora=null'], 'stories')).toEqual([]);
});

test('every condition of a schema names a key that is there and values that it can have', () => {
  for (const [name, schema] of Object.entries(schemas)) {
    const fields = schemaFields(schema);
    for (const { path, readWhen } of fields) {
      for (const text of readWhen) {
        const { path: other, values } = parseCondition(text);
        const found = fields.filter((field) => field.path === other || field.path.startsWith(`${other}.`));
        expect(found.length, `${name} ${path} ${text}`).toBeGreaterThan(0);
        const choices = /^one of (.*)$/.exec(found[0]?.expects ?? '')?.[1]?.split(', ');
        for (const value of choices === undefined ? [] : values) expect(choices, `${path} ${text}`).toContain(value);
      }
    }
  }
  expect(() => parseCondition('method is lora')).toThrow(TypeError);
  expect(describeCondition('prompts!=null')).toBe('prompts other than none');
});

test('--help tells with which settings a key is read', () => {
  expect(configHelp(PpoConfig).filter((line) => line.startsWith('  kl.horizon'))).toEqual([
    '  kl.horizon  (number above 0; default 10000; read only with kl.control adaptive)',
  ]);
  expect(configHelp(PpoConfig).filter((line) => line.startsWith('  kl.control'))).toEqual([
    '  kl.control  (one of fixed, adaptive; default fixed)',
  ]);
});

test('shipped configurations set nothing in vain', async () => {
  for (const stage of Object.keys(schemas)) {
    for (const file of readdirSync(join('configs', stage)))
      expect(await problems(stage, [], file.replace('.yaml', ''))).toEqual([]);
  }
});
