/** Configurations of every stage for a tiny world: a few steps each, everything else as the defaults have it. */
import { join } from 'node:path';
import type { Stage, StageConfig } from '../../src/run/stage.ts';
import { checkConfig } from '../../src/yaml/load-config.ts';
import { PretrainConfig } from '../../stages/0-pretrain.config.ts';
import { InstructConfig } from '../../stages/1-instruct.config.ts';
import { RewardConfig } from '../../stages/2-reward.config.ts';
import { PpoConfig } from '../../stages/3-ppo.config.ts';
import { EvaluateConfig } from '../../stages/4-evaluate.config.ts';
import { PreferencesConfig } from '../../stages/preferences.config.ts';
import type { TinyWorld } from './tiny-world.ts';

/** A change of a configuration: any part of it, wrong parts too. */
export type Changes = Readonly<Record<string, unknown>>;

/** Where the runs of a chain lie. */
export interface TinyRuns {
  readonly instruct: string;
  readonly reward: string;
  readonly ppo: string;
}

export function tinyRuns(folder: string): TinyRuns {
  return { instruct: join(folder, 'instruct'), reward: join(folder, 'reward'), ppo: join(folder, 'ppo') };
}

/** Merges objects; lists and plain values of the second replace those of the first. */
function merge(base: Changes, changes: Changes): Changes {
  const isObject = (value: unknown): value is Changes =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(changes)) {
    const before = merged[key];
    merged[key] = isObject(before) && isObject(value) ? merge(before, value) : value;
  }
  return merged;
}

export function pretrainSettings(world: TinyWorld, folder: string, changes: Changes = {}): Changes {
  const { corpus, heldOut, tokenizer } = world;
  const model = { layers: 2, heads: 4, kvHeads: 2, dModel: 32, dFf: 64, context: 64 };
  const training = { steps: 4, rows: 4, length: 64 };
  const settings = { run: { folder }, corpus, heldOut, tokenizer, model, training };
  return merge(
    { ...settings, optimizer: { learningRate: 3e-3, warmupSteps: 0 }, evaluation: { everySteps: 2 } },
    changes,
  );
}

export function instructSettings(world: TinyWorld, folder: string, changes: Changes = {}): Changes {
  const settings = {
    run: { folder },
    model: world.base,
    data: { tables: world.tables, templates: world.templates, cache: join(world.path, 'cache') },
    mixture: { examples: 24 },
    sequence: { length: 144 },
    training: { rows: 4, epochs: 1 },
    optimizer: { learningRate: 1e-2, warmupSteps: 0 },
    evaluation: { everySteps: 2, rowsPerTask: 3 },
  };
  return merge(settings, changes);
}

export function preferencesSettings(world: TinyWorld, model: string, folder: string, changes: Changes = {}): Changes {
  const settings = {
    run: { folder },
    model,
    prompts: promptsOf(world, 'reward'),
    sampling: { maxNewTokens: 12 },
    label: { tie: 0 },
    heldOutShare: 0.3,
  };
  return merge(settings, changes);
}

export function rewardSettings(world: TinyWorld, model: string, folder: string, changes: Changes = {}): Changes {
  const settings = {
    run: { folder },
    model,
    pairs: world.pairs,
    heldOut: world.heldOutPairs,
    training: { pairs: 3, epochs: 2 },
    optimizer: { learningRate: 3e-3, warmupSteps: 0 },
    evaluation: { everySteps: 2 },
  };
  return merge(settings, changes);
}

export function ppoSettings(world: TinyWorld, runs: TinyRuns, folder: string, changes: Changes = {}): Changes {
  const settings = {
    run: { folder },
    policy: runs.instruct,
    reward: runs.reward,
    prompts: promptsOf(world, 'ppo'),
    heldOut: promptsOf(world, 'validation'),
    sampling: { maxNewTokens: 8, temperature: 1 },
    rollout: { iterations: 2, batch: 6 },
    updates: { epochs: 2, minibatches: 2 },
    optimizer: { learningRate: 1e-3 },
    evaluation: { everySteps: 2, prompts: 4 },
  };
  return merge(settings, changes);
}

export function evaluateSettings(world: TinyWorld, runs: TinyRuns, folder: string, changes: Changes = {}): Changes {
  const settings = {
    run: { folder },
    base: world.base,
    instruct: runs.instruct,
    policies: { ppo: runs.ppo },
    reward: runs.reward,
    data: { tables: world.tables, templates: world.templates },
    rowsPerTask: 4,
    prompts: promptsOf(world, 'test'),
    promptCount: 6,
    sampling: { maxNewTokens: 8, temperature: 1 },
  };
  return merge(settings, changes);
}

function promptsOf({ tables, templates }: TinyWorld, split: string): Changes {
  return { tables, templates, split };
}

/** Checked configurations; the settings are typed by what the schema makes of them. */
export const pretrainConfig = (...settings: Parameters<typeof pretrainSettings>): PretrainConfig =>
  checkConfig(PretrainConfig, pretrainSettings(...settings) as never, 'test');
export const instructConfig = (...settings: Parameters<typeof instructSettings>): InstructConfig =>
  checkConfig(InstructConfig, instructSettings(...settings) as never, 'test');
export const preferencesConfig = (...settings: Parameters<typeof preferencesSettings>): PreferencesConfig =>
  checkConfig(PreferencesConfig, preferencesSettings(...settings) as never, 'test');
export const rewardConfig = (...settings: Parameters<typeof rewardSettings>): RewardConfig =>
  checkConfig(RewardConfig, rewardSettings(...settings) as never, 'test');
/** Of any stage that learns from preference pairs: the settings of stage 2 but for what is its alone. */
export const pairConfig = <Config extends StageConfig>(
  { schema }: Pick<Stage<Config>, 'schema'>,
  ...settings: Parameters<typeof rewardSettings>
): Config => checkConfig(schema, rewardSettings(...settings) as never, 'test');
export const ppoConfig = (...settings: Parameters<typeof ppoSettings>): PpoConfig =>
  checkConfig(PpoConfig, ppoSettings(...settings) as never, 'test');
export const evaluateConfig = (...settings: Parameters<typeof evaluateSettings>): EvaluateConfig =>
  checkConfig(EvaluateConfig, evaluateSettings(...settings) as never, 'test');
