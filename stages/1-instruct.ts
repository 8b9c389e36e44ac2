/**
 * Stage 1: instruction tuning on FLAN-style tasks.
 *
 *   Reads   a base checkpoint, data/seed/<task>.jsonl, data/templates/<task>.yaml
 *   Writes  <run.folder>/{config.yaml, instruct.arrow, mixture.arrow, metrics.arrow, samples.arrow, checkpoints/, best/, manifest.json}
 *   Run     node --import tsx stages/1-instruct.ts configs/instruct/tiny.yaml
 *   After   Wei et al. 2022 (FLAN, arXiv:2109.01652)
 */
import { join } from 'node:path';
import type { CardFacts } from '../src/checkpoint/model-card.ts';
import { checkModelFolder, loadModelFolder, writeModelFolder } from '../src/checkpoint/model-folder.ts';
import { saveTraining, startOrResume } from '../src/checkpoint/training-checkpoint.ts';
import { rateOf, trainingPlan } from '../src/checkpoint/training-plan.ts';
import { GRAPHS_MADE, graphsMade } from '../src/compile/mode.ts';
import { bool, utf8 } from '../src/data/columns.ts';
import type { CursorState } from '../src/data/cursor.ts';
import { createCursor } from '../src/data/cursor.ts';
import type { InstructDataset, InstructPlan } from '../src/data/instruct-dataset.ts';
import { planInstruct, prepareInstruct } from '../src/data/instruct-dataset.ts';
import { describeStatistics } from '../src/data/instruction-table.ts';
import { splitRows } from '../src/data/packing.ts';
import { readAhead } from '../src/data/read-ahead.ts';
import { describeLosses, type Task } from '../src/data/tasks.ts';
import type { TrainingData } from '../src/data/tokenized-examples.ts';
import { openPacked } from '../src/data/tokenized-packed.ts';
import { openPadded } from '../src/data/tokenized-padded.ts';
import { accuracyByTask, answerTasks } from '../src/evaluation/answer-tasks.ts';
import { taskItems } from '../src/evaluation/task-items.ts';
import { atomicCopy } from '../src/files/atomic-copy.ts';
import { atomicFolder } from '../src/files/atomic-write.ts';
import type { Model } from '../src/model/model.ts';
import { disposeModel } from '../src/model/model.ts';
import { seededRandom, stepSeed } from '../src/random.ts';
import { mixtureLines } from '../src/report/mixture-table.ts';
import { endStep } from '../src/run/end-step.ts';
import { openMetrics } from '../src/run/metrics.ts';
import { openParent } from '../src/run/parents.ts';
import { program } from '../src/run/program.ts';
import type { RunFolder } from '../src/run/run-folder.ts';
import { recordLength } from '../src/run/run-length.ts';
import { openSamples } from '../src/run/samples.ts';
import type { RunContext, Stage } from '../src/run/stage.ts';
import { nextTokenBatches, nextTokenUpdate } from '../src/steps/language-model.ts';
import type { RunShapes } from '../src/steps/memory-estimate.ts';
import { announceMemory } from '../src/steps/memory-estimate.ts';
import type { Tokenizer } from '../src/tokenizer/tokenizer.ts';
import { loadTokenizer } from '../src/tokenizer/tokenizer.ts';
import { disposeAdamW } from '../src/training/adamw.ts';
import { learningRateAt, shortenedWarmups } from '../src/training/schedule.ts';
import { InstructConfig } from './1-instruct.config.ts';

/** Every metric this stage writes. */
export const instructMetrics = {
  'loss/train': 'Mean over target tokens of the update of −log p(token | prompt, earlier target tokens), in nats.',
  'accuracy/validation':
    'Mean score on validation rows with trained templates: mean over tasks; the fraction of right answers for most.',
  'optimizer/learning_rate': 'Learning rate of the update.',
  'optimizer/gradient_norm': 'Global norm of the gradient before clipping.',
  'speed/tokens_per_second': 'Tokens of rows (prompt, target, padding) a second, of the update alone.',
  'speed/graphs': GRAPHS_MADE,
} as const;

const sampleColumns = {
  task: utf8('Dataset of the row.'),
  template: utf8('Template it was rendered with.'),
  prompt: utf8('Rendered prompt.'),
  target: utf8('Right answer.'),
  prediction: utf8('Answer of the model.'),
  correct: bool('Whether they are equal.'),
};

interface State {
  readonly step: number;
  readonly cursor: CursorState;
  /** Best validation accuracy so far and the step it was measured at. */
  readonly best: { readonly accuracy: number; readonly step: number };
}

export const instruct: Stage<InstructConfig> = { name: 'instruct', schema: InstructConfig, check, run };

/** The base model's folder and tokenizer, and the plan of the mixture; nothing that needs weights or a lane. */
async function prepare(config: InstructConfig) {
  const parent = await openParent(config.model, { role: 'base model', stages: ['pretrain', 'instruct', 'distill'] });
  const tokenizer = loadTokenizer(parent.folder);
  const where = `base model ${config.model}`;
  const dimensions = checkModelFolder(parent.folder, {
    ...{ where, head: 'tokens', tokenizer, length: config.sequence.length },
  });
  const training = trainingPlan(dimensions, 'tokens', config.tuning, config.memory);
  return { parent, tokenizer, dimensions, training, plan: planInstruct(config) };
}

