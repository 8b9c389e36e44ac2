/**
 * Stage 3: improve the instruction-tuned policy against the reward model with PPO.
 *
 *   Reads   a stage-1 checkpoint, a stage-2 checkpoint, data/seed/chat.jsonl
 *   Writes  <run.folder>/{config.yaml, metrics.arrow, samples.arrow, rollouts.arrow, checkpoints/, model/, manifest.json}
 *   Run     node --import tsx stages/3-ppo.ts configs/ppo/tiny.yaml
 *   After   Ziegler et al. 2019 (arXiv:1909.08593); Huang et al. 2024 (arXiv:2403.17031)
 */

import { collectRollout } from '../src/alignment/collect.ts';
import { checkRollout } from '../src/alignment/invariants.ts';
import { nextKlWeight } from '../src/alignment/kl.ts';
import { learningTargets } from '../src/alignment/learning-targets.ts';
import { announcePpoMemory } from '../src/alignment/ppo-memory.ts';
import { ppoMetrics, rolloutMetrics } from '../src/alignment/ppo-metrics.ts';
import { updateOnRollout } from '../src/alignment/update-on-rollout.ts';
import { ppoCard } from '../src/checkpoint/model-card.ts';
import { checkModelFolder, writeModelFolder } from '../src/checkpoint/model-folder.ts';
import { savePpo, startOrResumePpo } from '../src/checkpoint/ppo-checkpoint.ts';
import { describeTrunks, hasAdapter, planOfCritic } from '../src/checkpoint/ppo-models.ts';
import { keptFacts } from '../src/checkpoint/stage-cards.ts';
import { trainedHash } from '../src/checkpoint/trained-hash.ts';
import { rateOf, trainingPlan } from '../src/checkpoint/training-plan.ts';
import type { ChatPrompt } from '../src/evaluation/chat-prompts.ts';
import { describePrompts } from '../src/evaluation/chat-prompts.ts';
import type { HeldOutMeans } from '../src/evaluation/held-out-answers.ts';
import { heldOutMeasures, measureAnswers } from '../src/evaluation/held-out-answers.ts';
import type { CursorState } from '../src/examples/cursor.ts';
import { createCursor } from '../src/examples/cursor.ts';
import { decodeResponse } from '../src/examples/instruction.ts';
import { disposeAdamW } from '../src/execution/adamw.ts';
import { learningRateAt, shortenedWarmups } from '../src/execution/schedule.ts';
import { atomicFolder } from '../src/files/atomic-write.ts';
import { graphsMade } from '../src/graph/mode.ts';
import type { Model } from '../src/model/model.ts';
import { disposeModel } from '../src/model/model.ts';
import { type RandomState, randomFromState, seededRandom } from '../src/random.ts';
import { openPpoLog, ppoTables } from '../src/report/ppo-log.ts';
import { endStep } from '../src/run/end-step.ts';
import type { BestState, KeptStep } from '../src/run/keep-best.ts';
import { keepBest } from '../src/run/keep-best.ts';
import type { Parent } from '../src/run/parents.ts';
import { openParent } from '../src/run/parents.ts';
import { program } from '../src/run/program.ts';
import type { RunFolder } from '../src/run/run-folder.ts';
import { recordLength } from '../src/run/run-length.ts';
import type { RunContext, Stage } from '../src/run/stage.ts';
import type { Tokenizer } from '../src/tokenizer/tokenizer.ts';
import { loadTokenizer } from '../src/tokenizer/tokenizer.ts';
import { loadPolicyPrompts } from '../src/worlds/load-prompts.ts';
import { PpoConfig } from './3-ppo.config.ts';

interface State {
  readonly step: number;
  readonly cursor: CursorState;
  readonly random: RandomState;
  readonly klWeight: number;
  /** Updates made by each optimizer. */
  readonly updates: { readonly policy: number; readonly critic: number };
  readonly best: BestState<HeldOutMeans>;
}

const parents = {
  policy: { role: 'policy', takes: 'language model', inChain: 'instruct' },
  reward: { role: 'reward model', takes: 'reward model', inChain: 'reward' },
} as const;

