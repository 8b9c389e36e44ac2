/** What the benchmark measures: an instruct step, rollouts and a PPO iteration, on random weights and random tokens. */

import { collectRollout } from '../../src/alignment/collect.ts';
import { estimateAdvantages, whiten } from '../../src/alignment/gae.ts';
import { shapeRewards } from '../../src/alignment/shape-rewards.ts';
import { updateOnRollout } from '../../src/alignment/update-on-rollout.ts';
import { packSequences } from '../../src/batch/packing.ts';
import { generate } from '../../src/decoding/generate.ts';
import type { AdamW, AdamWOptions } from '../../src/execution/adamw.ts';
import { createAdamW, disposeAdamW } from '../../src/execution/adamw.ts';
import { learn } from '../../src/execution/learn.ts';
import type { ModelDimensions } from '../../src/model/dimensions.ts';
import type { Model } from '../../src/model/model.ts';
import { disposeModel, newModel } from '../../src/model/model.ts';
import { nextToken } from '../../src/objectives/next-token.ts';
import type { Random } from '../../src/random.ts';
import { seededRandom } from '../../src/random.ts';
import type { InstructConfig } from '../../stages/1-instruct.config.ts';
import type { PpoConfig } from '../../stages/3-ppo.config.ts';

/** One thing that is timed. `close` frees what it holds. */
export interface Measure {
  readonly name: string;
  readonly unit: 'tokens/s' | 's';
  readonly shapes: string;
  /** Timed repeats; one run before them is not counted. */
  readonly repeats: number;
  /** Does the work once; returns the tokens it was, or 1 where seconds are wanted. */
  run(): Promise<number>;
  close(): void;
}

/** An id that never ends a response: no token has it. */
const NEVER = -1;
const PAD = 0;
const FIRST_ORDINARY_ID = 3;

function randomIds(length: number, vocab: number, random: Random): Int32Array {
  return Int32Array.from({ length }, () => FIRST_ORDINARY_ID + random.integer(vocab - FIRST_ORDINARY_ID));
}

/** Prompts of 20 to 40 tokens, as those of the default conversations. */
function randomPrompts(count: number, vocab: number, random: Random): Int32Array[] {
  return Array.from({ length: count }, () => randomIds(20 + random.integer(21), vocab, random));
}

/** Forward, backward and AdamW on packed rows that are full; half of the tokens are learned. */
export function instructStep(dimensions: ModelDimensions, config: InstructConfig): Measure {
  const random = seededRandom(1, 'bench instruct');
  const length = Number(config.sequence.length);
  const { rows } = config.training;
  // Four sequences to a row.
  const examples = Array.from({ length: 4 * rows }, () => ({
    ids: randomIds(length / 4, dimensions.vocab, random),
    learned: Int32Array.from({ length: length / 4 }, (_, t) => (t < length / 8 ? 0 : 1)),
  }));
  const packed = packSequences(examples, length, PAD);
  const model = newModel(dimensions, 'tokens', random);
  const adam = createAdamW(model.parameters.layout, config.optimizer);
  const { learningRate, clipNorm } = config.optimizer;
  return {
    name: 'instruct step',
    unit: 'tokens/s',
    shapes: `${rows} packed rows of ${length}`,
    repeats: 7,
    run: async () => {
      const batch = [nextToken.layOut(model, packed)];
      await learn(model, adam, nextToken, batch, { learningRate, clipNorm, where: 'bench' });
      return packed.batch * packed.seq;
    },
    close: () => free([model], [adam]),
  };
}

/** Batched sampling with the key/value cache; no response ends early. */
export function rollouts(dimensions: ModelDimensions): Measure {
  const random = seededRandom(1, 'bench rollouts');
  const [batch, maxNewTokens] = [64, 32];
  const prompts = randomPrompts(batch, dimensions.vocab, random);
  const model = newModel(dimensions, 'tokens', random);
  const sampling = { temperature: 1, topK: 0, topP: 1, maxNewTokens, batchSize: batch };
  return {
    name: 'rollouts',
    unit: 'tokens/s',
    shapes: `batch ${batch}, ${maxNewTokens} new tokens`,
    repeats: 5,
    run: async () => {
      const responses = await generate(model, prompts, sampling, { padId: PAD, eosId: NEVER }, random);
      return responses.reduce((sum, { ids }) => sum + ids.length, 0);
    },
    close: () => free([model], []),
  };
}

/** Rollout, scoring by four models, and all updates of policy and critic; every response has its full length. */
export function ppoIteration(dimensions: ModelDimensions, config: PpoConfig): Measure {
  const random = seededRandom(1, 'bench ppo');
  const { sampling, updates, rollout: shape, kl } = config;
  const prompts = randomPrompts(shape.batch, dimensions.vocab, random);
  const [policy, reference] = [same(dimensions, 'tokens'), same(dimensions, 'tokens')];
  const [critic, reward] = [same(dimensions, 'score'), same(dimensions, 'score')];
  const models = { policy, reference, critic, reward, normalisation: { mean: 0, deviation: 1 } };
  const optimizer = (model: Model, options: AdamWOptions): AdamW => createAdamW(model.parameters.layout, options);
  const optimizers = {
    policy: optimizer(policy, config.optimizer),
    critic: optimizer(critic, config.valueOptimizer),
  };
  const run = async (): Promise<number> => {
    const rollout = await collectRollout(models, prompts, sampling, { padId: PAD, eosId: NEVER }, random);
    const { scores, logProbs, referenceLogProbs, values, mask, batch } = rollout;
    const responses = { mask, response: batch.grid.response };
    const rewards = shapeRewards(scores, logProbs, referenceLogProbs, responses, kl.weight, kl.estimator);
    const { advantages, returns } = estimateAdvantages(rewards, values, responses, config.gae.gamma, config.gae.lambda);
    const options = {
      ...updates,
      temperature: sampling.temperature,
      policy: config.optimizer,
      critic: config.valueOptimizer,
      checks: 'off',
      where: 'bench',
      say: () => undefined,
    } as const;
    await updateOnRollout(
      models,
      optimizers,
      rollout,
      { advantages: whiten(advantages, mask), returns },
      options,
      random,
    );
    return 1;
  };
  return {
    name: 'PPO iteration',
    unit: 's',
    shapes: `${shape.batch} responses of ${sampling.maxNewTokens}, ${updates.epochs} epochs of ${updates.minibatches}`,
    repeats: 3,
    run,
    close: () => free(Object.values({ policy, reference, critic, reward }), Object.values(optimizers)),
  };
}

/** The same weights every time: policy and reference must be equal at the start. */
function same(dimensions: ModelDimensions, head: 'tokens' | 'score'): Model {
  return newModel(dimensions, head, seededRandom(2, head));
}

function free(models: readonly Model[], optimizers: readonly AdamW[]): void {
  for (const model of models) disposeModel(model);
  for (const adam of optimizers) disposeAdamW(adam);
}