/** The tokenized mixture, from the cache or made now. */
async function makeDataset(config: InstructConfig, plan: InstructPlan, tokenizer: Tokenizer): Promise<InstructDataset> {
  const fit = { maxLength: config.sequence.length, overlong: config.sequence.overlong };
  return prepareInstruct(config, plan, tokenizer, { cache: config.data.cache, seed: config.run.seed, fit });
}

/** Packed rows, or batches of like length where buckets are given. */
function openData(config: InstructConfig, path: string, tokenizer: Tokenizer): TrainingData {
  const { length, buckets } = config.sequence;
  const { rows } = config.training;
  if (buckets === null) return openPacked(path, tokenizer, length, rows);
  return openPadded(path, tokenizer, buckets, rows, config.run.seed);
}

/** The largest batches of the run; the learned share of rows varies by about a third. */
function memoryShapes(config: InstructConfig, { statistics }: InstructDataset, tasks: number): RunShapes {
  const { training, sequence, evaluation } = config;
  const rows = training.rows / training.accumulate;
  const share = Math.min(1, (1.3 * statistics.trainableTokens) / statistics.tokens);
  const logits = Math.ceil(rows * sequence.length * share);
  const asked = Math.min(64, evaluation.rowsPerTask * tasks);
  return { train: { rows, seq: sequence.length, logits }, generate: { rows: asked, seq: statistics.longest } };
}

function describeUnit({ sequence: { length, buckets }, training: { rows } }: InstructConfig): string {
  return buckets === null ? `${rows} packed rows of ${length} tokens` : `${rows} rows of ${buckets.join(', ')} tokens`;
}

async function check(config: InstructConfig): Promise<string[]> {
  const { plan, tokenizer } = await prepare(config);
  const { statistics, mixture, path } = await makeDataset(config, plan, tokenizer);
  const data = openData(config, join(path, 'instruct.arrow'), tokenizer);
  const steps = stepCount(config, data);
  data.close();
  const warmups = shortenedWarmups({ optimizer: config.optimizer }, steps);
  return [describeStatistics(statistics), ...mixtureLines(mixture), `${steps} steps`, ...warmups];
}

function stepCount({ training }: InstructConfig, data: TrainingData): number {
  return Math.max(1, Math.round((training.epochs * data.units) / data.perUpdate));
}

async function run(config: InstructConfig, context: RunContext): Promise<Record<string, unknown>> {
  const { folder, progress } = context;
  const { parent, tokenizer, dimensions, training, plan } = await prepare(config);
  await folder.recordParent('model', parent);
  await folder.recordInput('seed', config.data.seed);
  await folder.recordInput('templates', config.data.templates);

  // 1. Mix tasks, render templates, tokenize; loss on the target only. The tables are what a notebook opens.
  const dataset = await makeDataset(config, plan, tokenizer);
  for (const name of ['instruct.arrow', 'mixture.arrow']) await atomicCopy(join(dataset.path, name), folder.file(name));
  await folder.recordOutput('dataset', 'instruct.arrow');
  await folder.recordOutput('mixture', 'mixture.arrow');
  for (const line of [...mixtureLines(dataset.mixture), ...describeLosses(plan.trained)]) progress.say(line);

  // 2. The base model, or the checkpoint to resume.
  const sizes = memoryShapes(config, dataset, plan.trained.length);
  const models = { trained: [{ dimensions, head: 'tokens', plan: training }] as const, others: [] };
  await announceMemory(progress.say, config.memory.limitGb, models, sizes);
  const { model, adam, state } = startOrResume<State>(
    folder,
    { ...config.optimizer, rateOf: rateOf(dimensions, config.tuning) },
    () =>
      loadModelFolder(parent.folder, {
        plan: training,
        random: seededRandom(config.run.seed, 'adapters'),
        tokenizer,
        say: progress.say,
      }).model,
    config.memory.recompute,
  );
  const data = openData(config, folder.file('instruct.arrow'), tokenizer);
  const { accumulate } = config.training;
  const steps = await recordLength(context, stepCount(config, data), { optimizer: config.optimizer });
  const first = state?.step ?? 0;
  const cursor = createCursor(data.units, state?.cursor ?? config.run.seed);
  const batches = readAhead(cursor, data.perUpdate, steps - first, (units) => {
    const rows = data.take(units);
    const microBatches = nextTokenBatches(model, splitRows(rows, accumulate), tokenizer.padId);
    return { microBatches, size: rows.inputIds.length };
  });
  const metrics = openMetrics(folder.file('metrics.arrow'), instructMetrics, {
    resumeFromStep: state?.step,
  });
  const validation = openValidation(config, folder, plan.trained, { model, tokenizer, state, base: parent.path });
  const save = async (step: number): Promise<void> => {
    await metrics.flush();
    await validation.flush();
    const saved: State = { step, cursor: batches.state(), best: validation.best() };
    await saveTraining(folder.path, config.checkpoints.keepLast, { model, adam }, tokenizer, saved);
  };

  // 3. Masked cross-entropy; the best checkpoint by validation accuracy is kept.
  const { clipNorm } = config.optimizer;
  progress.say(`instruct  ${describeStatistics(dataset.statistics)}; ${steps} steps of ${describeUnit(config)}`);
  let tokens = 0;
  const bar = progress.phase('instruct', steps, { unit: 'tokens', start: first });
  let accuracy = state === undefined ? await validation.measure(0) : state.best.accuracy;
  if (state === undefined) await metrics.add({ step: 0, 'accuracy/validation': accuracy });
  for (let step = first + 1; step <= steps; step++) {
    const { microBatches, size } = batches.next();
    const learningRate = learningRateAt(config.optimizer, step - 1, steps);
    const began = performance.now();
    const update = await nextTokenUpdate(model, adam, microBatches, {
      learningRate,
      clipNorm,
      where: `instruct step ${step}`,
      dropoutSeed: stepSeed(config.run.seed, step),
    });
    const speed = size / ((performance.now() - began) / 1000);
    tokens += size;
    const measure = step % config.evaluation.everySteps === 0 || step === steps;
    if (measure) accuracy = await validation.measure(step);
    await metrics.add({
      step,
      'loss/train': update.loss,
      'accuracy/validation': measure ? accuracy : null,
      'optimizer/learning_rate': learningRate,
      'optimizer/gradient_norm': update.gradientNorm,
      'speed/tokens_per_second': speed,
      'speed/graphs': graphsMade(),
    });
    bar.update(step, { loss: update.loss.toFixed(3), accuracy: accuracy.toFixed(3) }, tokens);
    await endStep(context, { step, steps, everySteps: config.checkpoints.everySteps }, save);
  }
  const best = validation.best();
  bar.finish(`best validation accuracy ${best.accuracy.toFixed(3)} at step ${best.step}`);

  // 4. The model to go on with is the best one.
  data.close();
  await folder.recordOutput('model', 'best');
  disposeModel(model);
  disposeAdamW(adam);
  return { accuracy: best.accuracy, bestStep: best.step, steps, ...dataset.statistics };
}

