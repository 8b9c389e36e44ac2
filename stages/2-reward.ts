/**
 * Stage 2: a reward model from preference pairs.
 *
 *   Reads   a stage-1 checkpoint, train.arrow and held-out.arrow of preference pairs
 *   Writes  <run.folder>/{config.yaml, metrics.arrow, samples.arrow, calibration.arrow, groups.arrow, checkpoints/, model/,
 *           manifest.json}; groups.arrow where groupBy names a column
 *   Run     node --import tsx stages/2-reward.ts configs/reward/tiny.yaml
 *   After   Christiano et al. 2017 (arXiv:1706.03741); Stiennon et al. 2020 (arXiv:2009.01325)
 */
import type { CardFacts } from '../src/checkpoint/model-card.ts';
import { checkModelFolder, loadModelFolder, writeModelFolder } from '../src/checkpoint/model-folder.ts';
import { saveTraining, startOrResume } from '../src/checkpoint/training-checkpoint.ts';
import { rateOf, trainingPlan } from '../src/checkpoint/training-plan.ts';
import { GRAPHS_MADE, graphsMade } from '../src/compile/mode.ts';
import { writeTable } from '../src/data/arrow-file.ts';
import { roundedLength } from '../src/data/batch.ts';
import { bool, float32, int32, nullable, utf8 } from '../src/data/columns.ts';
import type { CursorState } from '../src/data/cursor.ts';
import { createCursor } from '../src/data/cursor.ts';
import type { PreferencePair } from '../src/data/preference.ts';
import type { PreferenceSets } from '../src/data/preference-sets.ts';
import { describePairs, readPreferenceSets } from '../src/data/preference-sets.ts';
import { readAhead } from '../src/data/read-ahead.ts';
import { InvariantError } from '../src/errors.ts';
import type { PairQuality } from '../src/evaluation/judge-pairs.ts';
import { judgePairs, pairIds, SCORE_BATCH, scoreSequences } from '../src/evaluation/judge-pairs.ts';
import { meanAndDeviation } from '../src/evaluation/statistics.ts';
import { atomicFolder } from '../src/files/atomic-write.ts';
import { disposeModel } from '../src/model/model.ts';
import { seededRandom, stepSeed } from '../src/random.ts';
import { endStep } from '../src/run/end-step.ts';
import { openMetrics } from '../src/run/metrics.ts';
import type { Parent } from '../src/run/parents.ts';
import { openParent } from '../src/run/parents.ts';
import { program } from '../src/run/program.ts';
import { recordLength } from '../src/run/run-length.ts';
import type { RunContext, Stage } from '../src/run/stage.ts';
import type { RunShapes } from '../src/steps/memory-estimate.ts';
import { announceMemory } from '../src/steps/memory-estimate.ts';
import { pairBatches, rewardUpdate } from '../src/steps/reward-update.ts';
import { loadTokenizer } from '../src/tokenizer/tokenizer.ts';
import { disposeAdamW } from '../src/training/adamw.ts';
import { learningRateAt, shortenedWarmups } from '../src/training/schedule.ts';
import { RewardConfig } from './2-reward.config.ts';

/** Every metric this stage writes. */
export const rewardMetrics = {
  'loss/train': 'Mean over the pairs of −log σ(r_chosen − r_rejected − margin), plus the centring term.',
  'accuracy/train': 'Fraction of the pairs of the update whose labelled choice scores higher.',
  'margin/train': 'Mean over the pairs of r_chosen − r_rejected.',
  'accuracy/held_out':
    'Fraction of held-out pairs whose better response scores higher: by gold (without label noise) where there is gold, else by the label; pairs with equal gold are left out.',
  'accuracy/held_out_labels': 'Fraction of held-out pairs whose labelled choice (with label noise) scores higher.',
  'calibration/error': 'Expected calibration error of σ(|Δ|) against the held-out labels, ten bins.',
  'optimizer/learning_rate': 'Learning rate of the update.',
  'optimizer/gradient_norm': 'Global norm of the gradient before clipping.',
  'speed/pairs_per_second': 'Pairs a second, of the update alone.',
  'speed/graphs': GRAPHS_MADE,
} as const;

