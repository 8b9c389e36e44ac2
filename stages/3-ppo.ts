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
import { mean, ppoCurves, ppoMetrics, rolloutMetrics, shownMetrics } from '../src/alignment/ppo-metrics.ts';
import { rewardedScores, shapeRewards } from '../src/alignment/shape-rewards.ts';
import { innerLoopOptions, updateOnRollout } from '../src/alignment/update-on-rollout.ts';
import { checkModelFolder, writeModelFolder } from '../src/checkpoint/model-folder.ts';
import { type StartedPpo, savePpo, startOrResumePpo } from '../src/checkpoint/ppo-checkpoint.ts';
import { announcePpoMemory } from '../src/checkpoint/ppo-memory.ts';
import { planPpo } from '../src/checkpoint/ppo-models.ts';
import { ppoCard } from '../src/checkpoint/stage-cards.ts';
import { disposeTrained } from '../src/checkpoint/training-checkpoint.ts';
import { type ChatPrompt, describePrompts, longestPrompt } from '../src/evaluation/chat-prompts.ts';
import type { HeldOutMeans } from '../src/evaluation/held-out-answers.ts';
import { heldOutMeasures, keptByObjective, measureAnswers, rolloutRows } from '../src/evaluation/held-out-answers.ts';
import type { CursorState } from '../src/examples/cursor.ts';
import { shortenedWarmups } from '../src/execution/schedule.ts';
import { atomicFolder } from '../src/files/atomic-write.ts';
import { disposeModel } from '../src/model/model.ts';
import { type Random, type RandomState, randomFromState, seededRandom } from '../src/random.ts';
import { ppoFigures } from '../src/report/ppo-figures.ts';
import { openPpoTables, ppoTables } from '../src/report/ppo-log.ts';
import { openParent, startOf } from '../src/run/parents.ts';
import { type MixedRows, openPretrainingMix } from '../src/run/pretraining-mix.ts';
import { program } from '../src/run/program.ts';
import type { RunFolder } from '../src/run/run-folder.ts';
import { recordLength } from '../src/run/run-length.ts';
import type { RunContext, Stage } from '../src/run/stage.ts';
import { type TrainingState, trainingLoop } from '../src/run/training-loop.ts';
import { loadTokenizer, type Tokenizer } from '../src/tokenizer/tokenizer.ts';
import { loadPolicyPrompts, recordPrompts } from '../src/worlds/load-prompts.ts';
import { PpoConfig } from './3-ppo.config.ts';

/** What of a run changes with its iterations, beside weights and moments. */
interface Controls {
  readonly random: Random;
  /** β, the weight of the KL penalty. */
  beta: number;
  readonly mix: MixedRows | undefined;
}

interface State extends TrainingState<HeldOutMeans> {
  readonly random: RandomState;
  readonly klWeight: number;
  readonly mix: CursorState | undefined;
}

const parents = {
  policy: { role: 'policy', takes: 'tuned model', inChain: 'instruct', with: 'instruction examples' },
  reward: { role: 'reward model', takes: 'reward model', inChain: 'reward' },
  'pretrainingMix.examples': { role: 'examples', takes: 'instruction examples' },
} as const;

export const ppo: Stage<PpoConfig> = {
  name: 'ppo',
  purpose: 'Trains a policy with PPO against a reward model.',
  schema: PpoConfig,
  parents,
  outputs: {
    model: { path: 'model', holds: 'the policy of the step that is kept', kind: 'tuned model' },
    ...ppoTables,
  },
  metrics: ppoMetrics,
  curves: ppoCurves,
  figures: ppoFigures,
  check,
  run,
};

async function check(config: PpoConfig): Promise<readonly string[]> {
  const { prompts, heldOut, lines, mix } = await prepare(config);
  mix?.close();
  const { iterations, batch } = config.rollout;
  return [
    ...lines,
    describePrompts('train   ', prompts),
    describePrompts('held out', heldOut),
    `${iterations} rollouts of ${batch} responses: ${((iterations * batch) / prompts.length).toFixed(1)} passes`,
    ...shortenedWarmups(schedulesOf(config), iterations),
  ];
}

