/**
 * Distillation: a smaller student learns from the probabilities of a teacher on instruction data.
 *
 *   Reads   a language model (the teacher), a stage-1 run's instruct.arrow, data/seed and data/templates for validation
 *   Writes  <run.folder>/{config.yaml, metrics.arrow, samples.arrow, checkpoints/, best/, manifest.json}
 *   Run     node --import tsx stages/distill.ts configs/distill/tiny.yaml
 *   After   Hinton et al. 2015 (arXiv:1503.02531); the mix of losses as in DistilBERT (arXiv:1910.01108)
 */

import { rowBatches } from '../src/batch/token-batch.ts';
import { checkModelFolder, loadModelFolder, writeModelFolder } from '../src/checkpoint/model-folder.ts';
import { distillCard } from '../src/checkpoint/stage-cards.ts';
import { trainedHash } from '../src/checkpoint/trained-hash.ts';
import { saveTraining, startOrResume } from '../src/checkpoint/training-checkpoint.ts';
import { type ExampleValidation, exampleValidation } from '../src/evaluation/example-validation.ts';
import { measureValidation, type ValidationSet } from '../src/evaluation/validation.ts';
import type { CursorState } from '../src/examples/cursor.ts';
import { createCursor } from '../src/examples/cursor.ts';
import { readAhead } from '../src/examples/read-ahead.ts';
import type { TrainingData } from '../src/examples/tokenized-examples.ts';
import { openPacked } from '../src/examples/tokenized-packed.ts';
import { disposeAdamW } from '../src/execution/adamw.ts';
import { type Learned, learn } from '../src/execution/learn.ts';
import { learningRateAt, shortenedWarmups } from '../src/execution/schedule.ts';
import { atomicFolder } from '../src/files/atomic-write.ts';
import { GRAPHS_MADE, graphsMade } from '../src/graph/mode.ts';
import type { ModelDimensions } from '../src/model/dimensions.ts';
import type { Model } from '../src/model/model.ts';
import { disposeModel, newModel, trainNothing } from '../src/model/model.ts';
import { parameterCount } from '../src/model/parameter-table.ts';
import { studentDimensions } from '../src/model/student-dimensions.ts';
import { askTeacher, distillation, layOutForBoth } from '../src/objectives/distill.ts';
import { seededRandom } from '../src/random.ts';
import type { Scores, ValidationLog } from '../src/report/validation-log.ts';
import {
  describeScores,
  openValidationLog,
  shownScores,
  validationMetrics,
  validationSamples,
} from '../src/report/validation-log.ts';
import { endStep } from '../src/run/end-step.ts';
import type { BestState, KeptStep } from '../src/run/keep-best.ts';
import { openMetrics } from '../src/run/metrics.ts';
import { openParent, type Parent } from '../src/run/parents.ts';
import { program } from '../src/run/program.ts';
import type { RunFolder } from '../src/run/run-folder.ts';
import { recordLength } from '../src/run/run-length.ts';
import type { RunContext, Stage } from '../src/run/stage.ts';
import type { Tokenizer } from '../src/tokenizer/tokenizer.ts';
import { loadTokenizer } from '../src/tokenizer/tokenizer.ts';
import { DistillConfig } from './distill.config.ts';

/** Every metric this program writes. */
export const distillMetrics = {
  'loss/train': 'alpha · T² · KL(teacher ‖ student) + (1 − alpha) · cross-entropy, mean over learned tokens, in nats.',
  'loss/kl': 'KL(teacher ‖ student) at the temperature, mean over learned tokens, in nats; 0 where alpha is.',
  'loss/cross_entropy': 'Mean over learned tokens of −log p(token), in nats.',
  'loss/validation': 'The same on validation rows with trained templates.',
  'accuracy/validation': 'Mean score on validation rows with trained templates: mean over tasks.',
  'optimizer/learning_rate': 'Learning rate of the update.',
  'optimizer/gradient_norm': 'Global norm of the gradient before clipping.',
  'speed/tokens_per_second': 'Tokens of rows (prompt, target, padding) a second, of the update alone.',
  'speed/graphs': GRAPHS_MADE,
} as const;

interface State {
  readonly step: number;
  readonly cursor: CursorState;
  readonly best: BestState<Scores>;
}

const parents = {
  teacher: { role: 'teacher', takes: 'language model', inChain: 'instruct' },
  'student.checkpoint': { role: 'student', takes: 'language model' },
  'data.examples': { role: 'examples', takes: 'instruction examples', inChain: 'instruct/instruct.arrow' },
} as const;

