/**
 * Stage 2: a reward model from preference pairs.
 *
 *   Reads   a stage-1 checkpoint, train.arrow and held-out.arrow of preference pairs
 *   Writes  <run.folder>/{config.yaml, metrics.arrow, samples.arrow, calibration.arrow, checkpoints/, model/, manifest.json}
 *   Run     npx tsx stages/2-reward.ts configs/reward/tiny.yaml
 *   After   Christiano et al. 2017 (arXiv:1706.03741); Stiennon et al. 2020 (arXiv:2009.01325)
 */
import { listCheckpoints, saveCheckpoint } from '../src/checkpoint/checkpoint-list.ts';
import { checkVocabulary, loadModelFolder, writeModelFolder } from '../src/checkpoint/model-folder.ts';
import { readOptimizer, readState, writeOptimizer, writeState } from '../src/checkpoint/training-state.ts';
import { writeTable } from '../src/data/arrow-file.ts';
import { bool, float32, int32, utf8 } from '../src/data/columns.ts';
import type { CursorState } from '../src/data/cursor.ts';
import { createCursor } from '../src/data/cursor.ts';
import type { PreferenceRow } from '../src/data/preference.ts';
import { readPreferences } from '../src/data/preference.ts';
import { calibration, pairAccuracy } from '../src/evaluation/calibration.ts';
import { meanAndDeviation } from '../src/evaluation/statistics.ts';
import { atomicFolder } from '../src/files/atomic-write.ts';
import type { Model } from '../src/model/model.ts';
import { disposeModel, scoreModelFrom } from '../src/model/model.ts';
import { seededRandom } from '../src/random.ts';
import { endStep } from '../src/run/end-step.ts';
import { openMetrics } from '../src/run/metrics.ts';
import { openParent } from '../src/run/parents.ts';
import { program } from '../src/run/program.ts';
import { openSamples } from '../src/run/samples.ts';
import type { RunContext, Stage } from '../src/run/stage.ts';
import type { PromptResponse } from '../src/steps/response-batch.ts';
import { responseBatch } from '../src/steps/response-batch.ts';
import { rewardUpdate } from '../src/steps/reward-update.ts';
import { responseScores } from '../src/steps/score-responses.ts';
import { loadTokenizer } from '../src/tokenizer/tokenizer.ts';
import { createAdamW, disposeAdamW } from '../src/training/adamw.ts';
import { learningRateAt } from '../src/training/schedule.ts';
import { RewardConfig } from './2-reward.config.ts';

/** Every metric this stage writes. */
export const rewardMetrics = {
  'loss/train': 'Mean over the pairs of −log σ(r_chosen − r_rejected − margin), plus the centring term.',
  'accuracy/train': 'Fraction of the pairs of the update whose labelled choice scores higher.',
  'margin/train': 'Mean over the pairs of r_chosen − r_rejected.',
  'accuracy/held_out': 'Fraction of held-out pairs whose better response by gold (without label noise) scores higher.',
  'accuracy/held_out_labels': 'Fraction of held-out pairs whose labelled choice (with label noise) scores higher.',
  'calibration/error': 'Expected calibration error of σ(|Δ|) against the held-out labels, ten bins.',
  'optimizer/learning_rate': 'Learning rate of the update.',
  'optimizer/gradient_norm': 'Global norm of the gradient before clipping.',
  'speed/pairs_per_second': 'Pairs a second, of the update alone.',
} as const;

