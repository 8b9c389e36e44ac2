/** How good teacher and student are: loss and accuracy on validation rows; the best student is kept. */
import type { CardFacts } from '../src/checkpoint/model-card.ts';
import { writeModelFolder } from '../src/checkpoint/model-folder.ts';
import { readTable } from '../src/data/arrow-file.ts';
import { bool, utf8 } from '../src/data/columns.ts';
import { encodeExample } from '../src/data/instruction.ts';
import { packSequences, takeRows } from '../src/data/packing.ts';
import { loadTasks } from '../src/data/tasks.ts';
import { DataError } from '../src/errors.ts';
import { accuracyByTask, answerTasks, type TaskAnswer } from '../src/evaluation/answer-tasks.ts';
import { type TaskItem, taskItems } from '../src/evaluation/task-items.ts';
import { atomicFolder } from '../src/files/atomic-write.ts';
import type { Model } from '../src/model/model.ts';
import { seededRandom } from '../src/random.ts';
import type { RunFolder } from '../src/run/run-folder.ts';
import { openSamples } from '../src/run/samples.ts';
import { nextTokenLoss } from '../src/steps/language-model.ts';
import type { Tokenizer } from '../src/tokenizer/tokenizer.ts';
import type { DistillConfig } from './distill.config.ts';

/** One measurement. */
export interface Measured {
  /** Cross-entropy of the targets, in nats a token. */
  readonly loss: number;
  readonly accuracy: number;
}

const sampleColumns = {
  task: utf8('Dataset of the row.'),
  template: utf8('Template it was rendered with.'),
  prompt: utf8('Rendered prompt.'),
  target: utf8('Right answer.'),
  prediction: utf8('Answer of the student.'),
  correct: bool('Whether they are equal.'),
};

/** Rows measured at a time. */
const BATCH = 8;

/**
 * Questions from the validation rows of the tasks, with templates that are trained.
 * @throws DataError where tasks or templates are wrong, or there is nothing to ask
 */
export function validationItems({ data, evaluation, run }: DistillConfig): TaskItem[] {
  const tasks = loadTasks(data.seed, data.templates, data.tasks ?? tasksIn(data.examples), data.ignoreFields);
  const items = taskItems(tasks, {
    split: 'validation',
    rowsPerTask: evaluation.rowsPerTask,
    uses: (_task, { kind, split }) => kind === 'direct' && split === 'train',
    templates: 'turns',
    shots: 0,
    fits: () => true,
    random: seededRandom(run.seed, 'validation'),
  });
  if (items.length === 0) {
    throw new DataError(
      `${data.seed}: no validation row with a right answer in ${tasks.map(({ name }) => name).join(', ')}; ` +
        'expected at least one. Name other data.tasks.',
    );
  }
  return items;
}

function tasksIn(examples: string): string[] {
  const columns = { task: utf8('Dataset the row comes from.') };
  const { rows } = readTable(examples, columns, 'node --import tsx stages/1-instruct.ts');
  return [...new Set(rows.map(({ task }) => task))];
}

/** Loss on the targets and accuracy of the answers. */
export function measure(model: Model, tokenizer: Tokenizer, items: readonly TaskItem[], length: number): Measured {
  return {
    loss: lossOn(model, tokenizer, items, length),
    accuracy: accuracyByTask(answerTasks(model, tokenizer, items)).mean,
  };
}

function lossOn(model: Model, tokenizer: Tokenizer, items: readonly TaskItem[], length: number): number {
  const examples = items.map(({ history, prompt, target, task, rowId }) =>
    encodeExample({ history, prompt, target }, tokenizer, {
      maxLength: length,
      overlong: 'drop',
      where: `${task} row ${rowId}`,
    }),
  );
  const packed = packSequences(
    examples.filter((example) => example !== null),
    length,
    tokenizer.padId,
  );
  const order = Array.from({ length: packed.rows }, (_, row) => row);
  const batches = Array.from({ length: Math.ceil(packed.rows / BATCH) }, (_, i) =>
    takeRows(packed, order.slice(i * BATCH, (i + 1) * BATCH)),
  );
  return nextTokenLoss(model, batches, tokenizer.padId);
}

/** What the model card tells. */
function cardOf(config: DistillConfig, best: Measured & { readonly step: number }): CardFacts {
  const { teacher, student, data, sequence, training, optimizer } = config;
  const { learningRate, schedule, weightDecay } = optimizer;
  const { checkpoint, ...sizes } = student;
  return {
    made: 'Distillation',
    base: checkpoint ?? teacher,
    data: { teacher, examples: data.examples, 'validation rows': data.seed, templates: data.templates },
    decisions: {
      student: checkpoint ?? sizes,
      loss: config.distill,
      sequences: { length: sequence.length, padding: 'packed' },
      optimizer: { learningRate, schedule, weightDecay, epochs: training.epochs, rows: training.rows },
    },
    results: { 'loss on validation rows': best.loss, 'accuracy on validation rows': best.accuracy, step: best.step },
  };
}

/** Measures the student, writes its answers down, and keeps the best model by loss in `best/`. */
export function openValidation(
  config: DistillConfig,
  folder: RunFolder,
  parts: {
    model: Model;
    tokenizer: Tokenizer;
    items: readonly TaskItem[];
    state: { readonly step: number; readonly best: Measured & { readonly step: number } } | undefined;
  },
) {
  const { model, tokenizer, items, state } = parts;
  const { length } = config.sequence;
  const samples = openSamples(folder.file('samples.arrow'), sampleColumns, { resumeFromStep: state?.step });
  let best = state?.best ?? { loss: Number.POSITIVE_INFINITY, accuracy: 0, step: 0 };
  const note = async (step: number, answers: readonly TaskAnswer[]): Promise<void> => {
    for (const { item, prediction, correct } of answers) {
      const { task, template, prompt, answer: target } = item;
      await samples.add({ step, task, template, prompt, target, prediction, correct });
    }
  };
  return {
    best: () => best,
    flush: () => samples.flush(),
    measure: async (step: number): Promise<Measured> => {
      const answers = answerTasks(model, tokenizer, items);
      await note(step, answers);
      const found = { loss: lossOn(model, tokenizer, items, length), accuracy: accuracyByTask(answers).mean };
      if (found.loss < best.loss) {
        best = { ...found, step };
        const card = cardOf(config, best);
        await atomicFolder(folder.file('best'), (path) => writeModelFolder(path, model, { tokenizer, card }));
      }
      return found;
    },
  };
}
