/**
 * Stage 2: a reward model from preference pairs.
 *
 *   Reads   a stage-1 checkpoint, train.arrow and held-out.arrow of preference pairs
 *   Writes  <run.folder>/{config.yaml, metrics.arrow, samples.arrow, calibration.arrow, groups.arrow, checkpoints/, model/,
 *           manifest.json}; groups.arrow where groupBy names a column
 *   Run     node --import tsx stages/2-reward.ts configs/reward/tiny.yaml
 *   After   Christiano et al. 2017 (arXiv:1706.03741); Stiennon et al. 2020 (arXiv:2009.01325)
 */

import { chunks } from '../src/batch/chunks.ts';
import { roundedLength } from '../src/batch/padding.ts';
import { checkModelFolder, loadModelFolder, writeModelFolder } from '../src/checkpoint/model-folder.ts';
import { rewardCard } from '../src/checkpoint/stage-cards.ts';
import { disposeTrained, saveTraining, startOrResume } from '../src/checkpoint/training-checkpoint.ts';
import { rateOf, trainingPlan } from '../src/checkpoint/training-plan.ts';
import { ConfigError, InvariantError } from '../src/errors.ts';
import { measurePairs, pairIds, SCORE_BATCH, scoreSequences } from '../src/evaluation/pair-quality.ts';
import { pairMeasures, pairScores } from '../src/evaluation/pair-scores.ts';
import { pairTables, qualityOf, writePairTables } from '../src/evaluation/pair-tables.ts';
import { meanAndDeviation } from '../src/evaluation/statistics.ts';
import type { PreferenceSets } from '../src/examples/preference-sets.ts';
import { describePairs, readPreferenceSets } from '../src/examples/preference-sets.ts';
import { type Learned, learn } from '../src/execution/learn.ts';
import type { RunShapes } from '../src/execution/memory-estimate.ts';
import { announceMemory } from '../src/execution/memory-estimate.ts';
import { shortenedWarmups } from '../src/execution/schedule.ts';
import { atomicFolder } from '../src/files/atomic-write.ts';
import { GRAPHS_MADE } from '../src/graph/mode.ts';
import type { Model, TrainingPlan } from '../src/model/model.ts';
import type { PairIds } from '../src/objectives/bradley-terry.ts';
import { preferences } from '../src/objectives/bradley-terry.ts';
import { seededRandom } from '../src/random.ts';
import { openParent } from '../src/run/parents.ts';
import { program } from '../src/run/program.ts';
import type { RunFolder } from '../src/run/run-folder.ts';
import { recordLength, stepsOfEpochs } from '../src/run/run-length.ts';
import type { RunContext, Stage } from '../src/run/stage.ts';
import { trainingLoop } from '../src/run/training-loop.ts';
import type { Tokenizer } from '../src/tokenizer/tokenizer.ts';
import { loadTokenizer } from '../src/tokenizer/tokenizer.ts';
import { RewardConfig } from './2-reward.config.ts';

/** Every metric this stage writes. */
export const rewardMetrics = {
  'loss/train': 'Mean over the pairs of −log σ(r_chosen − r_rejected − margin), plus the centring term.',
  'accuracy/train': 'Fraction of the pairs of the update whose labelled choice scores higher.',
  'margin/train': 'Mean over the pairs of r_chosen − r_rejected.',
  'loss/held_out': 'The same over the held-out pairs, by their labels.',
  'accuracy/held_out':
    'Fraction of held-out pairs whose better response scores higher: by gold (without label noise) where there is gold, else by the label; pairs with equal gold are left out.',
  'accuracy/held_out_labels': 'Fraction of held-out pairs whose labelled choice (with label noise) scores higher.',
  'calibration/error': 'Expected calibration error of σ(|Δ|) against the held-out labels, ten bins.',
  'optimizer/learning_rate': 'Learning rate of the update.',
  'optimizer/gradient_norm': 'Global norm of the gradient before clipping.',
  'speed/pairs_per_second': 'Pairs a second, of the update alone.',
  'speed/graphs': GRAPHS_MADE,
} as const;

