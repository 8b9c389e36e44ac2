/** A share of the rows held out by seed, where data have no validation part of their own. */
import type { Random } from '../random.ts';
import { rowsOf, type Task } from './task.ts';

/**
 * Chooses about a share of the items, one at least and never all; items with one key stay together.
 *
 * keys [a, b, b, c], share 0.25  ->  {0} or {3}: b alone is half of them
 *
 * @returns positions of what is held out; none where the share is 0 or all items have one key
 */
export function holdOutShare(keys: readonly string[], share: number, random: Random): Set<number> {
  const groups = new Map<string, number[]>();
  for (const [index, key] of keys.entries()) {
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [index]);
    else group.push(index);
  }
  const held = new Set<number>();
  if (share <= 0 || groups.size < 2) return held;
  const wanted = Math.min(keys.length - 1, Math.max(1, Math.round(share * keys.length)));
  const shuffled = random.shuffle([...groups.values()]);
  for (const group of shuffled) {
    if (held.size + group.length <= wanted) for (const index of group) held.add(index);
  }
  if (held.size > 0) return held;
  const smallest = shuffled.reduce((least, group) => (group.length < least.length ? group : least));
  return new Set(smallest);
}

/** Tasks of which rows were held out, and what was. */
export interface HeldOutRows {
  /** The rows held out are of split "validation" now. */
  readonly tasks: Task[];
  /** Ids of the rows held out, by task. */
  readonly held: ReadonlyMap<string, readonly string[]>;
  /** What was held out or could not be, in words. */
  readonly notes: string[];
}

/**
 * Holds a share of the training rows out of each task that has no validation rows. Where none of them has any with an
 * answer to measure, tasks whose validation rows are prompts only are divided, too. Rows that say the same stay together.
 */
export function holdOutRows(tasks: readonly Task[], share: number, randomOf: (task: string) => Random): HeldOutRows {
  const without = tasks.filter((task) => rowsOf(task, 'validation').length === 0);
  const divided = without.length > 0 || tasks.some(hasAnswers) ? without : tasks;
  const held = new Map<string, readonly string[]>();
  const alone: string[] = [];
  const result = tasks.map((task) => {
    if (share === 0 || !divided.includes(task)) return task;
    const rows = rowsOf(task, 'train');
    const keys = rows.map(({ fields }) => JSON.stringify(task.templates.columns.map((column) => fields[column])));
    const chosen = holdOutShare(keys, share, randomOf(task.name));
    if (chosen.size === 0) {
      alone.push(task.name);
      return task;
    }
    const taken = new Set([...chosen].map((index) => rows[index]));
    held.set(
      task.name,
      [...chosen].sort((a, b) => a - b).map((index) => rows[index]?.id ?? ''),
    );
    return { ...task, rows: task.rows.map((row) => (taken.has(row) ? { ...row, split: 'validation' } : row)) };
  });
  return { tasks: result, held, notes: notesOf(held, alone, divided === without) };
}

/** Whether a task has a validation row with an answer. */
function hasAnswers({ templates, rows }: Task): boolean {
  return rows.some(({ split, fields }) => {
    const answer = fields[templates.answer.column];
    return split === 'validation' && answer !== undefined && String(answer).trim() !== '';
  });
}

function notesOf(held: HeldOutRows['held'], alone: readonly string[], hasNone: boolean): string[] {
  const notes: string[] = [];
  if (held.size > 0) {
    const counts = [...held].map(([task, ids]) => `${task} ${ids.length}`).join(', ');
    const why = hasNone ? 'which have no validation rows' : 'whose validation rows have no answers';
    notes.push(`held out of training for validation, by run.seed, in tasks ${why}: ${counts} (evaluation.share)`);
  }
  if (alone.length > 0) {
    notes.push(
      `nothing is held out of ${alone.join(', ')}: fewer than two different training rows, and all are trained`,
    );
  }
  return notes;
}