export const distill: Stage<DistillConfig> = {
  name: 'distill',
  purpose: 'Trains a smaller student on the probabilities of a teacher.',
  schema: DistillConfig,
  parents,
  outputs: {
    samples: validationSamples,
    model: { path: 'best', holds: 'the student of the step that is kept', kind: 'language model' },
  },
  metrics: distillMetrics,
  check,
  run,
};

/** Teacher, student and validation questions, checked against each other; nothing that needs weights or a lane. */
async function prepare(config: DistillConfig) {
  const teacher = await openParent(config.teacher, parents.teacher);
  const tokenizer = loadTokenizer(teacher.folder);
  const { length } = config.sequence;
  const where = `teacher ${config.teacher}`;
  const dimensions = checkModelFolder(teacher.folder, { where, head: 'tokens', tokenizer, length });
  const { checkpoint } = config.student;
  const student =
    checkpoint === null
      ? undefined
      : await openParent(checkpoint, { ...parents['student.checkpoint'], tokenizer: tokenizer.hash });
  const sizes =
    student === undefined
      ? studentDimensions(dimensions, config.student)
      : checkModelFolder(student.folder, { where: `student ${checkpoint}`, head: 'tokens', tokenizer, length });
  const validation = exampleValidation(config, tokenizer, Math.min(dimensions.context, sizes.context));
  return { teacher, student, tokenizer, dimensions, sizes, validation };
}

async function check(config: DistillConfig): Promise<readonly string[]> {
  const { tokenizer, dimensions, sizes, validation } = await prepare(config);
  const data = openData(config, tokenizer, validation);
  data.close();
  const steps = stepsOf(config, data);
  return [
    describeModels(dimensions, sizes),
    `${data.examples} examples in ${data.units} packed rows of ${data.length} tokens; ${steps} steps of ${data.perUpdate} rows`,
    ...shortenedWarmups({ optimizer: config.optimizer }, steps),
    ...validation.lines,
  ];
}

function openData({ data, sequence, training }: DistillConfig, tokenizer: Tokenizer, { leftOut }: ExampleValidation) {
  return openPacked(data.examples, tokenizer, sequence.length, training.rows, leftOut);
}

function describeModels(teacher: ModelDimensions, student: ModelDimensions): string {
  const describe = (of: ModelDimensions): string =>
    `${of.layers} layers of ${of.dModel}, ${parameterCount(of, 'tokens').toLocaleString('en-US')} parameters`;
  return `teacher: ${describe(teacher)}; student: ${describe(student)}`;
}

function stepsOf({ training }: DistillConfig, data: { units: number; perUpdate: number }): number {
  return Math.max(1, Math.round((training.epochs * data.units) / data.perUpdate));
}

async function run(config: DistillConfig, context: RunContext): Promise<Record<string, unknown>> {
  const { folder, progress } = context;
  const { tokenizer, validation: prepared, ...parents } = await prepare(config);
  await record(folder, config, parents);
  for (const line of [`distill  ${describeModels(parents.dimensions, parents.sizes)}`, ...prepared.lines])
    progress.say(line);

  // 1. The teacher, which is never changed, and the student: new, from a checkpoint, or where its run was stopped.
  const teacher = loadModelFolder(parents.teacher.folder, { plan: trainNothing(), tokenizer, say: progress.say }).model;
  const begin = (): Model => newStudent(config, { ...parents, tokenizer });
  const { model, adam, state } = startOrResume<State>(folder, config.optimizer, begin);
  // 2. The packed rows of stage 1, and what both are measured on.
  const data = openData(config, tokenizer, prepared);
  const steps = await recordLength(context, stepsOf(config, data), { optimizer: config.optimizer });
  const first = state?.step ?? 0;
  const models = { student: model, teacher };
  const objective = distillation(config.distill);
  const batches = openBatches(config, data, models, {
    count: steps - first,
    at: state?.cursor,
  });
  const metrics = openMetrics(folder.file('metrics.arrow'), distillMetrics, { resumeFromStep: state?.step });
  const validation = openValidation(config, folder, { model, tokenizer, set: prepared.set, state });
  const goal = measureValidation(teacher, tokenizer, prepared.set);
  progress.say(`teacher  ${describeScores(goal)}`);
  let scores = state?.best.last?.measured ?? (await validation.measure(0, false));
  if (state === undefined) await metrics.add({ step: 0, ...validationMetrics(scores) });
  const save = async (step: number): Promise<void> => {
    await metrics.flush();
    await validation.flush();
    const saved: State = { step, cursor: batches.state(), best: validation.best.state() };
    await saveTraining(folder.path, config.checkpoints.keepLast, { model, adam }, tokenizer, saved);
  };

  // 3. The teacher's probabilities and the right tokens, mixed; the step that is best on validation rows is kept.
  const bar = progress.phase('distill', steps, { unit: 'tokens', start: first });
  const size = data.perUpdate * data.length;
  for (let step = first + 1; step <= steps && !validation.best.hasStopped(); step++) {
    const batch = batches.next();
    const learningRate = learningRateAt(config.optimizer, step - 1, steps);
    const began = performance.now();
    const parts = config.distill.alpha > 0 ? batch.map((rows) => askTeacher(models, rows)) : batch;
    const update = await learn(model, adam, objective, parts, {
      learningRate,
      clipNorm: config.optimizer.clipNorm,
      where: `distill step ${step}`,
    });
    const speed = size / ((performance.now() - began) / 1000);
    const isMeasured = step % config.evaluation.everySteps === 0 || step === steps;
    if (isMeasured) scores = await validation.measure(step, step === steps);
    await metrics.add({ step, ...metricsOf(update, isMeasured ? scores : undefined, learningRate, speed) });
    bar.update(step, { loss: update.loss.toFixed(3), ...shownScores(scores) }, (step - first) * size);
    const last = validation.best.hasStopped() ? step : steps;
    await endStep(context, { step, steps: last, everySteps: config.checkpoints.everySteps }, save);
  }
  data.close();
  for (const used of [model, teacher]) disposeModel(used);
  disposeAdamW(adam);

  // 4. The model to go on with is the best one.
  const { kept, summary, lines } = validation.best.finish(steps);
  bar.finish(`step ${kept.step} is kept: ${describeScores(kept.measured)}`);
  for (const line of lines) progress.say(line);
  return { ...named('', kept.measured), ...summary, steps, ...named('teacher', goal) };
}