const parents = {
  model: { role: 'instruct model', takes: 'language model', inChain: 'instruct' },
  pairs: { role: 'pairs', takes: 'preference pairs', inChain: 'preferences/train.arrow' },
  heldOut: { role: 'heldOut', takes: 'preference pairs', inChain: 'preferences/held-out.arrow' },
} as const;

export const reward: Stage<RewardConfig> = {
  name: 'reward',
  purpose: 'Trains a reward model on preference pairs.',
  schema: RewardConfig,
  parents,
  outputs: {
    model: { path: 'model', holds: 'the reward model of the step that is kept', kind: 'reward model' },
    ...pairTables,
  },
  metrics: rewardMetrics,
  figures: ({ own }) => {
    const accuracy = { heldOutAccuracy: own('heldOutAccuracy') };
    return [
      { measure: 'accuracy on held-out pairs', shown: 'percent', before: 0.5, after: accuracy },
      { measure: 'calibration error', shown: 3, after: { ece: own('ece') } },
    ];
  },
  check,
  run,
};

/** The checkpoint to start from, its tokenizer, and the pairs as ids, recorded in a run's folder; no weights are read. */
async function prepare(config: RewardConfig, folder?: RunFolder) {
  const parent = await openParent(config.model, parents.model);
  await folder?.recordParent('model', parent);
  await folder?.recordInput('pairs', config.pairs);
  if (config.heldOut !== null) await folder?.recordInput('heldOut', config.heldOut);
  const tokenizer = loadTokenizer(parent.folder);
  const where = `instruct model ${config.model}`;
  const dimensions = checkModelFolder(parent.folder, { where, head: 'tokens', tokenizer });
  const training = trainingPlan(dimensions, 'score', config.tuning, config.memory);
  const { pairs, heldOut, splits, apartBy, groupBy, loss, sequence, evaluation, run } = config;
  const reader = { tokenizer, contextLength: dimensions.context, overlong: sequence.overlong, groupBy };
  const share = { of: evaluation.share, random: seededRandom(run.seed, 'held-out pairs') };
  const sets = readPreferenceSets({ pairs, heldOut, splits, apartBy, useMargin: loss.useMargin, share }, reader);
  if (sets.heldOut.pairs.length === 0 && evaluation.best !== 'last') {
    throw new ConfigError(
      `evaluation.best: ${evaluation.best} needs held-out pairs, and of the ${sets.train.pairs.length} in ${pairs} none are held out (evaluation.share ${evaluation.share}; pairs of one ${apartBy} stay together). ` +
        'Name heldOut or splits.heldOut, raise evaluation.share, or set evaluation.best to last.',
    );
  }
  return { parent, tokenizer, dimensions, training, sets };
}

function figures({ train, heldOut, notes }: PreferenceSets): string[] {
  return [`train     ${describePairs(train)}`, `held out  ${describePairs(heldOut)}`, ...notes];
}

async function check(config: RewardConfig): Promise<readonly string[]> {
  const { sets } = await prepare(config);
  const steps = stepsOfEpochs(config.training, { units: sets.train.pairs.length, perUpdate: config.training.pairs });
  return [...figures(sets), `${steps} steps`, ...shortenedWarmups({ optimizer: config.optimizer }, steps)];
}

