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
import { disposeTrained, saveTraining, startOrResume } from '../src/checkpoint/training-checkpoint.ts';
import { type ExampleValidation, exampleValidation } from '../src/evaluation/example-validation.ts';
import { measureValidation } from '../src/evaluation/validation.ts';
import { openPacked } from '../src/examples/tokenized-packed.ts';
import { type Learned, learn } from '../src/execution/learn.ts';
import { shortenedWarmups } from '../src/execution/schedule.ts';
import { atomicFolder } from '../src/files/atomic-write.ts';
import { GRAPHS_MADE } from '../src/graph/mode.ts';
import type { ModelDimensions } from '../src/model/dimensions.ts';
import type { Model } from '../src/model/model.ts';
import { disposeModel, newModel, trainNothing } from '../src/model/model.ts';
import { parameterCount } from '../src/model/parameter-table.ts';
import { studentDimensions } from '../src/model/student-dimensions.ts';
import { askTeacher, distillation, layOutForBoth } from '../src/objectives/distill.ts';
import { seededRandom } from '../src/random.ts';
import type { Scores } from '../src/report/validation-log.ts';
import { openValidationLog, validationMeasures, validationSamples } from '../src/report/validation-log.ts';
import { openParent, type Parent } from '../src/run/parents.ts';
import { program } from '../src/run/program.ts';
import type { RunFolder } from '../src/run/run-folder.ts';
import { recordLength, stepsOfEpochs } from '../src/run/run-length.ts';
import type { RunContext, Stage } from '../src/run/stage.ts';
import { describeMeasured, trainingLoop } from '../src/run/training-loop.ts';
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
    model: { path: 'best', holds: 'the student of the step that is kept', kind: 'tuned model' },
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
  const dimensions = checkModelFolder(teacher.folder, { where, kind: 'language model', tokenizer, length });
  const { checkpoint } = config.student;
  const student =
    checkpoint === null
      ? undefined
      : await openParent(checkpoint, { ...parents['student.checkpoint'], tokenizer: tokenizer.hash });
  const sizes =
    student === undefined
      ? studentDimensions(dimensions, config.student)
      : checkModelFolder(student.folder, { where: `student ${checkpoint}`, kind: 'language model', tokenizer, length });
  const validation = exampleValidation(config, tokenizer, Math.min(dimensions.context, sizes.context));
  return { teacher, student, tokenizer, dimensions, sizes, validation };
}

async function check(config: DistillConfig): Promise<readonly string[]> {
  const { tokenizer, dimensions, sizes, validation } = await prepare(config);
  const data = openData(config, tokenizer, validation);
  data.close();
  const steps = stepsOfEpochs(config.training, data);
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

async function run(config: DistillConfig, context: RunContext): Promise<Record<string, unknown>> {
  const { folder, progress } = context;
  const { keepLast } = config.checkpoints;
  const { tokenizer, validation: prepared, ...parents } = await prepare(config);
  await record(folder, config, parents);
  progress.say(`distill  ${describeModels(parents.dimensions, parents.sizes)}`);
  for (const line of prepared.lines) progress.say(line);

  // 1. The teacher, which is never changed, and the student: new, from a checkpoint, or where its run was stopped.
  const teacher = loadModelFolder(parents.teacher.folder, { plan: trainNothing(), tokenizer, say: progress.say }).model;
  const begin = (): Model => newStudent(config, { ...parents, tokenizer });
  const trained = startOrResume(folder, config.optimizer, begin);
  const { model, adam, state } = trained;
  const models = { student: model, teacher };
  const objective = distillation(config.distill);

  // 2. The packed rows of stage 1, and what both are measured on.
  const data = openData(config, tokenizer, prepared);
  const { rows, microBatch } = config.training;
  const steps = await recordLength(context, stepsOfEpochs(config.training, data), { optimizer: config.optimizer });
  const validation = openValidationLog(folder, state?.step, () => measureValidation(model, tokenizer, prepared.set));
  const { loss, accuracy } = await measureValidation(teacher, tokenizer, prepared.set);
  const goal = { loss, accuracy };
  progress.say(`teacher  ${describeMeasured(validationMeasures, goal)}`);

  // 3. The teacher's probabilities and the right tokens, mixed; the step that is best on validation rows is kept.
  const { kept, summary } = await trainingLoop(context, config, {
    stage: 'distill',
    metrics: distillMetrics,
    model,
    steps,
    data: {
      count: data.units,
      perStep: data.perUpdate,
      read: (units) => rowBatches(data.take(units), microBatch ?? rows).map((part) => layOutForBoth(models, part)),
    },
    unit: 'tokens',
    update: async (batch, settings) => {
      const microBatches = config.distill.alpha > 0 ? batch.map((part) => askTeacher(models, part)) : batch;
      const update = await learn(model, adam, objective, microBatches, settings);
      return {
        metrics: metricsOf(update),
        shown: { loss: update.loss.toFixed(3) },
        size: data.perUpdate * data.length,
      };
    },
    measures: validationMeasures,
    measure: validation.measure,
    tables: [validation],
    save: (state, more) => saveTraining(folder.path, keepLast, trained, tokenizer, state, more),
  });
  data.close();

  // 4. The model to go on with is the best one.
  const card = distillCard(config, { ...kept.measured, step: kept.step, beatsStart: summary.beatsStart });
  await atomicFolder(folder.file('best'), (path) => writeModelFolder(path, model, { tokenizer, card }));
  disposeTrained(trained);
  disposeModel(teacher);
  return { ...named('', kept.measured), ...summary, steps, ...named('teacher', goal) };
}

/** A measurement in the summary: validationLoss and accuracy, or teacherValidationLoss and teacherAccuracy. */
function named(whose: '' | 'teacher', { loss, accuracy }: Scores): Record<string, number | null> {
  return whose === '' ? { validationLoss: loss, accuracy } : { teacherValidationLoss: loss, teacherAccuracy: accuracy };
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

function metricsOf({ loss, gradientNorm, stats }: Learned<'kl' | 'crossEntropy'>) {
  return {
    'loss/train': loss,
    'loss/kl': stats.kl,
    'loss/cross_entropy': stats.crossEntropy,
    'optimizer/gradient_norm': gradientNorm,
  };
}

await program(import.meta.url, distill);