const sampleColumns = {
  prompt: utf8('Rendered prompt.'),
  chosen: utf8('Labelled choice.'),
  rejected: utf8('The other response.'),
  score_chosen: float32('Raw score of the labelled choice.'),
  score_rejected: float32('Raw score of the other response.'),
  gold_chosen: float32('Gold score of the labelled choice.'),
  gold_rejected: float32('Gold score of the other response.'),
  flipped: bool('Whether label noise swapped the two.'),
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

export const reward: Stage<RewardConfig> = { name: 'reward', schema: RewardConfig, run };

async function run(config: RewardConfig, context: RunContext): Promise<Record<string, unknown>> {
  const { folder, progress } = context;
  const parent = await openParent(config.model, { role: 'instruct model', stages: ['instruct', 'pretrain'] });
  await folder.recordParent('model', parent);
  await folder.recordInput('pairs', config.pairs);
  await folder.recordInput('heldOut', config.heldOut);
  const tokenizer = loadTokenizer(parent.folder);

  // 1. The trunk of the instruct model with a new scalar head, or the checkpoint to resume.
  const last = folder.resumed ? listCheckpoints(folder.path).at(-1) : undefined;
  const state = last === undefined ? undefined : readState<State>(last.path);
  const model = last === undefined ? newRewardModel(parent.folder, config.run.seed) : loadModelFolder(last.path).model;
  checkVocabulary(model, tokenizer, `instruct model ${config.model}`);
  const { layout } = model.parameters;
  const adam =
    last === undefined || state === undefined
      ? createAdamW(layout, config.optimizer)
      : readOptimizer(`${last.path}/optimizer.safetensors`, layout, config.optimizer, state.step);

  // 2. Pairs as ids. Held-out prompts never occur in training.
  const reader = { tokenizer, contextLength: model.dimensions.context };
  const rows = readPreferences(config.pairs, reader, 'npx tsx scripts/preferences.ts');
  const heldOut = readPreferences(config.heldOut, reader, 'npx tsx scripts/preferences.ts');
  const pairs = rows.map((row) => ({ ...pairIds(row), margin: config.loss.useMargin ? row.margin : 0 }));
  const cursor = createCursor(pairs.length, state?.cursor ?? config.run.seed);
  const metrics = openMetrics(folder.file('metrics.arrow'), rewardMetrics, { resumeFromStep: state?.step ?? 0 });
  const samples = openSamples(folder.file('samples.arrow'), sampleColumns, { resumeFromStep: state?.step ?? 0 });
  const save = async (step: number): Promise<void> => {
    await metrics.flush();
    await saveCheckpoint(folder.path, step, config.checkpoints.keepLast, (path) => {
      writeModelFolder(path, model, { tokenizer });
      writeOptimizer(`${path}/optimizer.safetensors`, layout, adam);
      writeState(path, { step, cursor: cursor.state() } satisfies State);
    });
  };

  // 3. Bradley–Terry on the labelled pairs.
  const steps = Math.max(1, Math.round((config.training.epochs * pairs.length) / config.training.pairs));
  progress.say(`reward  ${pairs.length} pairs, ${heldOut.length} held out, ${steps} steps`);
  const bar = progress.phase('reward', steps, { start: state?.step ?? 0 });
  let quality = judge(model, heldOut, tokenizer.padId);
  for (let step = (state?.step ?? 0) + 1; step <= steps; step++) {
    const batch = cursor.next(config.training.pairs).map((index) => pairs[index] as (typeof pairs)[number]);
    const learningRate = learningRateAt(config.optimizer, step - 1, steps);
    const began = performance.now();
    const options = { learningRate, clipNorm: config.optimizer.clipNorm, where: `reward step ${step}` };
    const update = rewardUpdate(model, adam, batch, tokenizer.padId, { ...options, centring: config.loss.centring });
    const speed = batch.length / ((performance.now() - began) / 1000);
    const measure = step % config.evaluateEverySteps === 0 || step === steps;
    if (measure) quality = judge(model, heldOut, tokenizer.padId);
    await metrics.add({
      step,
      'loss/train': update.loss,
      'accuracy/train': update.stats.accuracy,
      'margin/train': update.stats.margin,
      ...(measure ? qualityMetrics(quality) : {}),
      'optimizer/learning_rate': learningRate,
      'optimizer/gradient_norm': update.gradientNorm,
      'speed/pairs_per_second': speed,
    });
    bar.update(step, { loss: update.loss.toFixed(3), accuracy: quality.accuracy.toFixed(3) });
    await endStep(context, { step, steps, everySteps: config.checkpoints.everySteps }, save);
  }
  bar.finish(
    `held-out accuracy ${quality.accuracy.toFixed(3)}, calibration error ${quality.calibrationError.toFixed(3)}`,
  );

  // 4. Normalise: over the training responses, scores have mean 0 and standard deviation 1. Stored with the model.
  const all = rows.flatMap((row) => [pairIds(row).chosen, pairIds(row).rejected]);
  const normalisation = meanAndDeviation(scoreAll(model, all, tokenizer.padId));
  await atomicFolder(folder.file('model'), (path) => writeModelFolder(path, model, { tokenizer, normalisation }));
  await folder.recordOutput('model', 'model');
  await writeTable(folder.file('calibration.arrow'), calibrationColumns, quality.bins);
  for (const [index, { prompt, chosen, rejected, gold_chosen, gold_rejected, flipped }] of heldOut.entries()) {
    const scores = quality.scores[index] ?? { chosen: 0, rejected: 0 };
    const scored = { score_chosen: scores.chosen, score_rejected: scores.rejected };
    await samples.add({ step: steps, prompt, chosen, rejected, ...scored, gold_chosen, gold_rejected, flipped });
  }
  await samples.flush();
  disposeModel(model);
  disposeAdamW(adam);
  const { accuracy, labelAccuracy, calibrationError, shorterAccuracy } = quality;
  return {
    heldOutAccuracy: accuracy,
    labelAccuracy,
    ece: calibrationError,
    shorterAccuracy,
    rewardMean: normalisation.mean,
    rewardSd: normalisation.deviation,
    steps,
  };
}

function newRewardModel(folder: string, seed: number): Model {
  const { model } = loadModelFolder(folder);
  const scored = scoreModelFrom(model, seededRandom(seed, 'score head'));
  disposeModel(model);
  return scored;
}

function pairIds(row: PreferenceRow): { chosen: PromptResponse; rejected: PromptResponse } {
  const split = (ids: Int32Array): PromptResponse => ({
    promptIds: ids.subarray(0, row.prompt_length),
    responseIds: ids.subarray(row.prompt_length),
  });
  return { chosen: split(row.chosen_ids), rejected: split(row.rejected_ids) };
}

/** Sequences scored side by side. */
const SCORE_BATCH = 64;

function scoreAll(model: Model, sequences: readonly PromptResponse[], padId: number): number[] {
  const scores: number[] = [];
  for (let at = 0; at < sequences.length; at += SCORE_BATCH) {
    scores.push(...responseScores(model, responseBatch(sequences.slice(at, at + SCORE_BATCH), padId)));
  }
  return scores;
}

/** How well the model judges held-out pairs. */
interface Quality {
  readonly scores: { chosen: number; rejected: number }[];
  /** Against gold, without label noise. */
  readonly accuracy: number;
  readonly labelAccuracy: number;
  /** Against gold, over the pairs whose better response is the shorter one: far below `accuracy` means length bias. */
  readonly shorterAccuracy: number;
  readonly calibrationError: number;
  readonly bins: ReturnType<typeof calibration>['bins'];
}

function judge(model: Model, rows: readonly PreferenceRow[], padId: number): Quality {
  const pairs = rows.map(pairIds);
  const all = scoreAll(
    model,
    pairs.flatMap(({ chosen, rejected }) => [chosen, rejected]),
    padId,
  );
  const scores = rows.map((_, i) => ({ chosen: all[2 * i] as number, rejected: all[2 * i + 1] as number }));
  const byGold = rows.map((row, i) => {
    const { chosen, rejected } = scores[i] as { chosen: number; rejected: number };
    return row.gold_chosen > row.gold_rejected ? { chosen, rejected } : { chosen: rejected, rejected: chosen };
  });
  const shorter = byGold.filter((_, i) => {
    const row = rows[i] as PreferenceRow;
    const difference = row.chosen_ids.length - row.rejected_ids.length;
    return row.gold_chosen > row.gold_rejected ? difference < 0 : difference > 0;
  });
  const { bins, error } = calibration(scores);
  return {
    scores,
    accuracy: pairAccuracy(byGold),
    labelAccuracy: pairAccuracy(scores),
    shorterAccuracy: pairAccuracy(shorter),
    calibrationError: error,
    bins,
  };
}

function qualityMetrics(quality: Quality): Partial<Record<keyof typeof rewardMetrics, number>> {
  return {
    'accuracy/held_out': quality.accuracy,
    'accuracy/held_out_labels': quality.labelAccuracy,
    'calibration/error': quality.calibrationError,
  };
}

await program(import.meta.url, reward, 'Trains a reward model on preference pairs.');
