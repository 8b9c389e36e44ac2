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
import { openKeptWeights } from '../src/checkpoint/kept-weights.ts';
import { checkModelFolder, loadModelFolder, writeModelFolder } from '../src/checkpoint/model-folder.ts';
import { keptFacts, rewardCard } from '../src/checkpoint/stage-cards.ts';
import { trainedHash } from '../src/checkpoint/trained-hash.ts';
import { lastCheckpoint, saveTraining, startOrResume } from '../src/checkpoint/training-checkpoint.ts';
import { rateOf, trainingPlan } from '../src/checkpoint/training-plan.ts';
import { ConfigError, InvariantError } from '../src/errors.ts';
import type { PairQuality } from '../src/evaluation/judge-pairs.ts';
import { judgePairs, pairIds, SCORE_BATCH, scoreSequences } from '../src/evaluation/judge-pairs.ts';
import { describeQuality, judgementTables, qualityOf, writeJudgement } from '../src/evaluation/judgement-tables.ts';
import { type PairScores, pairMeasures, pairMetrics, pairScores } from '../src/evaluation/pair-scores.ts';
import { meanAndDeviation } from '../src/evaluation/statistics.ts';
import type { CursorState } from '../src/examples/cursor.ts';
import { createCursor } from '../src/examples/cursor.ts';
import type { PreferenceSets } from '../src/examples/preference-sets.ts';
import { describePairs, readPreferenceSets } from '../src/examples/preference-sets.ts';
import { readAhead } from '../src/examples/read-ahead.ts';
import { disposeAdamW } from '../src/execution/adamw.ts';
import { learn } from '../src/execution/learn.ts';
import type { RunShapes } from '../src/execution/memory-estimate.ts';
import { announceMemory } from '../src/execution/memory-estimate.ts';
import { learningRateAt, shortenedWarmups } from '../src/execution/schedule.ts';
import { atomicFolder } from '../src/files/atomic-write.ts';
import { GRAPHS_MADE, graphsMade } from '../src/graph/mode.ts';
import type { Model } from '../src/model/model.ts';
import { disposeModel } from '../src/model/model.ts';
import { preferences } from '../src/objectives/bradley-terry.ts';
import { seededRandom, stepSeed } from '../src/random.ts';
import { endStep } from '../src/run/end-step.ts';
import type { BestState, KeptStep } from '../src/run/keep-best.ts';
import { keepBest } from '../src/run/keep-best.ts';
import { openMetrics } from '../src/run/metrics.ts';
import type { Parent } from '../src/run/parents.ts';
import { openParent } from '../src/run/parents.ts';
import { program } from '../src/run/program.ts';
import type { RunFolder } from '../src/run/run-folder.ts';
import { recordLength } from '../src/run/run-length.ts';
import type { RunContext, Stage } from '../src/run/stage.ts';
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

interface State {
  readonly step: number;
  readonly cursor: CursorState;
  readonly best: BestState<PairScores>;
}

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
    ...judgementTables,
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

