/** The loop of every stage that trains: batches, updates, measurements, the step that is kept, checkpoints. */

import { openKeptWeights } from '../checkpoint/kept-weights.ts';
import { trainedHash } from '../checkpoint/trained-hash.ts';
import { lastCheckpoint } from '../checkpoint/training-checkpoint.ts';
import type { CursorState } from '../examples/cursor.ts';
import { createCursor } from '../examples/cursor.ts';
import { readAhead } from '../examples/read-ahead.ts';
import type { LearnSettings } from '../execution/phases.ts';
import type { Schedule } from '../execution/schedule.ts';
import { learningRateAt } from '../execution/schedule.ts';
import { graphsMade } from '../graph/mode.ts';
import type { Model } from '../model/model.ts';
import { stepSeed } from '../random.ts';
import type { ProgressFields } from '../terminal/progress.ts';
import { endStep } from './end-step.ts';
import type { BestRule, BestState, BestSummary, KeptStep, Measured } from './keep-best.ts';
import { keepBest } from './keep-best.ts';
import type { MetricDescriptions } from './metrics.ts';
import { openMetrics } from './metrics.ts';
import type { RunContext } from './stage.ts';

/** What a checkpoint keeps beside weights and moments, so that a resumed run goes on as if it had never stopped. */
export interface TrainingState<M extends Measured> {
  readonly step: number;
  readonly cursor: CursorState;
  readonly best: BestState<M>;
}

/**
 * What a stage measures of its model: each measure in words, which way is better, its metric, and its name in a bar. The
 * first is told where the last step is kept.
 */
export type Measures<M extends Measured> = Readonly<
  Record<
    keyof M & string,
    { readonly name: string; readonly better: 'lower' | 'higher'; readonly metric: string; readonly bar?: string }
  >
>;

/** What one step did. */
export interface StepResult {
  /** By name, without the learning rate, the speed and what is measured. */
  readonly metrics: Readonly<Record<string, number | null>>;
  /** Shown beside the bar. */
  readonly shown: ProgressFields;
  /** How much of `unit` it has learned from. */
  readonly size?: number;
}

/** What a stage trains, and how. */
export interface Training<Batch, M extends Measured> {
  /** Names the run in what is said. */
  readonly stage: string;
  readonly metrics: MetricDescriptions;
  readonly steps: number;
  /** Whose best weights are kept: they are in it when the loop returns. */
  readonly model: Model;
  /** `count` items in a new order each pass, `perStep` of them a batch; `read` lays one out while the step before runs. */
  readonly data: { readonly count: number; readonly perStep: number; read(items: readonly number[]): Batch };
  /** What the bar counts and speed is told in; seconds a step where left out. */
  readonly unit?: 'tokens' | 'pairs';
  /** Makes the step's update; may depend on nothing but the batch and what checkpoints hold. */
  update(batch: Batch, settings: LearnSettings, step: number): Promise<StepResult>;
  readonly measures: Measures<M>;
  /** Measures the model on what is held out; null for what cannot be measured. */
  measure(step: number): M | Promise<M>;
  /** Tables that have to be on disk before a checkpoint is. */
  readonly tables?: readonly { flush(): Promise<void> }[];
  /** Saves a checkpoint; `more` adds the kept weights to its folder. */
  save(state: TrainingState<M>, more: (checkpoint: string) => void): Promise<void>;
}

/** The sections of a configuration that the loop reads. */
export interface TrainingSettings<M extends Measured> {
  readonly run: { readonly seed: number };
  readonly optimizer: Schedule & { readonly clipNorm: number | null };
  readonly evaluation: {
    readonly everySteps: number;
    readonly best: BestRule<M>['by'];
    readonly patience: number | null;
  };
  readonly checkpoints: { readonly everySteps: number };
}

/**
 * Trains from the last checkpoint, or from step 0, to the last step or an early stop. The weights of the best step lie
 * in the checkpoints, so that a checkpoint and the step it names as kept never part; a model folder is written by the
 * stage, after the loop.
 *
 * @returns the step that is kept, whose weights the model has now
 * @throws Interrupted after saving, when Ctrl-C was pressed; UserError where training changed nothing; CheckpointError
 *   where the checkpoint is damaged; what update, measure and save throw
 */