const sampleColumns = {
  prompt: utf8('Rendered prompt.'),
  chosen: utf8('Labelled choice.'),
  rejected: utf8('The other response.'),
  score_chosen: float32('Raw score of the labelled choice.'),
  score_rejected: float32('Raw score of the other response.'),
  gold_chosen: nullable(float32('Gold score of the labelled choice; null where there is none.')),
  gold_rejected: nullable(float32('Gold score of the other response; null where there is none.')),
  flipped: nullable(bool('Whether label noise swapped the two; null where that is unknown.')),
};

const groupColumns = {
  group: utf8('Value of the column that groupBy names.'),
  pairs: int32('Held-out pairs of the group that were judged.'),
  accuracy: float32('Fraction of them whose better response scores higher.'),
};

const calibrationColumns = {
  from: float32('Lower end of the confidence bin.'),
  to: float32('Upper end of the confidence bin.'),
  count: int32('Held-out pairs in the bin.'),
  confidence: float32('Mean predicted probability of the preferred response.'),
  accuracy: float32('Fraction of pairs where it is the labelled choice.'),
};

interface State {
  readonly step: number;
  readonly cursor: CursorState;
}

export const reward: Stage<RewardConfig> = { name: 'reward', schema: RewardConfig, check, run };

/** The checkpoint to start from, its tokenizer, and the pairs as ids; no weights are read. */
async function prepare(config: RewardConfig, record: (parent: Parent) => Promise<void> = async () => undefined) {
  const parent = await openParent(config.model, {
    role: 'instruct model',
    stages: ['instruct', 'distill', 'pretrain'],
  });
  await record(parent);
  const tokenizer = loadTokenizer(parent.folder);
  const where = `instruct model ${config.model}`;
  const dimensions = checkModelFolder(parent.folder, { where, head: 'tokens', tokenizer });
  const training = trainingPlan(dimensions, 'score', config.tuning, config.memory);
  const { pairs, heldOut, splits, apartBy, groupBy, loss, sequence } = config;
  const reader = { tokenizer, contextLength: dimensions.context, overlong: sequence.overlong, groupBy };
  const sets = readPreferenceSets({ pairs, heldOut, splits, apartBy, useMargin: loss.useMargin }, reader);
  return { parent, tokenizer, dimensions, training, sets };
}

function figures({ train, heldOut }: PreferenceSets): string[] {
  return [`train     ${describePairs(train)}`, `held out  ${describePairs(heldOut)}`];
}

async function check(config: RewardConfig): Promise<readonly string[]> {
  const { sets } = await prepare(config);
  const steps = stepCount(config, sets.train.pairs.length);
  return [...figures(sets), `${steps} steps`, ...shortenedWarmups({ optimizer: config.optimizer }, steps)];
}

function stepCount({ training }: RewardConfig, pairs: number): number {
  return Math.max(1, Math.round((training.epochs * pairs) / training.pairs));
}

