/**
 * Stage 1: instruction tuning on FLAN-style tasks.
 *
 *   Reads   a base checkpoint, data/seed/<task>.jsonl, data/templates/<task>.yaml
 *   Writes  <run.folder>/{config.yaml, instruct.arrow, metrics.arrow, samples.arrow, checkpoints/, best/, manifest.json}
 *   Run     npx tsx stages/1-instruct.ts configs/instruct/tiny.yaml
 *   After   Wei et al. 2022 (FLAN, arXiv:2109.01652)
 */
import { checkModelFolder, loadModelFolder, writeModelFolder } from '../src/checkpoint/model-folder.ts';
import { saveTraining, startOrResume } from '../src/checkpoint/training-checkpoint.ts';
import { bool, utf8 } from '../src/data/columns.ts';
import type { CursorState } from '../src/data/cursor.ts';
import { createCursor } from '../src/data/cursor.ts';
import type { InstructRow } from '../src/data/instruction.ts';
import { encodeExample, readInstruct, writeInstruct } from '../src/data/instruction.ts';
import { sampleMixture } from '../src/data/mixture.ts';
import { packSequences, splitRows } from '../src/data/packing.ts';
import type { Task } from '../src/data/tasks.ts';
import { loadTasks } from '../src/data/tasks.ts';
import { renderTemplate } from '../src/data/template.ts';
import { accuracyByTask, answerTasks } from '../src/evaluation/answer-tasks.ts';
import { taskItems } from '../src/evaluation/task-items.ts';
import { atomicFolder } from '../src/files/atomic-write.ts';
import type { Model } from '../src/model/model.ts';
import { disposeModel } from '../src/model/model.ts';
import { seededRandom } from '../src/random.ts';
import { endStep } from '../src/run/end-step.ts';
import { openMetrics } from '../src/run/metrics.ts';
import { openParent } from '../src/run/parents.ts';
import { program } from '../src/run/program.ts';
import type { RunFolder } from '../src/run/run-folder.ts';
import { openSamples } from '../src/run/samples.ts';
import type { RunContext, Stage } from '../src/run/stage.ts';
import { nextTokenUpdate } from '../src/steps/language-model.ts';
import type { Tokenizer } from '../src/tokenizer/tokenizer.ts';
import { loadTokenizer } from '../src/tokenizer/tokenizer.ts';
import { disposeAdamW } from '../src/training/adamw.ts';
import { learningRateAt } from '../src/training/schedule.ts';
import { InstructConfig } from './1-instruct.config.ts';

