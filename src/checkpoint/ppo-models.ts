/** The four models of PPO, each whole, or as adapters and heads on one frozen trunk. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelDimensions } from '../model/dimensions.ts';
import { initialValuesOf } from '../model/initialize.ts';
import type { Model, TrainingPlan } from '../model/model.ts';
import { adaptModel, scaleScores, trainNothing, withoutAdapters } from '../model/model.ts';
import type { Random } from '../random.ts';
import { parameterValues, readParameters } from '../tensor/parameters.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { readAdapterFolder } from './adapter-folder.ts';
import type { RewardNormalisation } from './model-config.ts';
import { readModelConfig } from './model-config.ts';
import { ADAPTER_FOLDER, loadModelFolder } from './model-folder.ts';
import type { MemorySettings, TuningSettings } from './training-plan.ts';
import { trainingPlan } from './training-plan.ts';

/** Where the models come from. */
export interface PpoSources {
  /** Folder of the instruction-tuned model. */
  readonly policy: string;
  /** Folder of the reward model. */
  readonly reward: string;
  /** True where the reward model has adapters that were trained on the very weights the policy starts from. */
  readonly sameTrunk: boolean;
  readonly tokenizer: Tokenizer;
  /** Hears what is unusual about the files and was understood. */
  readonly say?: (line: string) => void;
}

/** What PPO starts with. The reference and the reward model stay as they are. */
export interface PpoStart {
  readonly policy: Model;
  readonly reference: Model;
  readonly critic: Model;
  readonly reward: Model;
  readonly normalisation: RewardNormalisation;
  /** Models in memory: 4, or under adapters 1 or 2. */
  readonly trunks: number;
}

/** Names of the plans of the two models that are trained. */
export interface PpoPlans {
  readonly policy: TrainingPlan;
  readonly critic: TrainingPlan;
}

/** The two models that are trained, known before any weights are read. */
export interface PlannedPpo {
  readonly policy: { readonly dimensions: ModelDimensions; readonly plan: TrainingPlan };
  readonly critic: { readonly dimensions: ModelDimensions; readonly plan: TrainingPlan };
  /** True where the reward model changes the policy's own trunk. */
  readonly sameTrunk: boolean;
}

/**
 * Plans policy and critic; the critic starts as the reward model.
 * @param reward the reward model's folder, and whether it was made from the very weights the policy starts from
 * @throws ConfigError as `trainingPlan`
 */
export function planPpo(
  dimensions: { readonly policy: ModelDimensions; readonly reward: ModelDimensions },
  reward: { readonly folder: string; readonly isOfPolicy: boolean },
  tuning: TuningSettings,
  memory: MemorySettings,
): PlannedPpo {
  const sameTrunk = reward.isOfPolicy && existsSync(join(reward.folder, ADAPTER_FOLDER));
  const criticPlan = trainingPlan(dimensions.reward, 'score', tuning, memory);
  return {
    policy: { dimensions: dimensions.policy, plan: trainingPlan(dimensions.policy, 'tokens', tuning, memory) },
    critic: {
      dimensions: dimensions.reward,
      plan: planOfCritic(criticPlan, { reward: reward.folder, sameTrunk }, dimensions.reward),
    },
    sameTrunk,
  };
}

/**
 * What the critic's scores are multiplied with at the start. Returns are on the scale of normalised scores, and a critic on
 * another would begin worse than a constant; so would one with a head that is drawn, which begins as 0.
 */
function criticScale({ head }: Model, { deviation }: RewardNormalisation): number {
  return head === 'score' ? 1 / deviation : 0;
}