/** Measures accuracy on validation rows, writes the answers down, and keeps the best model in `best/`. */
function openValidation(
  config: InstructConfig,
  folder: RunFolder,
  tasks: readonly Task[],
  parts: { model: Model; tokenizer: Tokenizer; state: State | undefined; base: string },
) {
  const { model, tokenizer, state, base } = parts;
  const items = taskItems(tasks, {
    split: 'validation',
    rowsPerTask: config.evaluation.rowsPerTask,
    uses: (_task, { kind, split }) => kind === 'direct' && split === 'train',
    templates: 'turns',
    shots: 0,
    fits: () => true,
    random: seededRandom(config.run.seed, 'validation'),
  });
  const samples = openSamples(folder.file('samples.arrow'), sampleColumns, { resumeFromStep: state?.step });
  let best = state?.best ?? { accuracy: -1, step: 0 };
  return {
    best: () => best,
    flush: () => samples.flush(),
    measure: async (step: number): Promise<number> => {
      const answers = answerTasks(model, tokenizer, items);
      for (const { item, prediction, correct } of answers) {
        const { task, template, prompt, answer: target } = item;
        await samples.add({ step, task, template, prompt, target, prediction, correct });
      }
      const { mean: accuracy } = accuracyByTask(answers);
      if (accuracy > best.accuracy) {
        best = { accuracy, step };
        await atomicFolder(folder.file('best'), (path) =>
          writeModelFolder(path, model, { tokenizer, base, card: cardOf(config, best) }),
        );
      }
      return accuracy;
    },
  };
}

/** What the model card tells. */
function cardOf(
  { model, data, mixture, sequence, training, optimizer, tuning }: InstructConfig,
  best: State['best'],
): CardFacts {
  const { learningRate, schedule, weightDecay } = optimizer;
  return {
    made: 'Instruction tuning',
    base: model,
    data: { rows: data.seed, templates: data.templates },
    decisions: {
      'loss on': 'targets and their EOS, never prompts',
      mixture: { rule: mixture.rule, examples: mixture.examples, cap: mixture.cap, templates: mixture.templateChoice },
      sequences: {
        length: sequence.length,
        padding: sequence.buckets === null ? 'packed' : 'bucketed',
        overlong: sequence.overlong,
      },
      optimizer: { learningRate, schedule, weightDecay, epochs: training.epochs, rows: training.rows },
      tuning: tuning.method === 'lora' ? tuning.lora : { method: 'full', freeze: tuning.freeze },
    },
    results: { 'accuracy on validation rows': best.accuracy, step: best.step },
  };
}

await program(import.meta.url, instruct, 'Tunes a base model on instruction tasks rendered from templates.');