/** Every metric this stage writes. */
export const instructMetrics = {
  'loss/train': 'Mean over target tokens of the update of −log p(token | prompt, earlier target tokens), in nats.',
  'accuracy/validation': 'Fraction of right answers on validation rows with trained templates: mean over tasks.',
  'optimizer/learning_rate': 'Learning rate of the update.',
  'optimizer/gradient_norm': 'Global norm of the gradient before clipping.',
  'speed/tokens_per_second': 'Tokens of packed rows (prompt, target, padding) a second, of the update alone.',
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

export const instruct: Stage<InstructConfig> = { name: 'instruct', schema: InstructConfig, run };

async function run(config: InstructConfig, context: RunContext): Promise<Record<string, unknown>> {
  const { folder, progress } = context;
  const parent = await openParent(config.model, { role: 'base model', stages: ['pretrain', 'instruct'] });
  await folder.recordParent('model', parent);
  await folder.recordInput('seed', config.data.seed);
  await folder.recordInput('templates', config.data.templates);
  const tokenizer = loadTokenizer(parent.folder);
  const where = `base model ${config.model}`;
  checkModelFolder(parent.folder, { where, head: 'tokens', tokenizer, length: config.sequence.length });
  const tasks = loadTasks(config.data.seed, config.data.templates, config.data.tasks);

  // 1. The base model, or the checkpoint to resume.
  const { model, adam, state } = startOrResume<State>(
    folder,
    config.optimizer,
    () => loadModelFolder(parent.folder).model,
  );

  // 2. Mix tasks, render templates, tokenize; loss on the target only. The table is what a notebook opens.
  const table = folder.file('instruct.arrow');
  await writeInstruct(table, renderMixture(config, tasks, tokenizer), tokenizer);
  await folder.recordOutput('dataset', 'instruct.arrow');
  const examples = readInstruct(table, tokenizer).map((row) => ({ inputIds: row.input_ids, lossMask: row.loss_mask }));
  const rows = packSequences(examples, config.sequence.length, tokenizer.padId);
  const first = state?.step ?? 0;
  const cursor = createCursor(rows.rows, state?.cursor ?? config.run.seed);
  const metrics = openMetrics(folder.file('metrics.arrow'), instructMetrics, {
    resumeFromStep: state?.step,
  });
  const validation = openValidation(config, folder, tasks, { model, tokenizer, state });
  const save = async (step: number): Promise<void> => {
    await metrics.flush();
    await validation.flush();
    const saved: State = { step, cursor: cursor.state(), best: validation.best() };
    await saveTraining(folder.path, config.checkpoints.keepLast, { model, adam }, tokenizer, saved);
  };

  // 3. Masked cross-entropy on packed rows; the best checkpoint by validation accuracy is kept.
  const { rows: batchRows, accumulate, epochs } = config.training;
  const { clipNorm } = config.optimizer;
  const steps = Math.max(1, Math.round((epochs * rows.rows) / batchRows));
  progress.say(
    `instruct  ${examples.length} examples of ${tasks.length} tasks in ${rows.rows} rows of ${rows.length} tokens, ${steps} steps`,
  );
  const bar = progress.phase('instruct', steps, { unit: 'tokens', start: first });
  let accuracy = state === undefined ? await validation.measure(0) : state.best.accuracy;
  if (state === undefined) await metrics.add({ step: 0, 'accuracy/validation': accuracy });
  for (let step = first + 1; step <= steps; step++) {
    const microBatches = splitRows(rows, cursor.next(batchRows), accumulate);
    const learningRate = learningRateAt(config.optimizer, step - 1, steps);
    const began = performance.now();
    const update = nextTokenUpdate(model, adam, microBatches, tokenizer.padId, {
      learningRate,
      clipNorm,
      where: `instruct step ${step}`,
    });
    const speed = (batchRows * rows.length) / ((performance.now() - began) / 1000);
    const measure = step % config.evaluation.everySteps === 0 || step === steps;
    if (measure) accuracy = await validation.measure(step);
    await metrics.add({
      step,
      'loss/train': update.loss,
      'accuracy/validation': measure ? accuracy : null,
      'optimizer/learning_rate': learningRate,
      'optimizer/gradient_norm': update.gradientNorm,
      'speed/tokens_per_second': speed,
    });
    bar.update(
      step,
      { loss: update.loss.toFixed(3), accuracy: accuracy.toFixed(3) },
      (step - first) * batchRows * rows.length,
    );
    await endStep(context, { step, steps, everySteps: config.checkpoints.everySteps }, save);
  }
  const best = validation.best();
  bar.finish(`best validation accuracy ${best.accuracy.toFixed(3)} at step ${best.step}`);

  // 4. The model to go on with is the best one.
  await folder.recordOutput('model', 'best');
  disposeModel(model);
  disposeAdamW(adam);
  return { accuracy: best.accuracy, bestStep: best.step, steps, examples: examples.length };
}

/** Measures accuracy on validation rows, writes the answers down, and keeps the best model in `best/`. */
function openValidation(
  config: InstructConfig,
  folder: RunFolder,
  tasks: readonly Task[],
  parts: { model: Model; tokenizer: Tokenizer; state: State | undefined },
) {
  const { model, tokenizer, state } = parts;
  const choice = { split: 'validation', rowsPerTask: config.evaluation.rowsPerTask, templates: 'train' } as const;
  const items = taskItems(tasks, { ...choice, random: seededRandom(config.run.seed, 'validation') });
  const samples = openSamples(folder.file('samples.arrow'), sampleColumns, { resumeFromStep: state?.step });
  let best = state?.best ?? { accuracy: -1, step: 0 };
  return {
    best: () => best,
    flush: () => samples.flush(),
    measure: async (step: number): Promise<number> => {
      const answers = answerTasks(model, tokenizer, items);
      for (const { item, prediction, correct } of answers) {
        const { task, template, prompt, target } = item;
        await samples.add({ step, task, template, prompt, target, prediction, correct });
      }
      const { mean: accuracy } = accuracyByTask(answers);
      if (accuracy > best.accuracy) {
        best = { accuracy, step };
        await atomicFolder(folder.file('best'), (path) => writeModelFolder(path, model, { tokenizer }));
      }
      return accuracy;
    },
  };
}

/** The training table: each example rendered with its template and tokenized with a loss mask. */
function renderMixture(config: InstructConfig, tasks: readonly Task[], tokenizer: Tokenizer): InstructRow[] {
  const random = seededRandom(config.run.seed, 'mixture');
  const { length: maxLength, overlong } = config.sequence;
  return sampleMixture(tasks, { ...config.mixture, random }).flatMap(({ task, row, template }) => {
    const { input: prompt, target, options } = renderTemplate(task.templates, template, row);
    const encoded = encodeExample({ prompt, target: target ?? '' }, tokenizer, {
      maxLength,
      overlong,
      where: row.where,
    });
    if (encoded === null) return [];
    const tokens = { input_ids: encoded.inputIds, loss_mask: encoded.lossMask };
    const origin = { task: task.name, cluster: task.cluster, template_id: template.id, split: row.split };
    return [{ ...tokens, ...origin, prompt, target: target ?? '', options }];
  });
}

await program(import.meta.url, instruct, 'Tunes a base model on instruction tasks rendered from templates.');
