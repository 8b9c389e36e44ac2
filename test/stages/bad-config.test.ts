/** Mistakes in the configuration of a stage: every one is named with its line before anything is opened. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { AlignConfig } from '../../scripts/align.config.ts';
import { align } from '../../scripts/align.ts';
import { ConfigError } from '../../src/errors.ts';
import { openProgress } from '../../src/terminal/progress.ts';
import { checkConfig, loadConfig } from '../../src/yaml/load-config.ts';
import { PretrainConfig } from '../../stages/0-pretrain.config.ts';
import { InstructConfig } from '../../stages/1-instruct.config.ts';
import { RewardConfig } from '../../stages/2-reward.config.ts';
import { PpoConfig } from '../../stages/3-ppo.config.ts';
import { EvaluateConfig } from '../../stages/4-evaluate.config.ts';
import { PreferencesConfig } from '../../stages/preferences.config.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import type { Changes } from '../helpers/tiny-configs.ts';
import {
  evaluateSettings,
  instructSettings,
  ppoSettings,
  preferencesSettings,
  pretrainSettings,
  rewardSettings,
  tinyRuns,
} from '../helpers/tiny-configs.ts';
import type { TinyWorld } from '../helpers/tiny-world.ts';

const path = useTemporaryFolder();
// Nothing is opened, so nothing need be there.
const nowhere: TinyWorld = {
  path: 'w',
  corpus: 'c',
  heldOut: 'h',
  tokenizer: 't',
  base: 'b',
  tables: 's',
  templates: 't',
  pairs: 'p',
  heldOutPairs: 'q',
};

/** The problems of a configuration file; each top-level key stands on a line of its own. */
const problems = (schema: z.ZodType, settings: Changes, overrides: readonly string[] = []): Promise<string[]> => {
  const lines = Object.entries(settings).map(([key, value]) => `${key}: ${JSON.stringify(value)}`);
  writeFileSync(path('config.yaml'), lines.join('\n'));
  return problemsOf(() => loadConfig(schema, path('config.yaml'), overrides), path());
};

describe('a misspelt key is named with its line and the key that was meant', () => {
  it('at the top of a file', async () => {
    const { optimizer, ...rest } = pretrainSettings(nowhere, 'run');
    expect(await problems(PretrainConfig, { ...rest, optimiser: optimizer })).toEqual([
      'config.yaml:8:1 optimiser: unknown key. Did you mean optimizer?',
    ]);
  });

  it('in a section, beside other mistakes', async () => {
    const changes = { training: { epochs: -1, row: 4 }, sequence: { overlong: 'cut' } };
    expect(await problems(InstructConfig, instructSettings(nowhere, 'run', changes))).toEqual([
      'config.yaml:5:36 sequence.overlong: expected one of "error", "drop", "left", "right", "turns", received "cut".',
      'config.yaml:6:30 training.epochs: expected a number above 0, received -1.',
      'config.yaml:6:33 training.row: unknown key. Did you mean training.rows?',
    ]);
  });

  it('in an override', async () => {
    expect(await problems(RewardConfig, rewardSettings(nowhere, 'b', 'run'), ['loss.centering=0.1'])).toEqual([
      'argument "loss.centering=0.1": loss.centering: unknown key. Did you mean loss.centring?',
    ]);
  });
});

it('a policy by the name of another key, prompts without a reward model, and the old key of the policy', async () => {
  const settings = evaluateSettings(nowhere, tinyRuns('r'), 'run', { policies: { base: 'x' } });
  expect(await problems(EvaluateConfig, settings)).toEqual([
    expect.stringMatching(/policies\.base: expected another name: base is a key beside policies\.$/),
  ]);
  const { reward: _, policies: __, ...rest } = evaluateSettings(nowhere, tinyRuns('r'), 'run');
  expect(await problems(EvaluateConfig, rest)).toEqual([
    expect.stringMatching(/reward: reward and prompts belong together: give both, or neither/),
  ]);
  expect(await problems(EvaluateConfig, { ...rest, reward: 'r', ppo: 'x' })).toEqual([
    'config.yaml:10:1 ppo: is now policies.ppo. Write policies.ppo: "x" instead.',
  ]);
});