async function run(config: RewardConfig, context: RunContext): Promise<Record<string, unknown>> {
  const { folder, progress } = context;
  // 1. Pairs as ids. Held-out prompts never occur in training.
  const { parent, tokenizer, dimensions, training, sets } = await prepare(config, async (found) => {
    await folder.recordParent('model', found);
    await folder.recordInput('pairs', config.pairs);
    await folder.recordInput('heldOut', config.heldOut);
  });
  for (const line of figures(sets)) progress.say(line);

  // 2. The trunk of the instruct model with a new scalar head, or the checkpoint to resume.
  const planned = { dimensions, head: 'score', plan: training } as const;
  await announceMemory(
    progress.say,
    config.memory.limitGb,
    { trained: [planned], others: [] },
    memoryShapes(config, sets),
  );
  const optimizer = { ...config.optimizer, rateOf: rateOf(dimensions, config.tuning) };
  const random = (label: string) => seededRandom(config.run.seed, label);
  const trained = startOrResume<State>(
    folder,
    optimizer,
    () => {
      const options = { plan: training, random: random('adapters'), newHead: random('score head'), tokenizer };
      return loadModelFolder(parent.folder, { ...options, say: progress.say }).model;
    },
    config.memory.recompute,
  );
  const { model, adam, state } = trained;
  const [rows, heldOut] = [sets.train.pairs, sets.heldOut.pairs];
  const pairs = rows.map((row) => ({ ...pairIds(row), margin: config.loss.useMargin ? row.margin : 0 }));
  const steps = await recordLength(context, stepCount(config, pairs.length), { optimizer: config.optimizer });
  const first = state?.step ?? 0;
  const cursor = createCursor(pairs.length, state?.cursor ?? config.run.seed);
  const batches = readAhead(cursor, config.training.pairs, steps - first, (items) => {
    const batch = items.map((index) => pairs[index] as (typeof pairs)[number]);
    return pairBatches(model, batch, tokenizer.padId, config.training.microBatchPairs);
  });
  const metrics = openMetrics(folder.file('metrics.arrow'), rewardMetrics, { resumeFromStep: state?.step });
  const save = async (step: number): Promise<void> => {
    await metrics.flush();
    const saved: State = { step, cursor: batches.state() };
    await saveTraining(folder.path, config.checkpoints.keepLast, { model, adam }, tokenizer, saved);
  };

  // 3. Bradley–Terry on the labelled pairs.
  progress.say(`reward  ${pairs.length} pairs, ${heldOut.length} held out, ${steps} steps`);
  const bar = progress.phase('reward', steps, { start: first });
  let quality = judgePairs(model, heldOut, tokenizer.padId);
  for (let step = first + 1; step <= steps; step++) {
    const batch = batches.next();
    const learningRate = learningRateAt(config.optimizer, step - 1, steps);
    const began = performance.now();
    const update = await rewardUpdate(model, adam, batch, {
      learningRate,
      clipNorm: config.optimizer.clipNorm,
      where: `reward step ${step}`,
      centring: config.loss.centring,
      dropoutSeed: stepSeed(config.run.seed, step),
    });
    const speed = config.training.pairs / ((performance.now() - began) / 1000);
    const measure = step % config.evaluateEverySteps === 0 || step === steps;
    if (measure) quality = judgePairs(model, heldOut, tokenizer.padId);
    await metrics.add({
      step,
      'loss/train': update.loss,
      'accuracy/train': update.stats.accuracy,
      'margin/train': update.stats.margin,
      'accuracy/held_out': measure ? quality.accuracy : null,
      'accuracy/held_out_labels': measure ? quality.labelAccuracy : null,
      'calibration/error': measure ? quality.calibrationError : null,
      'optimizer/learning_rate': learningRate,
      'optimizer/gradient_norm': update.gradientNorm,
      'speed/pairs_per_second': speed,
      'speed/graphs': graphsMade(),
    });
    bar.update(step, { loss: update.loss.toFixed(3), accuracy: quality.accuracy.toFixed(3) });
    await endStep(context, { step, steps, everySteps: config.checkpoints.everySteps }, save);
  }
  bar.finish(
    `held-out accuracy ${quality.accuracy.toFixed(3)}, calibration error ${quality.calibrationError.toFixed(3)}`,
  );

  // 4. Normalise: over the training responses, scores have mean 0 and standard deviation 1. Stored with the model.
  const responses = pairs.flatMap(({ chosen, rejected }) => [chosen, rejected]);
  const normalisation = meanAndDeviation(scoreSequences(model, responses, tokenizer.padId));
  checkSpread(normalisation.deviation);
  const options = { tokenizer, normalisation, base: parent.path, card: cardOf(config, quality) };
  await atomicFolder(folder.file('model'), (path) => writeModelFolder(path, model, options));
  await folder.recordOutput('model', 'model');
  await writeJudgement(config, context, heldOut, quality);
  disposeModel(model);
  disposeAdamW(adam);
  const { mean: rewardMean, deviation: rewardSd } = normalisation;
  const data = { train: sets.train.statistics, heldOut: sets.heldOut.statistics };
  return { ...summaryOf(quality), rewardMean, rewardSd, steps, data };
}