/** Each model with weights of its own. */
function loadWhole({ policy, reward, tokenizer, say }: PpoSources, plans: PpoPlans, random: Random): PpoStart {
  const frozen = trainNothing(plans.policy.frozenPrecision);
  const heard = { tokenizer, ...(say !== undefined && { say }) };
  const { model: scorer, normalisation } = loadModelFolder(reward, { plan: frozen, ...heard });
  const critic = loadModelFolder(reward, { plan: plans.critic, newHead: random, tokenizer }).model;
  const scaled = scaleScores(critic, criticScale(scorer, normalisation));
  critic.parameters.stored.dispose();
  return {
    policy: loadModelFolder(policy, { plan: plans.policy, ...heard }).model,
    reference: loadModelFolder(policy, { plan: frozen, tokenizer }).model,
    reward: scorer,
    critic: scaled,
    normalisation,
    trunks: 4,
  };
}

/**
 * The critic's plan with its actual adapters: on the trunk of the policy it starts as the reward model, whose rank
 * and matrices need not be those that PPO's configuration names.
 */
export function planOfCritic(
  plan: TrainingPlan,
  { reward, sameTrunk }: Pick<PpoSources, 'reward' | 'sameTrunk'>,
  dimensions: ModelDimensions,
): TrainingPlan {
  if (!sameTrunk || plan.adapters === null) return plan;
  return { ...plan, adapters: readAdapterFolder(join(reward, ADAPTER_FOLDER), dimensions).plan };
}

/** A line for people on what models under adapters share. */
export function describeTrunks({ trunks, critic }: PpoStart): string {
  if (trunks > 1) return 'the reward model has a trunk of its own: two models in memory, not one';
  const { adapters } = critic.parameters;
  return `one trunk in memory; the critic goes on with the reward model's adapters: rank ${adapters?.rank} on ${adapters?.places.length} matrices`;
}

/** Loads the four models: sharing a trunk where the plans have adapters, else each whole. */
export function startPpo(sources: PpoSources, plans: PpoPlans, random: Random): PpoStart {
  return plans.policy.adapters === null ? loadWhole(sources, plans, random) : loadAdapted(sources, plans, random);
}

/**
 * Policy, critic and reward model as low-rank changes to one frozen trunk, which is also the reference: memory for one
 * model. Where the reward model has a trunk of its own, it and the critic share that one.
 */
function loadAdapted(sources: PpoSources, plans: PpoPlans, random: Random): PpoStart {
  const { policy: folder, reward: rewardFolder, sameTrunk, tokenizer, say } = sources;
  const adapters = plans.policy.adapters;
  const criticAdapters = plans.critic.adapters;
  if (adapters === null || criticAdapters === null) throw new TypeError('loadAdapted: the plans have no adapters.');
  const { frozenPrecision, recompute } = plans.policy;
  const frozen = { ...trainNothing(frozenPrecision), recompute };
  const heard = { tokenizer, ...(say !== undefined && { say }) };
  const base = loadModelFolder(folder, { plan: frozen, ...heard }).model;
  const { normalisation } = readModelConfig(join(rewardFolder, 'config.json'));
  const reward = sameTrunk
    ? rewardOnTrunk(base, join(rewardFolder, ADAPTER_FOLDER))
    : loadModelFolder(rewardFolder, { plan: plans.critic, random, ...heard }).model;
  return {
    policy: adaptModel(base, 'tokens', adapters, (spec) => initialValuesOf(spec, base.dimensions, random)),
    reference: withoutAdapters(base),
    critic: scaleScores(withScoreHead(reward, random), criticScale(reward, normalisation)),
    reward,
    normalisation,
    trunks: sameTrunk ? 1 : 2,
  };
}

function rewardOnTrunk(base: Model, folder: string): Model {
  const { plan, head, read } = readAdapterFolder(folder, base.dimensions);
  return adaptModel(base, head, plan, read);
}

/** The same adapters on the same trunk with a score head: a new one where there is none. */
function withScoreHead(reward: Model, random: Random): Model {
  const { layout, adapters } = reward.parameters;
  if (reward.head === 'score' || adapters === null) return reward;
  const values = readParameters(reward.parameters);
  return adaptModel(reward, 'score', adapters, (spec) =>
    spec.role === 'head.score'
      ? initialValuesOf(spec, reward.dimensions, random)
      : parameterValues(layout, values, spec.name),
  );
}