export const ppo: Stage<PpoConfig> = {
  name: 'ppo',
  purpose: 'Trains a policy with PPO against a reward model.',
  schema: PpoConfig,
  parents,
  outputs: {
    model: { path: 'model', holds: 'the policy of the iteration that is kept', kind: 'language model' },
    ...ppoTables,
  },
  metrics: ppoMetrics,
  figures: ({ of }) => {
    const [before, after] = [(name: string) => of('instruct', name), (name: string) => of('ppo', name)];
    const gold = { before: { goldBefore: before('gold') }, after: { goldAfter: after('gold') } };
    const proxy = { before: { proxyBefore: before('reward') }, after: { proxyAfter: after('reward') } };
    const spread = { goldSdBefore: before('gold_sd') };
    return [
      { measure: 'gold score (hidden)', shown: 3, ...gold },
      { measure: 'its standard deviation over prompts', shown: 3, before: spread },
      { measure: 'reward-model score', shown: 2, ...proxy },
      { measure: 'KL a response, nats', shown: 2, before: 0, after: { klPerResponse: after('kl') } },
      { measure: 'win rate by gold', shown: 'percent', before: 0.5, after: { winRate: after('win_rate') } },
    ];
  },
  check,
  run,
};

async function check(config: PpoConfig): Promise<readonly string[]> {
  const { prompts, heldOutPrompts } = await prepare(config, async () => undefined);
  const { iterations, batch } = config.rollout;
  return [
    describePrompts('train   ', prompts),
    describePrompts('held out', heldOutPrompts),
    `${iterations} rollouts of ${batch} responses: ${((iterations * batch) / prompts.length).toFixed(1)} passes`,
    ...shortenedWarmups(schedulesOf(config), iterations),
  ];
}