async function run(config: RewardConfig, context: RunContext): Promise<Record<string, unknown>> {
  const { folder, progress } = context;
  const { keepLast } = config.checkpoints;

  // 1. Pairs as ids. Held-out prompts never occur in training.
  const { parent, tokenizer, dimensions, training, sets } = await prepare(config, folder);
  for (const line of figures(sets)) progress.say(line);
  const { pairs: perStep, microBatch } = config.training;
  const pairs = sets.train.pairs.map((row) => ({ ...pairIds(row), margin: config.loss.useMargin ? row.margin : 0 }));
  const pairsAt = (items: readonly number[]): PairIds[] => items.map((index) => pairs[index] as PairIds);

  // 2. The trunk of the instruct model with a new scalar head, or the checkpoint to resume.
  const models = { trained: [{ dimensions, head: 'score', plan: training } as const], others: [] };
  await announceMemory(progress.say, config.memory.limitGb, models, memoryShapes(config, sets));
  const optimizer = { ...config.optimizer, rateOf: rateOf(dimensions, config.tuning) };
  const begin = (): Model => newRewardModel(config, parent.folder, training, tokenizer, progress.say);
  const trained = startOrResume(folder, optimizer, begin, config.memory.recompute);
  const { model, adam } = trained;
  const length = stepsOfEpochs(config.training, { units: pairs.length, perUpdate: perStep });
  const steps = await recordLength(context, length, { optimizer: config.optimizer });

  // 3. Bradley–Terry on the labelled pairs; the step that is best on held-out ones is kept.
  const heldOut = sets.heldOut.pairs;
  progress.say(`reward  ${pairs.length} pairs, ${heldOut.length} held out, ${steps} steps`);
  const objective = preferences({ centring: config.loss.centring, padId: tokenizer.padId });
  const judge = () => (heldOut.length === 0 ? null : measurePairs(model, heldOut, tokenizer.padId, config.loss));
  const { kept, summary } = await trainingLoop(context, config, {
    stage: 'reward',
    metrics: rewardMetrics,
    model,
    steps,
    data: {
      count: pairs.length,
      perStep,
      read: (items) => chunks(pairsAt(items), microBatch ?? perStep).map((part) => objective.layOut(model, part)),
    },
    unit: 'pairs',
    update: async (microBatches, settings) => {
      const update = await learn(model, adam, objective, microBatches, settings);
      return { metrics: metricsOf(update), shown: { loss: update.loss.toFixed(3) }, size: perStep };
    },
    measures: pairMeasures,
    measure: () => pairScores(judge()),
    save: (state, more) => saveTraining(folder.path, keepLast, trained, tokenizer, state, more),
  });
  const quality = judge();

  // 4. Normalise: over the training responses, scores have mean 0 and standard deviation 1. Stored with the model.
  const normalisation = normalise(model, pairs, tokenizer.padId);
  const card = rewardCard(config, qualityOf(quality), { ...summary, step: kept.step });
  const options = { tokenizer, normalisation, base: parent.path, card };
  await atomicFolder(folder.file('model'), (path) => writeModelFolder(path, model, options));
  if (quality !== null) await writePairTables(folder.file, heldOut, quality, config.groupBy !== null);
  disposeTrained(trained);
  const score = { rewardMean: normalisation.mean, rewardSd: normalisation.deviation };
  const data = { train: sets.train.statistics, heldOut: sets.heldOut.statistics };
  return { ...qualityOf(quality), ...summary, ...score, steps, data };
}

function metricsOf({ loss, gradientNorm, stats }: Learned<'accuracy' | 'margin'>) {
  return {
    'loss/train': loss,
    'accuracy/train': stats.accuracy,
    'margin/train': stats.margin,
    'optimizer/gradient_norm': gradientNorm,
  };
}

/** The trunk of the instruct model with a new head, and new adapters where the plan asks for them. */
function newRewardModel(
  { run: { seed } }: RewardConfig,
  folder: string,
  plan: TrainingPlan,
  tokenizer: Tokenizer,
  say: (line: string) => void,
): Model {
  const [random, newHead] = [seededRandom(seed, 'adapters'), seededRandom(seed, 'score head')];
  return loadModelFolder(folder, { plan, random, newHead, tokenizer, say }).model;
}

/** The largest batches of the run. */
function memoryShapes({ training }: RewardConfig, { train, heldOut }: PreferenceSets): RunShapes {
  const seq = roundedLength(Math.max(train.statistics.longest, heldOut.statistics.longest));
  const rows = 2 * Math.min(training.pairs, training.microBatch ?? training.pairs);
  return { train: { rows, seq, logits: rows }, score: { rows: SCORE_BATCH, seq, logits: SCORE_BATCH } };
}

/** Mean and deviation of the scores of all responses. Stage 3 divides by the deviation. */
function normalise(model: Model, pairs: readonly PairIds[], padId: number) {
  const responses = pairs.flatMap(({ chosen, rejected }) => [chosen, rejected]);
  const scores = meanAndDeviation(scoreSequences(model, responses, padId));
  if (scores.deviation > 0) return scores;
  throw new InvariantError(
    'reward: every training response has the same score, so scores cannot be normalised; expected some spread. ' +
      'Train for longer or with a higher optimizer.learningRate.',
  );
}

await program(import.meta.url, reward);
