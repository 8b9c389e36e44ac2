/**
 * Stage 3: improve the instruction-tuned policy against the reward model with PPO.
 *
 *   Reads   a stage-1 checkpoint, a stage-2 checkpoint, data/seed/chat.jsonl
 *   Writes  <run.folder>/{config.yaml, metrics.arrow, samples.arrow, rollouts.arrow, checkpoints/, model/, manifest.json}
 *   Run     npx tsx stages/3-ppo.ts configs/ppo/tiny.yaml
 *   After   Ziegler et al. 2019 (arXiv:1909.08593); Huang et al. 2024 (arXiv:2403.17031)
 */
import { join } from 'node:path';
import { listCheckpoints, saveCheckpoint } from '../src/checkpoint/checkpoint-list.ts';
import { checkVocabulary, loadModelFolder, writeModelFolder } from '../src/checkpoint/model-folder.ts';
import { readTrained, writePpoCheckpoint } from '../src/checkpoint/ppo-checkpoint.ts';
import { readState } from '../src/checkpoint/training-state.ts';
import { float32, int32, utf8 } from '../src/data/columns.ts';
import type { CursorState } from '../src/data/cursor.ts';
import { createCursor } from '../src/data/cursor.ts';
import { answerPrompts } from '../src/evaluation/answer-prompts.ts';
import type { ChatPrompt } from '../src/evaluation/chat-prompts.ts';
import { loadChatPrompts } from '../src/evaluation/chat-prompts.ts';
import { goldScore } from '../src/evaluation/gold.ts';
import { meanAndDeviation } from '../src/evaluation/statistics.ts';
import { atomicFolder } from '../src/files/atomic-write.ts';
import { disposeModel } from '../src/model/model.ts';
import { estimateAdvantages, rescaleToUnitVariance, whiten } from '../src/objectives/gae.ts';
import { nextKlWeight } from '../src/objectives/kl.ts';
import { shapeRewards } from '../src/objectives/shape-rewards.ts';
import type { RandomState } from '../src/random.ts';
import { randomFromState, seededRandom } from '../src/random.ts';
import type { PpoModels, Rollout } from '../src/rollout/collect.ts';
import { collectRollout } from '../src/rollout/collect.ts';
import { checkRollout } from '../src/rollout/invariants.ts';
import { ppoMetrics, rolloutMetrics } from '../src/rollout/ppo-metrics.ts';
import { updateOnRollout } from '../src/rollout/update-on-rollout.ts';
import { endStep } from '../src/run/end-step.ts';
import { openMetrics } from '../src/run/metrics.ts';
import { openParent } from '../src/run/parents.ts';
import { program } from '../src/run/program.ts';
import { openSamples } from '../src/run/samples.ts';
import type { RunContext, Stage } from '../src/run/stage.ts';
import { responseBatch } from '../src/steps/response-batch.ts';
import { responseEntropy, responseScores } from '../src/steps/score-responses.ts';
import type { Tokenizer } from '../src/tokenizer/tokenizer.ts';
import { loadTokenizer } from '../src/tokenizer/tokenizer.ts';
import { disposeAdamW } from '../src/training/adamw.ts';
import { learningRateAt } from '../src/training/schedule.ts';
import { PpoConfig } from './3-ppo.config.ts';

/** Columns of samples.arrow (held-out prompts) and rollouts.arrow (training prompts). */
const answerColumns = {
  prompt: utf8('Rendered prompt.'),
  response: utf8('Sampled answer.'),
  gold: float32('Gold score in [0, 1]; never trained on.'),
  reward: float32('Normalised reward-model score.'),
  kl: float32('Σ_t log π − log π_ref over the answer, in nats.'),
  length: int32('Tokens of the answer, EOS included.'),
};

interface State {
  readonly step: number;
  readonly cursor: CursorState;
  readonly random: RandomState;
  readonly klWeight: number;
  /** Updates made by each optimizer. */
  readonly updates: { readonly policy: number; readonly critic: number };
}

export const ppo: Stage<PpoConfig> = { name: 'ppo', schema: PpoConfig, run };