async function run(config: PpoConfig, context: RunContext): Promise<Record<string, unknown>> {
  const { folder, progress } = context;
  const prepared = await prepare(config, folder.recordParent);
  const { policyParent, tokenizer, prompts, heldOutPrompts } = prepared;
  for (const [role, source] of Object.entries({ '': config.prompts, 'held-out ': config.heldOut })) {
    for (const kind of ['file', 'tables', 'templates'] as const) {
      if (source[kind] !== undefined) await folder.recordInput(`${role}${kind}`, source[kind]);
    }
  }
  const prompt = [...prompts, ...heldOutPrompts].reduce((most, { promptIds }) => Math.max(most, promptIds.length), 0);
  await announcePpoMemory(progress.say, config.memory.limitGb, prepared.planned, { ...config, prompt });
  const { models, optimizers, state } = loadModels(config, context, prepared);
  const { sampling, updates, runtime, kl } = config;
  const { iterations, batch: rows } = config.rollout;
  const cursor = createCursor(prompts.length, state?.cursor ?? config.run.seed);
  const random = state === undefined ? seededRandom(config.run.seed, 'rollouts') : randomFromState(state.random);
  let klWeight = state?.klWeight ?? kl.weight;

  const first = state?.step ?? 0;
  const log = openPpoLog(folder, state?.step);
  const best = openBest(config, folder, { policy: models.policy, tokenizer, base: policyParent.path }, state?.best);
  const measureHeldOut = async (step: number): Promise<void> => {
    const options = { sampling, klWeight: kl.weight, seed: config.run.seed };
    const { rows: answers, measured } = measureAnswers(models.policy, models, heldOutPrompts, options, tokenizer);
    await log.heldOut(step, answers, measured);
    await best.add(step, measured, step === iterations);
  };
  const save = async (step: number): Promise<void> => {
    await log.flush();
    const trained = {
      policy: { model: models.policy, adam: optimizers.policy },
      critic: { model: models.critic, adam: optimizers.critic },
    };
    const made = { policy: optimizers.policy.step, critic: optimizers.critic.step };
    const at = { step, cursor: cursor.state(), random: random.state() };
    const saved: State = { ...at, klWeight, updates: made, best: best.state() };
    await savePpo(folder.path, config.checkpoints.keepLast, trained, tokenizer, saved);
  };

  progress.say(
    `ppo  ${prompts.length} prompts, ${iterations} rollouts of ${rows} responses, ${updates.epochs} epochs each`,
  );
  await recordLength(context, iterations, schedulesOf(config));
  const bar = progress.phase('ppo', iterations, { start: first });
  if (state === undefined) await measureHeldOut(0);
  for (let step = first + 1; step <= iterations && !best.hasStopped(); step++) {
    const began = performance.now();
    const where = `ppo iteration ${step}`;
    const asked = cursor.next(rows).map((index) => prompts[index] as ChatPrompt);

    // 1. Sample responses with the policy; read log-probabilities, values and scores off the four models.
    const promptIds = asked.map((prompt) => prompt.promptIds);
    const rollout = collectRollout(models, promptIds, sampling, tokenizer, random);
    const checked = { isFirst: step === 1, checks: runtime.checks, where };
    checkRollout(rollout, models, checked, progress.say);

    // 2. Rewards: the score at the end of each response, minus a KL penalty on every token.
    // 3. Advantages by GAE, whitened over the rollout.
    const { missingEosScore } = config.rollout;
    const options = { ...updates, klWeight, klEstimator: kl.estimator, missingEosScore, gae: config.gae };
    const { shaped, targets } = learningTargets(rollout, options);

    // 4. Several epochs of clipped updates of policy and critic.
    const settings = { ...innerSettings(config, step), where, say: progress.say };
    const inner = await updateOnRollout(models, optimizers, rollout, targets, settings, random);
    const seconds = (performance.now() - began) / 1000;

    // 5. Steer β, and write down what happened. The judge is heard, never used.
    const answers = rollout.responses.map((ids) => decodeResponse(ids, tokenizer));
    const gold = asked.map(({ judge }, row) => judge?.score(answers[row] as string).total ?? null);
    const { learningRate } = settings.policy;
    const { scores, kl: responseKl } = shaped;
    const speed = { seconds, graphs: graphsMade() };
    const numbers = { scores, kl: responseKl, klWeight, returns: targets.returns, gold, learningRate, ...speed };
    const row = rolloutMetrics(rollout, numbers, inner);
    klWeight = nextKlWeight(klWeight, kl, row['kl/response'], rows);
    const measure = step % config.evaluation.everySteps === 0 || step === iterations;
    await log.rollout(step, asked, answers, rollout, { ...numbers, row });
    if (measure) await measureHeldOut(step);
    bar.update(step, {
      score: row['reward/score'].toFixed(2),
      ...(row['reward/gold'] !== null && { gold: row['reward/gold'].toFixed(3) }),
      kl: row['kl/response'].toFixed(2),
    });
    const last = best.hasStopped() ? step : iterations;
    await endStep(context, { step, steps: last, everySteps: config.checkpoints.everySteps }, save);
  }
  const { kept, summary, lines } = best.finish(iterations);
  const { gold, reward, kl: klPerResponse } = kept.measured;
  bar.finish(
    `iteration ${kept.step} is kept: held-out ${gold === null ? '' : `gold ${gold.toFixed(3)}, `}reward ${reward.toFixed(2)}, KL ${klPerResponse.toFixed(2)} nats a response`,
  );
  for (const line of lines) progress.say(line);
  for (const model of [models.policy, models.reference, models.critic, models.reward]) disposeModel(model);
  for (const adam of Object.values(optimizers)) disposeAdamW(adam);
  return { gold, reward, klPerResponse, ...summary, keptBy: config.evaluation.best, iterations };
}

/** Keeps the policy of the best iteration in `model/`. */
function openBest(
  config: PpoConfig,
  folder: RunFolder,
  { policy, tokenizer, base }: { policy: Model; tokenizer: Tokenizer; base: string },
  state: BestState<HeldOutMeans> | undefined,
) {
  const { best, patience } = config.evaluation;
  const write = async ({ step, measured }: KeptStep<HeldOutMeans>, beatsStart: boolean | null): Promise<void> => {
    const { gold, reward, kl, objective } = measured;
    const results = { gold, reward, 'KL a response': kl, 'reward − β · KL': objective };
    const card = ppoCard(config, { ...results, ...keptFacts(best, { step, beatsStart }) });
    await atomicFolder(folder.file('model'), (path) => writeModelFolder(path, policy, { tokenizer, base, card }));
  };
  const by = best === 'reward' ? 'objective' : best;
  const rule = { measures: heldOutMeasures, told: 'objective', by, patience } as const;
  return keepBest<HeldOutMeans>('ppo', rule, { weights: () => trainedHash(policy), write }, state);
}

