/**
 * Stage 3: improve the instruction-tuned policy against the reward model with PPO.
 *
 *   Reads   a stage-1 checkpoint, a stage-2 checkpoint, data/seed/chat.jsonl
 *   Writes  <run.folder>/{config.yaml, metrics.arrow, samples.arrow, rollouts.arrow, checkpoints/, model/, manifest.json}
 *   Run     node --import tsx stages/3-ppo.ts configs/ppo/tiny.yaml
 *   After   Ziegler et al. 2019 (arXiv:1909.08593); Huang et al. 2024 (arXiv:2403.17031)
 */

import { collectRollout } from '../src/alignment/collect.ts';
import { estimateAdvantages, rescaleToUnitVariance, whiten } from '../src/alignment/gae.ts';
import { checkRollout } from '../src/alignment/invariants.ts';
import { klPerResponse, nextKlWeight } from '../src/alignment/kl.ts';
import { announcePpoMemory } from '../src/alignment/ppo-memory.ts';
import { mean, ppoMetrics, rolloutMetrics, shownMetrics } from '../src/alignment/ppo-metrics.ts';
import { rewardedScores, shapeRewards } from '../src/alignment/shape-rewards.ts';
import { updateOnRollout } from '../src/alignment/update-on-rollout.ts';
import type { CardFacts } from '../src/checkpoint/model-card.ts';
import { ppoCard } from '../src/checkpoint/model-card.ts';
import { checkModelFolder, writeModelFolder } from '../src/checkpoint/model-folder.ts';
import { savePpo, startOrResumePpo } from '../src/checkpoint/ppo-checkpoint.ts';
import { describeTrunks, hasAdapter, planOfCritic } from '../src/checkpoint/ppo-models.ts';
import { keptFacts } from '../src/checkpoint/stage-cards.ts';
import { disposeTrained } from '../src/checkpoint/training-checkpoint.ts';
import { rateOf, trainingPlan } from '../src/checkpoint/training-plan.ts';
import type { ChatPrompt } from '../src/evaluation/chat-prompts.ts';
import { describePrompts } from '../src/evaluation/chat-prompts.ts';
import type { HeldOutMeans } from '../src/evaluation/held-out-answers.ts';
import { heldOutMeasures, measureAnswers, rolloutRows } from '../src/evaluation/held-out-answers.ts';
import { learningRateAt, shortenedWarmups } from '../src/execution/schedule.ts';
import { atomicFolder } from '../src/files/atomic-write.ts';
import { disposeModel } from '../src/model/model.ts';
import type { Random, RandomState } from '../src/random.ts';
import { randomFromState, seededRandom } from '../src/random.ts';
import { openPpoTables, ppoTables } from '../src/report/ppo-log.ts';
import type { KeptStep } from '../src/run/keep-best.ts';
import type { Parent } from '../src/run/parents.ts';
import { openParent } from '../src/run/parents.ts';
import { program } from '../src/run/program.ts';
import type { RunFolder } from '../src/run/run-folder.ts';
import { recordLength } from '../src/run/run-length.ts';
import type { RunContext, Stage } from '../src/run/stage.ts';
import type { TrainingState } from '../src/run/training-loop.ts';
import { trainingLoop } from '../src/run/training-loop.ts';
import type { Tokenizer } from '../src/tokenizer/tokenizer.ts';
import { loadTokenizer } from '../src/tokenizer/tokenizer.ts';
import { loadPolicyPrompts } from '../src/worlds/load-prompts.ts';
import { PpoConfig } from './3-ppo.config.ts';

/** What of a run changes with its iterations, beside weights and moments. */
interface Controls {
  readonly random: Random;
  /** β, the weight of the KL penalty. */
  beta: number;
}

interface State extends TrainingState<HeldOutMeans> {
  readonly random: RandomState;
  readonly klWeight: number;
  /** Updates made by each optimizer. */
  readonly updates: { readonly policy: number; readonly critic: number };
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
  await recordPrompts(config, folder);
  const longest = [...prompts, ...heldOutPrompts].reduce((most, { promptIds }) => Math.max(most, promptIds.length), 0);
  await announcePpoMemory(progress.say, config.memory.limitGb, prepared.planned, { ...config, prompt: longest });
  const { models, optimizers, state } = loadModels(config, context, prepared);
  const { iterations, batch } = config.rollout;
  await recordLength(context, iterations, schedulesOf(config));
  const length = `${iterations} rollouts of ${batch} responses, ${config.updates.epochs} epochs each`;
  progress.say(`ppo  ${prompts.length} prompts, ${length}`);