describe('an old key names the new one with its value', () => {
  it.each([
    [
      PretrainConfig,
      pretrainSettings(nowhere, 'run', { training: { accumulate: 2 } }),
      'training.accumulate: is now training.microBatch. Write training.microBatch: 2 instead.',
    ],
    [
      InstructConfig,
      instructSettings(nowhere, 'run', { training: { accumulate: 1 } }),
      'training.accumulate: is now training.microBatch. Write training.microBatch: null instead.',
    ],
    [
      InstructConfig,
      instructSettings(nowhere, 'run', { training: { rows: undefined, accumulate: 4 } }),
      'training.accumulate: is now training.microBatch. Write training.microBatch: 2 instead.',
    ],
    [
      InstructConfig,
      instructSettings(nowhere, 'run', { training: { accumulate: 3 } }),
      'training.accumulate: is now training.microBatch. Write training.microBatch instead.',
    ],
    [
      RewardConfig,
      rewardSettings(nowhere, 'b', 'run', { training: { microBatchPairs: 8 } }),
      'training.microBatchPairs: is now training.microBatch. Write training.microBatch: 8 instead.',
    ],
    [
      PpoConfig,
      ppoSettings(nowhere, tinyRuns('r'), 'run', { updates: { microBatchRows: 5 } }),
      'updates.microBatchRows: is now updates.microBatch. Write updates.microBatch: 5 instead.',
    ],
    [
      PpoConfig,
      ppoSettings(nowhere, tinyRuns('r'), 'run', { evaluation: { everyIterations: 4 } }),
      'evaluation.everyIterations: is now evaluation.everySteps. Write evaluation.everySteps: 4 instead.',
    ],
  ])('%#', async (schema, settings, expected) => {
    expect((await problems(schema, settings)).map((line) => line.replace(/^\S+ /, ''))).toEqual([expected]);
  });

  it('in an argument', async () => {
    expect(await problems(PretrainConfig, pretrainSettings(nowhere, 'run'), ['training.accumulate=4'])).toEqual([
      'argument "training.accumulate=4": training.accumulate: is now training.microBatch. Write training.microBatch: 1 instead.',
    ]);
  });
});