async function run(config: PpoConfig, context: RunContext): Promise<Record<string, unknown>> {
  const { folder, progress } = context;
  const { tokenizer, models, optimizers, state } = await openModels(config, context);
  const room = models.policy.dimensions.context - config.sampling.maxNewTokens;
  const prompts = loadChatPrompts(config.prompts, tokenizer, room);
  const heldOut = loadChatPrompts(config.heldOut, tokenizer, room).slice(0, config.evaluation.prompts);
  const longestPrompt = Math.max(...prompts.map(({ promptIds }) => promptIds.length));
  const cursor = createCursor(prompts.length, state?.cursor ?? config.run.seed);
  const random = state === undefined ? seededRandom(config.run.seed, 'rollouts') : randomFromState(state.random);
  let klWeight = state?.klWeight ?? config.kl.weight;

  const first = state?.step ?? 0;
  const metrics = openMetrics(folder.file('metrics.arrow'), ppoMetrics, { resumeFromStep: first });
  const samples = openSamples(folder.file('samples.arrow'), answerColumns, { resumeFromStep: first });
  const rollouts = openSamples(folder.file('rollouts.arrow'), answerColumns, { resumeFromStep: first });
  const save = async (step: number): Promise<void> => {
    for (const log of [metrics, samples, rollouts]) await log.flush();
    const updates = { policy: optimizers.policy.step, critic: optimizers.critic.step };
    const saved: State = { step, cursor: cursor.state(), random: random.state(), klWeight, updates };
    const policy = { model: models.policy, adam: optimizers.policy };
    const critic = { model: models.critic, adam: optimizers.critic };
    await saveCheckpoint(folder.path, step, config.checkpoints.keepLast, (path) => {
      writePpoCheckpoint(path, { policy, critic, tokenizer, state: saved });
    });
  };
  /** Answers to the held-out prompts; the same random numbers every time, so that runs and steps compare. */
  const evaluate = async (step: number) => {
    const answers = answerPrompts(
      models.policy,
      models,
      heldOut,
      config.sampling,
      tokenizer,
      seededRandom(config.run.seed, 'held-out'),
    );
    for (const { prompt, response, gold, reward, kl, length } of answers) {
      await samples.add({ step, prompt: prompt.prompt, response, gold: gold.total, reward, kl, length });
    }
    const gold = meanAndDeviation(answers.map((answer) => answer.gold.total));
    const reward = meanAndDeviation(answers.map((answer) => answer.reward)).mean;
    return { gold: gold.mean, goldSd: gold.deviation, reward, kl: meanAndDeviation(answers.map(({ kl }) => kl)).mean };
  };

  const { iterations } = config.rollout;
  progress.say(
    `ppo  ${prompts.length} prompts, ${iterations} rollouts of ${config.rollout.batch} responses, ${config.updates.epochs} epochs each`,
  );
  const bar = progress.phase('ppo', iterations, { start: first });
  let quality = await evaluate(first);
  if (state === undefined) {
    await metrics.add({
      step: 0,
      'held_out/gold': quality.gold,
      'held_out/reward': quality.reward,
      'held_out/kl': quality.kl,
    });
  }
  for (let step = first + 1; step <= iterations; step++) {
    const began = performance.now();
    const where = `ppo iteration ${step}`;
    const asked = cursor.next(config.rollout.batch).map((index) => prompts[index] as ChatPrompt);

    // 1. Sample responses with the policy; read log-probabilities, values and scores off the four models.
    const rollout = collectRollout(
      models,
      asked.map(({ promptIds }) => promptIds),
      config.sampling,
      tokenizer,
      longestPrompt,
      random,
    );
    checkInvariants(config, models, rollout, asked, {
      where,
      isFirst: step === 1,
      padId: tokenizer.padId,
      say: progress.say,
    });

    // 2. Rewards: the score at the end of each response, minus a KL penalty on every token.
    const grid = { batch: config.rollout.batch, response: rollout.batch.response };
    const mask = rollout.batch.mask;
    const parts = {
      policyLogProbs: rollout.logProbs,
      referenceLogProbs: rollout.referenceLogProbs,
      responseMask: mask,
      scores: rollout.scores,
      ended: rollout.ended,
    };
    const shaping = { klWeight, klEstimator: config.kl.estimator, missingEosScore: config.rollout.missingEosScore };
    const shaped = shapeRewards(grid, parts, shaping);
    const rewards = config.updates.whitenRewards ? rescaleToUnitVariance(shaped.rewards, mask) : shaped.rewards;

    // 3. Advantages by GAE, whitened over the rollout.
    const { advantages, returns } = estimateAdvantages(grid, rewards, rollout.values, mask, config.gae);
    const targets = { advantages: config.updates.whitenAdvantages ? whiten(advantages, mask) : advantages, returns };

    // 4. Several epochs of clipped updates of policy and critic.
    const learningRate = learningRateAt(config.optimizer, step - 1, iterations);
    const inner = updateOnRollout(
      models,
      optimizers,
      rollout,
      targets,
      {
        ...config.updates,
        temperature: config.sampling.temperature,
        learningRate,
        valueLearningRate: learningRateAt(config.valueOptimizer, step - 1, iterations),
        clipNorm: config.optimizer.clipNorm,
        valueClipNorm: config.valueOptimizer.clipNorm,
        checks: config.runtime.checks,
        where,
        say: progress.say,
      },
      random,
    );

    // 5. Steer β, and write down what happened.
    const gold = asked.map(
      ({ gold: request }, row) => goldScore(request, tokenizer.decode(rollout.responses[row] as Int32Array)).total,
    );
    const measure = step % config.evaluation.everyIterations === 0 || step === iterations;
    const seconds = (performance.now() - began) / 1000;
    if (measure) quality = await evaluate(step);
    const entropy = responseEntropy(models.policy, rollout.batch, config.sampling.temperature);
    const numbers = { scores: shaped.scores, kl: shaped.kl, klWeight, returns, gold, entropy, learningRate, seconds };
    const held = measure
      ? { 'held_out/gold': quality.gold, 'held_out/reward': quality.reward, 'held_out/kl': quality.kl }
      : {};
    const row = rolloutMetrics(rollout, numbers, inner);
    await metrics.add({ step, ...row, ...held });
    for (const [index, ids] of rollout.responses.entries()) {
      const prompt = asked[index]?.prompt ?? '';
      const reward = shaped.scores[index] as number;
      await rollouts.add({
        step,
        prompt,
        response: tokenizer.decode(ids),
        gold: gold[index] as number,
        reward,
        kl: shaped.kl[index] as number,
        length: ids.length,
      });
    }
    klWeight = nextKlWeight(
      klWeight,
      { ...config.kl, kind: config.kl.control },
      row['kl/response'] ?? 0,
      config.rollout.batch,
    );
    bar.update(step, {
      score: (row['reward/score'] ?? 0).toFixed(2),
      gold: (row['reward/gold'] ?? 0).toFixed(3),
      kl: (row['kl/response'] ?? 0).toFixed(2),
    });
    await endStep(context, { step, steps: iterations, everySteps: config.checkpoints.everySteps }, save);
  }
  bar.finish(
    `held-out gold ${quality.gold.toFixed(3)}, reward ${quality.reward.toFixed(2)}, KL ${quality.kl.toFixed(2)} nats a response`,
  );

  await atomicFolder(folder.file('model'), (path) => writeModelFolder(path, models.policy, { tokenizer }));
  await folder.recordOutput('model', 'model');
  for (const model of [models.policy, models.reference, models.critic, models.reward]) disposeModel(model);
  for (const adam of Object.values(optimizers)) disposeAdamW(adam);
  return { gold: quality.gold, reward: quality.reward, klPerResponse: quality.kl, iterations };
}