  const random = state === undefined ? seededRandom(config.run.seed, 'rollouts') : randomFromState(state.random);
  const controls: Controls = { random, beta: state?.klWeight ?? config.kl.weight };
  const { samples, rollouts } = openPpoTables(folder, state?.step);
  const { kept, summary } = await trainingLoop(context, loopSettings(config), {
    stage: 'ppo',
    metrics: ppoMetrics,
    model: models.policy,
    steps: iterations,
    data: { count: prompts.length, perStep: batch, read: (items) => items.map((i) => prompts[i] as ChatPrompt) },
    update: async (asked, _, step) => {
      const made = await iterate(config, { models, optimizers, tokenizer }, asked, controls, step, progress.say);
      await rollouts.add(step, made.rows);
      return { metrics: made.metrics, shown: shownMetrics(made.metrics) };
    },
    measures: heldOutMeasures,
    measure: async (step) => {
      const options = { sampling: config.sampling, klWeight: config.kl.weight, seed: config.run.seed };
      const { rows, measured } = measureAnswers(models.policy, models, heldOutPrompts, options, tokenizer);
      await samples.add(step, rows);
      return measured;
    },
    tables: [samples, rollouts],
    save: async (at, more) => {
      const updates = { policy: optimizers.policy.step, critic: optimizers.critic.step };
      const saved: State = { ...at, random: random.state(), klWeight: controls.beta, updates };
      const trained = trainedOf(models, optimizers);
      await savePpo(folder.path, config.checkpoints.keepLast, trained, tokenizer, saved, more);
    },
  });

  const card = cardOf(config, kept, summary.beatsStart);
  const parts = { tokenizer, base: policyParent.path, card };
  await atomicFolder(folder.file('model'), (path) => writeModelFolder(path, models.policy, parts));
  for (const trained of Object.values(trainedOf(models, optimizers))) disposeTrained(trained);
  for (const frozen of [models.reference, models.reward]) disposeModel(frozen);
  const { gold, reward, kl: klPerResponse } = kept.measured;
  return { gold, reward, klPerResponse, ...summary, keptBy: config.evaluation.best, iterations };
}

/** One iteration: responses to some prompts, what they are worth, and several epochs of updates on them. */
async function iterate(
  config: PpoConfig,
  { models, optimizers, tokenizer }: Pick<Loaded, 'models' | 'optimizers'> & { readonly tokenizer: Tokenizer },
  asked: readonly ChatPrompt[],
  controls: Controls,
  step: number,
  say: (line: string) => void,
) {
  const { gae, kl, updates } = config;
  const { random, beta } = controls;
  const where = `ppo iteration ${step}`;

  // 1. Sample responses with the policy; read log-probabilities, values and scores off the four models.
  const promptIds = asked.map((prompt) => prompt.promptIds);
  const rollout = collectRollout(models, promptIds, config.sampling, tokenizer, random);
  checkRollout(rollout, models, { isFirst: step === 1, checks: config.runtime.checks, where }, say);
  const { logProbs, referenceLogProbs, values } = rollout;
  const responses = { mask: rollout.mask, response: rollout.batch.grid.response };

  // 2. Rewards: the score at the end of each response, minus a KL penalty on every token.
  const scores = rewardedScores(rollout.scores, rollout.ended, config.rollout.missingEosScore);
  const shaped = shapeRewards(scores, logProbs, referenceLogProbs, responses, beta, kl.estimator);
  const rewards = updates.whitenRewards ? rescaleToUnitVariance(shaped, responses.mask) : shaped;

  // 3. Advantages by GAE, whitened over the rollout.
  const { advantages, returns } = estimateAdvantages(rewards, values, responses, gae.gamma, gae.lambda);
  const targets = { advantages: updates.whitenAdvantages ? whiten(advantages, responses.mask) : advantages, returns };

  // 4. Several epochs of clipped updates of policy and critic.
  const settings = { ...innerSettings(config, step), where, say };
  const inner = await updateOnRollout(models, optimizers, rollout, targets, settings, random);

  // 5. Steer β by the KL of the rollout, and tell what happened. The judge is heard, never used.
  const responseKl = klPerResponse(logProbs, referenceLogProbs, responses);
  controls.beta = nextKlWeight(beta, kl, mean(responseKl), asked.length);
  const rows = rolloutRows(asked, rollout, scores, responseKl, tokenizer);
  const numbers = { scores, kl: responseKl, klWeight: beta, returns, gold: rows.map(({ gold }) => gold) };
  return { rows, metrics: rolloutMetrics(rollout, numbers, inner) };
}

/** What the model card tells. */
function cardOf(config: PpoConfig, { step, measured }: KeptStep<HeldOutMeans>, beatsStart: boolean | null): CardFacts {
  const { gold, reward, kl, objective } = measured;
  const results = { gold, reward, 'KL a response': kl, 'reward − β · KL': objective };
  return ppoCard(config, { ...results, ...keptFacts(config.evaluation.best, { step, beatsStart }) });
}

/** The reward that chooses a step is what the policy is trained for: less the KL penalty. */
function loopSettings(config: PpoConfig) {
  const { best } = config.evaluation;
  return { ...config, evaluation: { ...config.evaluation, best: best === 'reward' ? ('objective' as const) : best } };
}

const schedulesOf = ({ optimizer, valueOptimizer }: PpoConfig) => ({ optimizer, valueOptimizer });

function trainedOf({ policy, critic }: Loaded['models'], optimizers: Loaded['optimizers']) {
  return { policy: { model: policy, adam: optimizers.policy }, critic: { model: critic, adam: optimizers.critic } };
}

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

async function recordPrompts({ prompts, heldOut }: PpoConfig, folder: RunFolder): Promise<void> {
  for (const [role, source] of Object.entries({ '': prompts, 'held-out ': heldOut })) {
    for (const kind of ['file', 'tables', 'templates'] as const) {
      if (source[kind] !== undefined) await folder.recordInput(`${role}${kind}`, source[kind]);
    }
  }
}

type Loaded = ReturnType<typeof loadModels>;
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