async function run(config: PpoConfig, context: RunContext): Promise<Record<string, unknown>> {
  const { folder, progress } = context;
  const { folders, tokenizer, planned, prompts, heldOut, lines, mix } = await prepare(config, folder);
  for (const line of lines) progress.say(line);
  await recordPrompts(folder, '', config.prompts);
  if (config.heldOut !== undefined) await recordPrompts(folder, 'held-out ', config.heldOut);

  // The four models, or those of the checkpoint to resume.
  const prompt = longestPrompt([...prompts, ...heldOut]);
  await announcePpoMemory(progress.say, config.memory.limitGb, planned, { ...config, prompt });
  const sources = { ...folders, tokenizer, say: progress.say };
  const { models, optimizers, trained, state } = startOrResumePpo<State>(folder, sources, planned, config);
  const { iterations, batch } = config.rollout;
  await recordLength(context, iterations, schedulesOf(config));
  const length = `${iterations} rollouts of ${batch} responses, ${config.updates.epochs} epochs each`;
  progress.say(`ppo  ${prompts.length} prompts, ${length}`);

  const random = state === undefined ? seededRandom(config.run.seed, 'rollouts') : randomFromState(state.random);
  const mixed = mix?.start(state?.mix ?? config.run.seed);
  const controls: Controls = { random, beta: state?.klWeight ?? config.kl.weight, mix: mixed };
  const { samples, rollouts } = openPpoTables(folder, state?.step);
  const { kept, summary } = await trainingLoop(context, keptByObjective(config), {
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
      const { rows, measured } = await measureAnswers(models.policy, models, heldOut, options, tokenizer);
      await samples.add(step, rows);
      return measured;
    },
    tables: [samples, rollouts],
    save: async (at, more) => {
      const saved: State = { ...at, random: random.state(), klWeight: controls.beta, mix: mixed?.state() };
      await savePpo(folder.path, config.checkpoints.keepLast, trained, tokenizer, saved, more);
    },
  });

  const card = ppoCard(config, { ...kept.measured, step: kept.step, beatsStart: summary.beatsStart });
  const parts = { tokenizer, base: config.policy, card };
  await atomicFolder(folder.file('model'), (path) => writeModelFolder(path, models.policy, parts));
  for (const each of Object.values(trained)) disposeTrained(each);
  for (const frozen of [models.reference, models.reward]) disposeModel(frozen);
  mix?.close();
  const { gold, reward, kl: klPerResponse } = kept.measured;
  return { gold, reward, klPerResponse, ...summary, keptBy: config.evaluation.best, iterations };
}

/** One iteration: responses to some prompts, what they are worth, and several epochs of updates on them. */
async function iterate(
  config: PpoConfig,
  { models, optimizers, tokenizer }: Pick<StartedPpo, 'models' | 'optimizers'> & { readonly tokenizer: Tokenizer },
  asked: readonly ChatPrompt[],
  controls: Controls,
  step: number,
  say: (line: string) => void,
) {
  const { gae, kl, updates } = config;
  const { random, beta, mix } = controls;
  const where = `ppo step ${step}`;

  // 1. Sample responses with the policy; read log-probabilities, values and scores off the four models.
  const promptIds = asked.map((prompt) => prompt.promptIds);
  const rollout = await collectRollout(models, promptIds, config.sampling, tokenizer, random);
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
  const settings = { ...innerLoopOptions(config, step), where, say, mix };
  const inner = await updateOnRollout(models, optimizers, rollout, targets, settings, random);

  // 5. Steer β by the KL of the rollout, and tell what happened. The judge is heard, never used.
  const responseKl = klPerResponse(logProbs, referenceLogProbs, responses);
  controls.beta = nextKlWeight(beta, kl, mean(responseKl), asked.length);
  const rows = rolloutRows(asked, rollout, scores, responseKl, tokenizer);
  const numbers = { scores, kl: responseKl, klWeight: beta, returns, gold: rows.map(({ gold }) => gold) };
  return { rows, metrics: rolloutMetrics(rollout, numbers, inner) };
}

const schedulesOf = ({ optimizer, valueOptimizer }: PpoConfig) => ({ optimizer, valueOptimizer });

/** The parents, recorded in a run's folder, and the prompts; refuses what does not fit together. No weights are read. */
async function prepare(config: PpoConfig, folder?: RunFolder) {
  const policyParent = await openParent(config.policy, parents.policy);
  const tokenizer: Tokenizer = loadTokenizer(policyParent.folder);
  const rewardParent = await openParent(config.reward, { ...parents.reward, tokenizer: tokenizer.hash });
  const folders = { policy: policyParent.folder, reward: rewardParent.folder };
  const policy = checkModelFolder(folders.policy, {
    where: `policy ${config.policy}`,
    kind: 'language model',
    tokenizer,
  });
  const reward = checkModelFolder(folders.reward, {
    where: `reward model ${config.reward}`,
    kind: 'reward model',
    tokenizer,
  });
  const isOfPolicy = startOf(rewardParent, 'model')?.hash === policyParent.hash;
  const planned = planPpo({ policy, reward }, { folder: folders.reward, isOfPolicy }, config.tuning, config.memory);
  await folder?.recordParent('policy', policyParent);
  await folder?.recordParent('reward', rewardParent);
  // Policy and reward model both read prompt and response.
  const room = Math.min(policy.context, reward.context) - config.sampling.maxNewTokens;
  const asked = await loadPolicyPrompts(config, tokenizer, room);
  const mix = openPretrainingMix(config.pretrainingMix, policyParent, policy.context, tokenizer);
  if (mix !== undefined) await folder?.recordInput('examples', mix.path);
  return { folders, tokenizer, planned, ...asked, lines: [...asked.lines, ...(mix?.lines ?? [])], mix };
}

await program(import.meta.url, ppo);
