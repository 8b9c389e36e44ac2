/**
 * Our side of the cases: the public step functions, called as the stages call them. The one place that knows how, so that
 * another way of running them (compiled, another precision) is measured by changing this file.
 */

import type { Rollout } from '../../src/alignment/collect.ts';
import { collectRollout } from '../../src/alignment/collect.ts';
import { estimateAdvantages, whiten } from '../../src/alignment/gae.ts';
import { shapeRewards } from '../../src/alignment/shape-rewards.ts';
import { updateOnRollout } from '../../src/alignment/update-on-rollout.ts';
import { promptAndResponse } from '../../src/batch/response-batch.ts';
import { loadModelFolder } from '../../src/checkpoint/model-folder.ts';
import { trainingPlan } from '../../src/checkpoint/training-plan.ts';
import { generate } from '../../src/decoding/generate.ts';
import type { AdamW } from '../../src/execution/adamw.ts';
import { createAdamW, disposeAdamW } from '../../src/execution/adamw.ts';
import { learn } from '../../src/execution/learn.ts';
import { setCompilation } from '../../src/graph/mode.ts';
import type { ModelDimensions } from '../../src/model/dimensions.ts';
import { initialValues } from '../../src/model/initialize.ts';
import type { Model, TrainingPlan } from '../../src/model/model.ts';
import { disposeModel, modelFrom, trainNothing } from '../../src/model/model.ts';
import { parameterCount } from '../../src/model/parameter-table.ts';
import { nextToken } from '../../src/objectives/next-token.ts';
import { scorePairs } from '../../src/objectives/score-pairs.ts';
import { seededRandom } from '../../src/random.ts';
import { useNativeOps } from '../../src/tensor/native-ops.ts';
import { adapterSpecs, layoutOf } from '../../src/tensor/parameters.ts';
import { tf } from '../../src/tensor/tf.ts';
import type { Case, GenerateCase, LoraCase, OptimizerSettings, PpoCase, RewardCase, Rows, TrainCase } from './cases.ts';

/** How our steps run. */
export interface OurOptions {
  readonly compile: 'on' | 'off';
  readonly precision: 'f32' | 'bf16';
  /** With our own ops, where they could be built. */
  readonly native: boolean;
  /** False where products in bfloat16 are left to float32, as a stage leaves them. */
  readonly bfloat16Products?: boolean;
  /** With graphs that XLA has compiled; false where left out. */
  readonly xla?: boolean;
}

/** Our ways of running a step, by the name the tables give them. */
export const ourVariants: Readonly<Record<string, OurOptions>> = {
  native: { compile: 'on', precision: 'f32', native: true },
  'native bf16': { compile: 'on', precision: 'bf16', native: true },
  compiled: { compile: 'on', precision: 'f32', native: false },
  'compiled bf16': { compile: 'on', precision: 'bf16', native: false },
  eager: { compile: 'off', precision: 'f32', native: false },
};

/** One case set up. */
export interface OurCase {
  /** One step: its loss, or the tokens drawn. */
  step(): Promise<number>;
  close(): void;
}

const PAD = 0;
/** An id that never ends a response: no token has it. */
const NEVER = -1;
const STOP = { padId: PAD, eosId: NEVER };
const where = 'bench';

/** A case whose steps run in the given way, whatever ran before. */
export function openOurs(given: Case, options: OurOptions): OurCase {
  const opened = open(given);
  return {
    ...opened,
    step: () => {
      setCompilation(options);
      useNativeOps(options.native);
      return opened.step();
    },
  };
}

/** Waits for a GPU: where steps run eagerly, the update is still queued when the loss is there. */
export function settle(): void {
  tf.tidy(() => tf.add(tf.scalar(1), 1).dataSync());
}

function open(given: Case): OurCase {
  switch (given.task) {
    case 'train':
    case 'lora':
      return train(given);
    case 'reward':
      return reward(given);
    case 'generate':
      return draw(given);
    case 'ppo':
      return ppo(given);
  }
}

/** The weights that every side starts from. */
export function startingModel(given: Case, head: Model['head']): Model {
  const { dimensions, modelFolder } = given;
  if (modelFolder === undefined) return modelFrom(dimensions, head, drawnValues(dimensions, head));
  const plan = given.task === 'lora' ? loraPlan(given) : trainNothing();
  return loadModelFolder(modelFolder, { plan, random: seededRandom(2, 'bench adapters'), tokenizer: null }).model;
}

/** The last ones drawn: drawing 350 M numbers takes longer than all that is measured with them. */
let drawn: { readonly key: string; readonly values: Float32Array } | null = null;

function drawnValues(dimensions: ModelDimensions, head: Model['head']): Float32Array {
  const key = JSON.stringify([dimensions, head]);
  if (drawn?.key !== key) drawn = { key, values: initialValues(dimensions, head, seededRandom(2, `bench ${head}`)) };
  return drawn.values;
}

/** Parameters of one model of a case, those of adapters included. */
export function parametersOf(given: Case, head: Model['head']): number {
  return parameterCount(given.dimensions, head) + (given.task === 'lora' ? adapterParameters(given) : 0);
}

/** Parameters of the adapters alone. */
export function adapterParameters(given: LoraCase): number {
  const { adapters } = loraPlan(given);
  return adapters === null ? 0 : layoutOf(adapterSpecs(adapters)).total;
}

