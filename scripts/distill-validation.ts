/** How good teacher and student are: loss and accuracy on validation rows; the best student is kept. */
import type { CardFacts } from '../src/checkpoint/model-card.ts';
import { writeModelFolder } from '../src/checkpoint/model-folder.ts';
import { keptFacts } from '../src/checkpoint/stage-cards.ts';
import { trainedHash } from '../src/checkpoint/trained-hash.ts';
import {
  describeValidation,
  measureValidation,
  requireMeasure,
  type ValidationSet,
  validationSet,
} from '../src/evaluation/validation.ts';
import { atomicFolder } from '../src/files/atomic-write.ts';
import type { Model } from '../src/model/model.ts';
import { seededRandom } from '../src/random.ts';
import { openValidationLog, type Scores, type ValidationLog } from '../src/report/validation-log.ts';
import type { BestState, KeptStep } from '../src/run/keep-best.ts';
import type { RunFolder } from '../src/run/run-folder.ts';
import { readTable } from '../src/tables/arrow-file.ts';
import { utf8 } from '../src/tables/columns.ts';
import { holdOutRows } from '../src/tasks/hold-out-share.ts';
import { describeLosses, loadTasks, type Task } from '../src/tasks/tasks.ts';
import { templateKinds } from '../src/tasks/template-schema.ts';
import type { Tokenizer } from '../src/tokenizer/tokenizer.ts';
import type { DistillConfig } from './distill.config.ts';

/** What student and teacher are measured on. */
export interface DistillValidation {
  readonly set: ValidationSet;
  /** Positions of the examples that are not trained on, as their rows are held out. */
  readonly leftOut: ReadonlySet<number>;
  /** For people. */
  readonly lines: readonly string[];
}

const exampleColumns = {
  task: utf8('Dataset the row comes from.'),
  row_id: utf8('Id of the row in its dataset.'),
  kind: utf8('Kind of the template.'),
};

/**
 * Validation rows of the tasks, with templates that are trained. Of a task that has none, training rows that are not among
 * the examples; where all are, a share of them, whose examples are left out of training.
 *
 * @throws DataError where tasks or templates are wrong; ConfigError where the measure that is to choose cannot be had
 */
export function prepareValidation(
  { data, evaluation, run, sequence, training }: DistillConfig,
  tokenizer: Tokenizer,
  context: number,
): DistillValidation {
  const { rows: examples } = readTable(data.examples, exampleColumns, 'node --import tsx stages/1-instruct.ts');
  const named = data.tasks ?? [...new Set(examples.map(({ task }) => task))];
  const trained = new Set(examples.map(({ task, row_id }) => keyOf(task, row_id)));
  const tasks = loadTasks(data.seed, data.templates, named, data.ignoreFields).map((task) =>
    withUntrained(task, trained),
  );
  const random = (task: string) => seededRandom(run.seed, `validation rows of ${task}`);
  const { tasks: divided, held, notes } = holdOutRows(tasks, evaluation.share, random);
  const heldKeys = new Set([...held].flatMap(([task, ids]) => ids.map((id) => keyOf(task, id))));
  const leftOut = examples.flatMap(({ task, row_id }, i) => (heldKeys.has(keyOf(task, row_id)) ? [i] : []));
  const kinds = new Set(examples.map(({ kind }) => kind));
  const set = validationSet(divided, tokenizer, {
    ...{ rowsPerTask: evaluation.rowsPerTask, seed: run.seed, context, batch: training.rows },
    ...{ kinds: templateKinds.filter((kind) => kinds.has(kind)), length: sequence.length, overlong: 'drop' },
  });
  requireMeasure(evaluation.best, set, { path: data.seed, notes });
  return {
    set,
    leftOut: new Set(leftOut),
    lines: [...describeLosses(tasks), ...notes, describeValidation(set), ...set.notes],
  };
}

function keyOf(task: string, row: string): string {
  return JSON.stringify([task, row]);
}

/** A task without validation rows, with those training rows for validation that no example was made of. */
function withUntrained(task: Task, trained: ReadonlySet<string>): Task {
  if (task.rows.some(({ split }) => split === 'validation')) return task;
  const rows = task.rows.map((row) => {
    return row.split === 'train' && !trained.has(keyOf(task.name, row.id)) ? { ...row, split: 'validation' } : row;
  });
  return { ...task, rows };
}

/** What the model card tells. */
function cardOf(config: DistillConfig, { step, measured }: KeptStep<Scores>, beatsStart: boolean | null): CardFacts {
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
    results: {
      ...(measured.loss !== null && { 'loss on validation rows': measured.loss }),
      ...(measured.accuracy !== null && { 'accuracy on validation rows': measured.accuracy }),
      ...keptFacts(config.evaluation.best, { step, beatsStart }),
    },
  };
}

/** Measures the student, writes its answers down, and keeps the best model in `best/`. */
export function openValidation(
  config: DistillConfig,
  folder: RunFolder,
  parts: {
    model: Model;
    tokenizer: Tokenizer;
    set: ValidationSet;
    state: { readonly step: number; readonly best: BestState<Scores> } | undefined;
  },
): ValidationLog {
  const { model, tokenizer, set, state } = parts;
  return openValidationLog(
    'distill',
    folder,
    config.evaluation,
    {
      measure: () => measureValidation(model, tokenizer, set),
      weights: () => trainedHash(model),
      write: async (kept, beatsStart) => {
        const card = cardOf(config, kept, beatsStart);
        await atomicFolder(folder.file('best'), (path) => writeModelFolder(path, model, { tokenizer, card }));
      },
    },
    state,
  );
}
