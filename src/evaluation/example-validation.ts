/** Validation rows beside a table of examples that another run rendered: rows of the same tasks that it did not train on. */

import { seededRandom } from '../random.ts';
import { readTable } from '../tables/arrow-file.ts';
import { utf8 } from '../tables/columns.ts';
import { holdOutRows } from '../tasks/hold-out-share.ts';
import type { Task } from '../tasks/task.ts';
import { loadTasks } from '../tasks/tasks.ts';
import { learnedAnswers } from '../tasks/template.ts';
import { templateKinds } from '../tasks/template-schema.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { describeValidation, requireMeasure, type ValidationSet, validationSet } from './validation.ts';

/** What is measured on, and what is therefore not trained on. */
export interface ExampleValidation {
  readonly set: ValidationSet;
  /** Positions of the examples that are not trained on, as their rows are held out. */
  readonly leftOut: ReadonlySet<number>;
  /** For people. */
  readonly lines: readonly string[];
}

/** The settings that choose and measure the rows. */
export interface ExampleSettings {
  readonly run: { readonly seed: number };
  readonly data: {
    /** The table of examples. */
    readonly examples: string;
    readonly tables: string;
    readonly templates: string;
    /** All that occur in the examples where this is left out. */
    readonly tasks?: readonly string[] | undefined;
  };
  readonly sequence: { readonly length: number };
  readonly training: { readonly rows: number };
  readonly evaluation: {
    readonly share: number;
    readonly rowsPerTask: number;
    readonly best: 'loss' | 'accuracy' | 'last';
  };
}

const exampleColumns = {
  task: utf8('Dataset the row comes from.'),
  row_id: utf8('Id of the row in its dataset.'),
  kind: utf8('Kind of the template.'),
};

/**
 * Validation rows of the tasks, with templates that are trained, and loss on the answers that the examples were learned from. Of a task that has none, training rows that are not among
 * the examples; where all are, a share of them, whose examples are left out of training.
 *
 * @throws DataError where tasks or templates are wrong; ConfigError where the measure that is to choose cannot be had
 */
export function exampleValidation(
  { data, evaluation, run, sequence, training }: ExampleSettings,
  tokenizer: Tokenizer,
  context: number,
): ExampleValidation {
  const { rows: examples, metadata } = readTable(
    data.examples,
    exampleColumns,
    'node --import tsx stages/1-instruct.ts',
  );
  const named = data.tasks ?? [...new Set(examples.map(({ task }) => task))];
  const trained = new Set(examples.map(({ task, row_id }) => keyOf(task, row_id)));
  const tasks = loadTasks(data.tables, data.templates, named).map((task) => withUntrained(task, trained));
  const random = (task: string) => seededRandom(run.seed, `validation rows of ${task}`);
  const { tasks: divided, held, notes: heldOut } = holdOutRows(tasks, evaluation.share, random);
  const heldKeys = new Set([...held].flatMap(([task, ids]) => ids.map((id) => keyOf(task, id))));
  const leftOut = examples.flatMap(({ task, row_id }, i) => (heldKeys.has(keyOf(task, row_id)) ? [i] : []));
  const kinds = new Set(examples.map(({ kind }) => kind));
  const learn = learnedAnswers.find((answers) => answers === metadata.learn);
  const notes = [...heldOut];
  const isSeveral = kinds.has('conversation') || kinds.has('dialogue');
  if (learn === undefined && isSeveral) {
    notes.push(`${data.examples} does not say which answers were learned (data.learn): the loss of all is measured`);
  }
  const set = validationSet(divided, tokenizer, {
    rowsPerTask: evaluation.rowsPerTask,
    seed: run.seed,
    context,
    batch: training.rows,
    kinds: templateKinds.filter((kind) => kinds.has(kind)),
    length: sequence.length,
    overlong: 'drop',
    learn: learn ?? 'all',
  });
  requireMeasure(evaluation.best, set, { path: data.tables, notes });
  return {
    set,
    leftOut: new Set(leftOut),
    lines: [...notes, describeValidation(set), ...set.notes],
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