/** Adapters on every linear layer but the head, on a model that stays as it is. */
function loraPlan({ dimensions, rank, alpha }: LoraCase): TrainingPlan {
  const lora = { rank, alpha, dropout: 0, targets: ['all-linear'], rankStabilized: false };
  const tuning = { method: 'lora', lora, rates: { layerDecay: 1, head: 1 } } as const;
  return trainingPlan(dimensions, 'tokens', tuning, { recompute: false, frozen: 'float32' });
}

function optimizerOf(model: Model, settings: OptimizerSettings): AdamW {
  return createAdamW(model.parameters.layout, { ...settings, epsilonStyle: 'pytorch' });
}

function train(given: TrainCase | LoraCase): OurCase {
  const { rows, optimizer } = given;
  const model = startingModel(given, 'tokens');
  const adam = optimizerOf(model, optimizer);
  const length = rows[0]?.length ?? 0;
  const every = (value: (column: number) => number): Int32Array =>
    Int32Array.from(rows.flatMap((row) => row.map((_, column) => value(column))));
  // One sequence a row, and all of it is learned.
  const packed = {
    batch: rows.length,
    seq: length,
    ids: Int32Array.from(rows.flat()),
    learned: every(() => 1),
    segments: every(() => 1),
    positions: every((column) => column),
  };
  return {
    step: async () => {
      const batch = [nextToken.layOut(model, packed)];
      return (await learn(model, adam, nextToken, batch, { ...optimizer, where })).loss;
    },
    close: () => free([model], [adam]),
  };
}

function reward(given: RewardCase): OurCase {
  const { optimizer, centring, chosen, rejected } = given;
  const model = startingModel(given, 'score');
  const adam = optimizerOf(model, optimizer);
  // The steps read only where a response ends, so its prompt may be any part of the row.
  const response = (ids: readonly number[] = []) =>
    promptAndResponse(Int32Array.from(ids.slice(0, ids.length / 2)), Int32Array.from(ids.slice(ids.length / 2)));
  const pairs = chosen.map((ids, i) => ({ chosen: response(ids), rejected: response(rejected[i]), margin: 0 }));
  const objective = scorePairs({ centring, padId: PAD });
  return {
    step: async () => {
      const batch = [objective.layOut(model, pairs)];
      return (await learn(model, adam, objective, batch, { ...optimizer, where })).loss;
    },
    close: () => free([model], [adam]),
  };
}

function draw(given: GenerateCase): OurCase {
  const model = startingModel(given, 'tokens');
  const prompts = idsOf(given.prompts);
  const random = seededRandom(3, 'bench draw');
  return {
    step: async () =>
      countTokens((await generate(model, prompts, samplingOf(given), STOP, random)).map(({ ids }) => ids)),
    close: () => free([model], []),
  };
}

function ppo(given: PpoCase): OurCase {
  const { optimizer, valueOptimizer } = given;
  const [policy, reference] = [startingModel(given, 'tokens'), startingModel(given, 'tokens')];
  const [critic, rewardModel] = [startingModel(given, 'score'), startingModel(given, 'score')];
  const models = { policy, reference, critic, reward: rewardModel, normalisation: { mean: 0, deviation: 1 } };
  const optimizers = { policy: optimizerOf(policy, optimizer), critic: optimizerOf(critic, valueOptimizer) };
  const prompts = idsOf(given.prompts);
  const random = seededRandom(3, 'bench ppo');
  const options = {
    epochs: given.epochs,
    minibatches: 1,
    microBatch: null,
    targetKl: null,
    temperature: 1,
    clipRange: given.clipRange,
    valueClipRange: given.valueClipRange,
    policy: optimizer,
    critic: valueOptimizer,
    where,
    checks: 'off',
    say: () => undefined,
  } as const;
  return {
    step: async () => {
      const rollout = await collectRollout(models, prompts, samplingOf(given), STOP, random);
      await updateOnRollout(models, optimizers, rollout, targetsOf(given, rollout), options, random);
      return countTokens(rollout.responses);
    },
    close: () => free([policy, reference, critic, rewardModel], Object.values(optimizers)),
  };
}

function targetsOf({ klWeight, gamma, lambda }: PpoCase, rollout: Rollout) {
  const { scores, logProbs, referenceLogProbs, values, mask, batch } = rollout;
  const responses = { mask, response: batch.grid.response };
  const rewards = shapeRewards(scores, logProbs, referenceLogProbs, responses, klWeight, 'k1');
  const { advantages, returns } = estimateAdvantages(rewards, values, responses, gamma, lambda);
  return { advantages: whiten(advantages, mask), returns };
}

function samplingOf({ newTokens, prompts }: GenerateCase | PpoCase) {
  return { temperature: 1, topK: 0, topP: 1, maxNewTokens: newTokens, batchSize: prompts.length };
}

function idsOf(rows: Rows): Int32Array[] {
  return rows.map((row) => Int32Array.from(row));
}

function countTokens(responses: readonly Int32Array[]): number {
  return responses.reduce((sum, ids) => sum + ids.length, 0);
}

function free(models: readonly Model[], optimizers: readonly AdamW[]): void {
  for (const model of models) disposeModel(model);
  for (const adam of optimizers) disposeAdamW(adam);
}