/** Loads the four models and refuses parents that do not fit each other, before any weights are read. */
async function openModels(config: PpoConfig, context: RunContext) {
  const { folder } = context;
  const policyParent = await openParent(config.policy, { role: 'policy', stages: ['instruct'] });
  const tokenizer: Tokenizer = loadTokenizer(policyParent.folder);
  const rewardParent = await openParent(config.reward, {
    role: 'reward model',
    stages: ['reward'],
    tokenizer: tokenizer.hash,
  });
  await folder.recordParent('policy', policyParent);
  await folder.recordParent('reward', rewardParent);
  await folder.recordInput('seed', config.prompts.seed);
  await folder.recordInput('templates', config.prompts.templates);

  const last = folder.resumed ? listCheckpoints(folder.path).at(-1) : undefined;
  const state = last === undefined ? undefined : readState<State>(last.path);
  const policy = readTrained(last?.path ?? policyParent.folder, config.optimizer, state?.updates.policy);
  const critic = readTrained(
    last === undefined ? rewardParent.folder : join(last.path, 'critic'),
    config.valueOptimizer,
    state?.updates.critic,
  );
  checkVocabulary(policy.model, tokenizer, `policy ${config.policy}`);
  const { model: reference } = loadModelFolder(policyParent.folder);
  const { model: reward, normalisation } = loadModelFolder(rewardParent.folder);
  const models: PpoModels = { policy: policy.model, reference, critic: critic.model, reward, normalisation };
  return { tokenizer, models, optimizers: { policy: policy.adam, critic: critic.adam }, state };
}

function checkInvariants(
  config: PpoConfig,
  models: PpoModels,
  rollout: Rollout,
  asked: readonly ChatPrompt[],
  at: { where: string; isFirst: boolean; padId: number; say: (line: string) => void },
): void {
  if (config.runtime.checks === 'off') return;
  const promptIds = asked[0]?.promptIds ?? new Int32Array();
  const alone = responseBatch([{ promptIds, responseIds: rollout.responses[0] ?? new Int32Array() }], at.padId);
  const { mean, deviation } = models.normalisation;
  const facts = {
    drawnLogProbs: rollout.drawnLogProbs,
    policyLogProbs: rollout.logProbs,
    referenceLogProbs: rollout.referenceLogProbs,
    responseMask: rollout.batch.mask,
    isFirst: at.isFirst,
    scoreInBatch: rollout.scores[0] as number,
    scoreAlone: ((responseScores(models.reward, alone)[0] as number) - mean) / deviation,
    checks: config.runtime.checks,
  };
  checkRollout(facts, at.where, at.say);
}

await program(import.meta.url, ppo, 'Trains a policy with PPO against a reward model.');