/** The checkpoint to start from, its tokenizer, and the pairs as ids; no weights are read. */
async function prepare(config: RewardConfig, record: (parent: Parent) => Promise<void> = async () => undefined) {
  const parent = await openParent(config.model, parents.model);
  await record(parent);
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
    if (config.heldOut !== null) await folder.recordInput('heldOut', config.heldOut);
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
  const objective = preferences({ centring: config.loss.centring, padId: tokenizer.padId });
  const batches = readAhead(cursor, config.training.pairs, steps - first, (items) => {
    const batch = items.map((index) => pairs[index] as (typeof pairs)[number]);
    const size = config.training.microBatch ?? batch.length;
    return chunks(batch, size).map((part) => objective.layOut(model, part));
  });
  const metrics = openMetrics(folder.file('metrics.arrow'), rewardMetrics, { resumeFromStep: state?.step });
  const held = openHeldOut(config, folder, { model, state, pairs: heldOut, steps, padId: tokenizer.padId });
  const save = async (step: number): Promise<void> => {
    await metrics.flush();
    const saved: State = { step, cursor: batches.state(), best: held.best.state() };
    const more = (checkpoint: string) => held.weights.save(checkpoint, step);
    await saveTraining(folder.path, config.checkpoints.keepLast, { model, adam }, tokenizer, saved, more);
  };

  // 3. Bradley–Terry on the labelled pairs; the step that is best on held-out ones is kept.
  progress.say(`reward  ${pairs.length} pairs, ${heldOut.length} held out, ${steps} steps`);
  const bar = progress.phase('reward', steps, { start: first });
  let scores = state?.best.last?.measured ?? (await held.measure(0));
  if (state === undefined) await metrics.add({ step: 0, ...pairMetrics(scores) });
  for (let step = first + 1; step <= steps && !held.best.hasStopped(); step++) {
    const batch = batches.next();
    const learningRate = learningRateAt(config.optimizer, step - 1, steps);
    const began = performance.now();
    const update = await learn(model, adam, objective, batch, {
      learningRate,
      clipNorm: config.optimizer.clipNorm,
      where: `reward step ${step}`,
      dropoutSeed: stepSeed(config.run.seed, step),
    });
    const speed = config.training.pairs / ((performance.now() - began) / 1000);
    const measure = step % config.evaluation.everySteps === 0 || step === steps;
    if (measure) scores = await held.measure(step);
    await metrics.add({
      step,
      'loss/train': update.loss,
      'accuracy/train': update.stats.accuracy,
      'margin/train': update.stats.margin,
      ...(measure && pairMetrics(scores)),
      'optimizer/learning_rate': learningRate,
      'optimizer/gradient_norm': update.gradientNorm,
      'speed/pairs_per_second': speed,
      'speed/graphs': graphsMade(),
    });
    bar.update(step, {
      loss: update.loss.toFixed(3),
      ...(scores.accuracy !== null && { accuracy: scores.accuracy.toFixed(3) }),
    });
    const last = held.best.hasStopped() ? step : steps;
    await endStep(context, { step, steps: last, everySteps: config.checkpoints.everySteps }, save);
  }
  const { kept, summary, lines } = held.best.finish(steps);
  held.weights.restore(held.best.state().last?.step ?? steps);
  const quality = held.judge();
  bar.finish(`step ${kept.step} is kept${quality === null ? '' : `: ${describeQuality(quality)}`}`);
  for (const line of lines) progress.say(line);

  // 4. Normalise: over the training responses, scores have mean 0 and standard deviation 1. Stored with the model.
  const responses = pairs.flatMap(({ chosen, rejected }) => [chosen, rejected]);
  const normalisation = meanAndDeviation(scoreSequences(model, responses, tokenizer.padId));
  checkSpread(normalisation.deviation);
  const results = { ...qualityOf(quality), ...keptFacts(config.evaluation.best, { ...summary, step: kept.step }) };
  const options = { tokenizer, normalisation, base: parent.path, card: rewardCard(config, results) };
  await atomicFolder(folder.file('model'), (path) => writeModelFolder(path, model, options));
  if (quality !== null) await writeJudgement(folder.file, heldOut, quality, config.groupBy !== null);
  disposeModel(model);
  disposeAdamW(adam);
  const { mean: rewardMean, deviation: rewardSd } = normalisation;
  const data = { train: sets.train.statistics, heldOut: sets.heldOut.statistics };
  return { ...qualityOf(quality), ...summary, rewardMean, rewardSd, steps, data };
}

/** Judges the held-out pairs, and sets the weights of the best step aside. */
function openHeldOut(
  { evaluation, loss }: RewardConfig,
  folder: RunFolder,
  parts: {
    model: Model;
    state: State | undefined;
    pairs: PreferenceSets['heldOut']['pairs'];
    steps: number;
    padId: number;
  },
) {
  const { model, state, pairs, steps, padId } = parts;
  const last = lastCheckpoint<State>(folder);
  const resumed = last && { folder: last.path, step: last.state.step, keptStep: last.state.best.kept?.step ?? null };
  const weights = openKeptWeights(model, resumed);
  const rule = { measures: pairMeasures, told: 'loss', by: evaluation.best, patience: evaluation.patience } as const;
  const keeper = {
    weights: () => trainedHash(model),
    write: async ({ step }: KeptStep<PairScores>) => weights.keep(step),
  };
  const best = keepBest<PairScores>('reward', rule, keeper, state?.best);
  const judge = (): PairQuality | null => (pairs.length === 0 ? null : judgePairs(model, pairs, padId, loss));
  const measure = async (step: number): Promise<PairScores> => {
    const scores = pairScores(judge());
    await best.add(step, scores, step === steps);
    return scores;
  };
  return { best, weights, judge, measure };
}

/** The largest batches of the run. */
function memoryShapes({ training }: RewardConfig, { train, heldOut }: PreferenceSets): RunShapes {
  const seq = roundedLength(Math.max(train.statistics.longest, heldOut.statistics.longest));
  const rows = 2 * Math.min(training.pairs, training.microBatch ?? training.pairs);
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

await program(import.meta.url, reward);