/** The tables of the held-out pairs: each pair, calibration, groups. */
async function writeJudgement(
  config: RewardConfig,
  { folder }: RunContext,
  heldOut: readonly PreferencePair[],
  quality: PairQuality,
): Promise<void> {
  await writeTable(folder.file('calibration.arrow'), calibrationColumns, quality.bins);
  const judged = heldOut.map((row, i) => judgedRow(row, quality.scores[i]));
  await writeTable(folder.file('samples.arrow'), sampleColumns, judged);
  if (config.groupBy !== null) await writeTable(folder.file('groups.arrow'), groupColumns, quality.groups);
}

/** The numbers that matter. Groups count equally in `groupAccuracy`, whatever their size. */
function summaryOf({ accuracy, labelAccuracy, calibrationError, shorterAccuracy, groups }: PairQuality) {
  const groupAccuracy = groups.length === 0 ? null : meanAndDeviation(groups.map((group) => group.accuracy)).mean;
  return { heldOutAccuracy: accuracy, labelAccuracy, ece: calibrationError, shorterAccuracy, groupAccuracy };
}

/** The largest batches of the run. */
function memoryShapes({ training }: RewardConfig, { train, heldOut }: PreferenceSets): RunShapes {
  const seq = roundedLength(Math.max(train.statistics.longest, heldOut.statistics.longest));
  const rows = 2 * Math.min(training.pairs, training.microBatchPairs);
  return { train: { rows, seq, logits: rows }, score: { rows: SCORE_BATCH, seq, logits: SCORE_BATCH } };
}

/** Stage 3 divides by the deviation. */
function checkSpread(deviation: number): void {
  if (deviation > 0) return;
  throw new InvariantError(
    'reward: every training response has the same score, so scores cannot be normalised; expected some spread. ' +
      'Train for longer or with a higher optimizer.learningRate.',
  );
}

/** A held-out pair with what the model thinks of it. */
function judgedRow(row: PreferencePair, scores: { chosen: number; rejected: number } | undefined) {
  const { prompt, chosen, rejected, gold_chosen, gold_rejected, flipped } = row;
  const scored = { score_chosen: scores?.chosen ?? 0, score_rejected: scores?.rejected ?? 0 };
  return { prompt, chosen, rejected, ...scored, gold_chosen, gold_rejected, flipped };
}

/** What the model card tells. */
function cardOf(
  { model, pairs, heldOut, loss, training, optimizer, tuning }: RewardConfig,
  quality: PairQuality,
): CardFacts {
  const { learningRate, schedule } = optimizer;
  return {
    made: 'Reward model',
    base: model,
    data: { pairs, 'held-out pairs': heldOut },
    decisions: {
      'score read at': 'the last token of the response',
      loss: { kind: 'Bradley–Terry', ...loss },
      normalisation:
        'mean 0 and deviation 1 over the training responses, in config.json (plumbline.reward_normalisation)',
      optimizer: { learningRate, schedule, epochs: training.epochs, pairs: training.pairs },
      tuning: tuning.method === 'lora' ? tuning.lora : { method: 'full', freeze: tuning.freeze },
    },
    results: summaryOf(quality),
  };
}

await program(import.meta.url, reward, 'Trains a reward model on preference pairs.');