export async function trainingLoop<Batch, M extends Measured>(
  context: RunContext,
  config: TrainingSettings<M>,
  training: Training<Batch, M>,
): Promise<{ readonly kept: KeptStep<M>; readonly summary: BestSummary }> {
  const { folder, progress } = context;
  const { stage, steps, data, unit, measures, tables = [] } = training;
  const last = lastCheckpoint<TrainingState<M>>(folder);
  const first = last?.state.step ?? 0;
  const cursor = createCursor(data.count, last?.state.cursor ?? config.run.seed);
  const batches = readAhead(cursor, data.perStep, steps - first, data.read);
  const metrics = openMetrics(folder.file('metrics.arrow'), training.metrics, { resumeFromStep: last?.state.step });
  const { best, weights } = openBest(training, config.evaluation, folder, last);
  const measure = async (step: number): Promise<M> => {
    const measured = await training.measure(step);
    best.add(step, measured, step === steps);
    return measured;
  };
  const save = async (step: number): Promise<void> => {
    for (const table of [metrics, ...tables]) await table.flush();
    const state = { step, cursor: batches.state(), best: best.state() };
    await training.save(state, (checkpoint) => weights.save(checkpoint, step));
  };

  const bar = progress.phase(stage, steps, { start: first, ...(unit !== undefined && { unit }) });
  let measured = last?.state.best.last?.measured ?? (await measure(0));
  if (last === undefined) await metrics.add({ step: 0, ...metricsOf(measures, measured) });
  let total = 0;
  for (let step = first + 1; step <= steps && !best.hasStopped(); step++) {
    const batch = batches.next();
    const settings = settingsAt(step, stage, steps, config);
    const began = performance.now();
    const made = await training.update(batch, settings, step);
    const seconds = (performance.now() - began) / 1000;
    const isMeasured = step % config.evaluation.everySteps === 0 || step === steps;
    if (isMeasured) measured = await measure(step);
    await metrics.add({
      step,
      'optimizer/learning_rate': settings.learningRate,
      'speed/graphs': graphsMade(),
      ...(unit === undefined
        ? { 'speed/seconds': seconds }
        : { [`speed/${unit}_per_second`]: (made.size ?? 0) / seconds }),
      ...made.metrics,
      ...(isMeasured && metricsOf(measures, measured)),
    });
    total += made.size ?? 1;
    bar.update(step, { ...made.shown, ...shownOf(measures, measured) }, total);
    const end = best.hasStopped() ? step : steps;
    await endStep(context, { step, steps: end, everySteps: config.checkpoints.everySteps }, save);
  }
  const { kept, summary, lines } = best.finish(steps);
  weights.restore(best.state().last?.step ?? steps);
  bar.finish(`step ${kept.step} is kept: ${describeMeasured(measures, kept.measured)}`);
  for (const line of lines) progress.say(line);
  return { kept, summary };
}

/** The update settings of a step. */
function settingsAt(
  step: number,
  stage: string,
  steps: number,
  { run, optimizer }: Pick<TrainingSettings<Measured>, 'run' | 'optimizer'>,
): LearnSettings {
  return {
    learningRate: learningRateAt(optimizer, step - 1, steps),
    clipNorm: optimizer.clipNorm,
    where: `${stage} step ${step}`,
    dropoutSeed: stepSeed(run.seed, step),
  };
}

/** Which step is kept, and its weights. */
function openBest<M extends Measured>(
  { stage, model, measures }: Pick<Training<never, M>, 'stage' | 'model' | 'measures'>,
  { best: by, patience }: TrainingSettings<M>['evaluation'],
  folder: RunContext['folder'],
  last: { readonly path: string; readonly state: TrainingState<M> } | undefined,
) {
  const resumed = last && { folder: last.path, step: last.state.step, keptStep: last.state.best.kept?.step ?? null };
  const weights = openKeptWeights(model, folder.path, resumed);
  const keeper = { weights: () => trainedHash(model), keep: weights.keep };
  const rule = { by, told: namesOf(measures)[0] as keyof M & string, measures, patience };
  return { weights, best: keepBest<M>(stage, rule, keeper, last?.state.best) };
}

/** A measurement as columns of metrics.arrow. */
function metricsOf<M extends Measured>(measures: Measures<M>, measured: M): Record<string, number | null> {
  return Object.fromEntries(namesOf(measures).map((name) => [measures[name].metric, measured[name] ?? null]));
}

/** What there is of a measurement, for a bar. */
function shownOf<M extends Measured>(measures: Measures<M>, measured: M): ProgressFields {
  return Object.fromEntries(
    namesOf(measures).flatMap((name) => {
      const { bar } = measures[name];
      const value = measured[name];
      return bar === undefined || value === null || value === undefined ? [] : [[bar, value.toFixed(3)]];
    }),
  );
}

/** What there is of a measurement, in words: "validation loss 0.412, validation accuracy 0.750". */
export function describeMeasured<M extends Measured>(measures: Measures<M>, measured: M): string {
  const told = namesOf(measures).flatMap((name) => {
    const value = measured[name];
    return value === null || value === undefined ? [] : [`${measures[name].name} ${value.toFixed(3)}`];
  });
  return told.length === 0 ? 'nothing was measured' : told.join(', ');
}

function namesOf<M extends Measured>(measures: Measures<M>): (keyof M & string)[] {
  return Object.keys(measures) as (keyof M & string)[];
}