const schedulesOf = ({ optimizer, valueOptimizer }: PpoConfig) => ({ optimizer, valueOptimizer });

/** Settings of the updates on the rollout of a step. */
function innerSettings(config: PpoConfig, step: number) {
  const of = ({ clipNorm, ...schedule }: PpoConfig['optimizer']) => {
    return { learningRate: learningRateAt(schedule, step - 1, config.rollout.iterations), clipNorm };
  };
  return {
    ...config.updates,
    temperature: config.sampling.temperature,
    policy: of(config.optimizer),
    critic: of(config.valueOptimizer),
    checks: config.runtime.checks,
  };
}

type Prepared = Awaited<ReturnType<typeof prepare>>;

/** The parents and the prompts; refuses what does not fit together. No weights are read. */
async function prepare(config: PpoConfig, record: (role: string, parent: Parent) => Promise<void>) {
  const policyParent = await openParent(config.policy, parents.policy);
  const tokenizer: Tokenizer = loadTokenizer(policyParent.folder);
  const rewardParent = await openParent(config.reward, { ...parents.reward, tokenizer: tokenizer.hash });
  const [policyWhere, rewardWhere] = [`policy ${config.policy}`, `reward model ${config.reward}`];
  const policy = checkModelFolder(policyParent.folder, { where: policyWhere, head: 'tokens', tokenizer });
  const reward = checkModelFolder(rewardParent.folder, { where: rewardWhere, head: 'score', tokenizer });
  const { tuning, memory } = config;
  const sameTrunk = startedFrom(rewardParent, policyParent) && hasAdapter(rewardParent.folder);
  const criticPlan = trainingPlan(reward, 'score', tuning, memory);
  const planned = {
    policy: { dimensions: policy, plan: trainingPlan(policy, 'tokens', tuning, memory) },
    critic: { dimensions: reward, plan: planOfCritic(criticPlan, { reward: rewardParent.folder, sameTrunk }, reward) },
    sameTrunk,
  };
  await record('policy', policyParent);
  await record('reward', rewardParent);
  // Policy and reward model both read prompt and response.
  const room = Math.min(policy.context, reward.context) - config.sampling.maxNewTokens;
  const prompts = loadPolicyPrompts(config.prompts, tokenizer, room);
  const heldOutPrompts = loadPolicyPrompts(config.heldOut, tokenizer, room).slice(0, config.evaluation.prompts);
  return { policyParent, rewardParent, tokenizer, planned, prompts, heldOutPrompts };
}

/** The four models with their optimizers, or those of the checkpoint to resume. */
function loadModels(config: PpoConfig, { folder, progress: { say } }: RunContext, prepared: Prepared) {
  const { policyParent, rewardParent, tokenizer, planned } = prepared;
  const {
    policy: { plan },
    critic: { plan: criticPlan },
    sameTrunk,
  } = planned;
  const sources = { policy: policyParent.folder, reward: rewardParent.folder, sameTrunk, tokenizer, say };
  const rates = rateOf(planned.policy.dimensions, config.tuning);
  const found = startOrResumePpo<State>(folder, sources, {
    plans: { policy: plan, critic: criticPlan },
    optimizers: {
      policy: { ...config.optimizer, rateOf: rates },
      critic: { ...config.valueOptimizer, rateOf: rates },
    },
    random: seededRandom(config.run.seed, 'adapters'),
  });
  if (config.tuning.method === 'lora') say(`ppo  ${describeTrunks(found.models)}`);
  return found;
}

/** True where the weights a run started from are those of the other model. */
function startedFrom(run: Parent, model: Parent): boolean {
  return run.manifest?.parents.some(({ role, hash }) => role === 'model' && hash === model.hash) ?? false;
}

await program(import.meta.url, ppo);