describe('values that do not fit each other', () => {
  it('in stage 0', async () => {
    const changes = { model: { heads: 5, kvHeads: 2 }, training: { length: 65, microBatch: 3 } };
    expect(await problems(PretrainConfig, pretrainSettings(nowhere, 'run', changes))).toMatchInlineSnapshot(`
      [
        "config.yaml:5:28 model.heads: expected a divisor of dModel 32, received 5.",
        "config.yaml:5:40 model.kvHeads: expected a divisor of heads 5, received 2.",
        "config.yaml:6:40 training.length: expected at most model.context 64, received 65.",
        "config.yaml:6:56 training.microBatch: expected a divisor of training.rows 4, received 3.",
      ]
    `);
    const gpt2 = { model: { style: 'gpt2' } };
    expect(await problems(PretrainConfig, pretrainSettings(nowhere, 'run', gpt2))).toMatchInlineSnapshot(`
      [
        "config.yaml:5:40 model.kvHeads: expected 4, as gpt2 has no grouped heads, received 2.",
      ]
    `);
  });

  it('in stage 1', async () => {
    const changes = { training: { microBatch: 3 } };
    expect(await problems(InstructConfig, instructSettings(nowhere, 'run', changes))).toMatchInlineSnapshot(`
      [
        "config.yaml:6:45 training.microBatch: expected a divisor of training.rows 4, received 3.",
      ]
    `);
  });

  it('in the preference pairs', async () => {
    const changes = { responsesPerPrompt: 3, pairsPerPrompt: 4, heldOutShare: 1 };
    expect(await problems(PreferencesConfig, preferencesSettings(nowhere, 'm', 'run', changes))).toMatchInlineSnapshot(`
      [
        "config.yaml:6:15 heldOutShare: expected a number below 1, received 1.",
        "config.yaml:8:17 pairsPerPrompt: expected at most 3, the number of pairs of 3 answers, received 4.",
      ]
    `);
    const fixed = { ...changes, heldOutShare: 0.5 };
    expect(await problems(PreferencesConfig, preferencesSettings(nowhere, 'm', 'run', fixed))).toMatchInlineSnapshot(`
      [
        "config.yaml:8:17 pairsPerPrompt: expected at most 3, the number of pairs of 3 answers, received 4.",
      ]
    `);
  });

  it.each([
    [{ weight: 0 }, /kl\.weight: expected a number above 0, received 0\.$/],
    [{ horizon: 5 }, /kl\.horizon: expected at least rollout\.batch 6: .*; received 5\.$/],
    [{ horizon: 1 }, /kl\.horizon: expected at least rollout\.batch 6: .*; received 1\.$/],
    [{ target: 0 }, /kl\.target: expected a number above 0, received 0\.$/],
    [{ target: -6 }, /kl\.target: expected a number above 0, received -6\.$/],
  ])('in an adaptive KL weight that could not stay positive, or not move: %o', async (kl, problem) => {
    const changes = { kl: { control: 'adaptive', ...kl } };
    const found = await problems(PpoConfig, ppoSettings(nowhere, tinyRuns('r'), 'run', changes));
    expect(found).toEqual([expect.stringMatching(problem)]);
  });

  it('in stage 3', async () => {
    const changes = { updates: { minibatches: 4 } };
    expect(await problems(PpoConfig, ppoSettings(nowhere, tinyRuns('r'), 'run', changes))).toMatchInlineSnapshot(`
      [
        "config.yaml:8:36 updates.minibatches: expected a divisor of rollout.batch 6, received 4.",
      ]
    `);
    const frozen = { memory: { frozen: 'bfloat16' } };
    expect(await problems(PpoConfig, ppoSettings(nowhere, tinyRuns('r'), 'run', frozen))).toEqual([
      'config.yaml:11:19 memory.frozen: expected float32 with tuning.method full: the reference would be rounded and the policy not, so that their KL would not start at 0. With tuning.method lora they share what is rounded.',
    ]);
    const trainedOn = { heldOut: { split: 'ppo' } };
    expect(await problems(PpoConfig, ppoSettings(nowhere, tinyRuns('r'), 'run', trainedOn))).toEqual([
      expect.stringMatching(
        /^config\.yaml:5:\d+ heldOut\.split: expected another split than prompts\.split, received ppo: its prompts are trained on\.$/,
      ),
    ]);
    const range = { updates: { clipRange: 1 }, gae: { lambda: 1.5 }, sampling: { topP: 0, temperature: 0 } };
    expect(await problems(PpoConfig, ppoSettings(nowhere, tinyRuns('r'), 'run', range))).toMatchInlineSnapshot(`
      [
        "config.yaml:6:43 sampling.temperature: expected a number above 0, received 0.",
        "config.yaml:6:52 sampling.topP: expected a number above 0, received 0.",
        "config.yaml:11:16 gae.lambda: expected a number of at most 1, received 1.5.",
        "config.yaml:8:50 updates.clipRange: expected a number below 1, received 1.",
      ]
    `);
  });
});

describe('the chain', () => {
  it('names a misspelt key of its last stage before the first stage starts', async () => {
    mkdirSync(path('configs'));
    const stages = ['instruct', 'preferences', 'reward', 'ppo', 'evaluate'];
    const files = Object.fromEntries(stages.map((stage) => [stage, path('configs', `${stage}.yaml`)]));
    const runs = tinyRuns('r');
    const settings: Record<string, Changes> = {
      instruct: instructSettings(nowhere, 'run'),
      preferences: preferencesSettings(nowhere, 'm', 'run'),
      reward: rewardSettings(nowhere, 'm', 'run'),
      ppo: ppoSettings(nowhere, runs, 'run'),
      evaluate: evaluateSettings(nowhere, runs, 'run', { promptCout: 5 }),
    };
    for (const stage of stages) writeFileSync(path('configs', `${stage}.yaml`), JSON.stringify(settings[stage]));
    const config = checkConfig(
      AlignConfig,
      { run: { folder: path('chain') }, base: 'b', stages: files } as never,
      'test',
    );
    const run = (): Promise<unknown> => align(config, openProgress({ quiet: true }));
    await expect(run()).rejects.toThrow(ConfigError);
    expect(await problemsOf(run, path())).toEqual([
      expect.stringMatching(/^configs\/evaluate\.yaml:1:\d+ promptCout: unknown key\. Did you mean promptCount\?$/),
    ]);
    expect(existsSync(path('chain'))).toBe(false);
  });
});