/** A measurement in the summary: validationLoss and accuracy, or teacherValidationLoss and teacherAccuracy. */
function named(whose: '' | 'teacher', { loss, accuracy }: Scores): Record<string, number | null> {
  return whose === '' ? { validationLoss: loss, accuracy } : { teacherValidationLoss: loss, teacherAccuracy: accuracy };
}

/** Batches in the order of the run's cursor, each read while the step before is running. */
function openBatches(
  { run, training }: DistillConfig,
  data: TrainingData,
  models: { readonly student: Model; readonly teacher: Model },
  { count, at }: { count: number; at: CursorState | undefined },
) {
  const cursor = createCursor(data.units, at ?? run.seed);
  return readAhead(cursor, data.perUpdate, count, (units) =>
    rowBatches(data.take(units), training.microBatch ?? training.rows).map((part) => layOutForBoth(models, part)),
  );
}

/** Measures the student, writes its answers down, and keeps the best model in `best/`. */
function openValidation(
  config: DistillConfig,
  folder: RunFolder,
  parts: { model: Model; tokenizer: Tokenizer; set: ValidationSet; state: State | undefined },
): ValidationLog {
  const { model, tokenizer, set, state } = parts;
  const student = {
    measure: () => measureValidation(model, tokenizer, set),
    weights: () => trainedHash(model),
    write: async ({ step, measured }: KeptStep<Scores>, beatsStart: boolean | null): Promise<void> => {
      const card = distillCard(config, { step, ...measured, beatsStart });
      await atomicFolder(folder.file('best'), (path) => writeModelFolder(path, model, { tokenizer, card }));
    },
  };
  return openValidationLog('distill', folder, config.evaluation, student, state);
}

async function record(
  folder: RunFolder,
  { data }: DistillConfig,
  { teacher, student }: { teacher: Parent; student: Parent | undefined },
): Promise<void> {
  await folder.recordParent('teacher', teacher);
  if (student !== undefined) await folder.recordParent('student', student);
  for (const role of ['examples', 'tables', 'templates'] as const) await folder.recordInput(role, data[role]);
}

function newStudent(
  { run: { seed } }: DistillConfig,
  { student, sizes, tokenizer }: Pick<Awaited<ReturnType<typeof prepare>>, 'student' | 'sizes' | 'tokenizer'>,
): Model {
  if (student !== undefined) return loadModelFolder(student.folder, { tokenizer }).model;
  return newModel(sizes, 'tokens', seededRandom(seed, 'initialization'));
}

function metricsOf(
  update: Learned<'kl' | 'crossEntropy'>,
  measured: Scores | undefined,
  learningRate: number,
  speed: number,
) {
  return {
    'loss/train': update.loss,
    'loss/kl': update.stats.kl,
    'loss/cross_entropy': update.stats.crossEntropy,
    ...(measured && validationMetrics(measured)),
    'optimizer/learning_rate': learningRate,
    'optimizer/gradient_norm': update.gradientNorm,
    'speed/tokens_per_second': speed,
    'speed/graphs': graphsMade(),
  };
}

await program(import.meta.url, distill);
