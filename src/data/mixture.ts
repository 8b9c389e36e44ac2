/** Mixing tasks: how many examples of each, which rows, and which template for each row. */
import { DataError } from '../errors.ts';
import type { Random } from '../random.ts';
import { rowsOf, type Task, type TaskRow } from './tasks.ts';
import type { Template } from './template-file.ts';

/** How an example's template is found: each in turn (as FLAN's code does) or drawn (as its paper says). */
export const templateChoices = ['round_robin', 'random'] as const;
export type TemplateChoice = (typeof templateChoices)[number];

/** One example to render. */
export interface MixtureItem {
  task: Task;
  row: TaskRow;
  template: Template;
}

export interface MixtureOptions {
  /** Rows of a task that count towards its rate; larger tasks are not mixed in more often. */
  cap: number;
  /** Examples in all. */
  examples: number;
  random: Random;
  templateChoice: TemplateChoice;
  /** Rows to draw from; "train" when left out. */
  split?: string;
}

/**
 * Examples-proportional mixing with a cap: rate_m = min(count_m, cap) / Σ_n min(count_n, cap).
 * Raffel et al. 2020, arXiv:1910.10683, section 3.5.2; FLAN uses a cap of 3000 (arXiv:2109.01652, section 2.1).
 *
 * counts [10, 100, 1000], cap 100  ->  [10/210, 100/210, 100/210]
 *
 * @throws DataError when a count or the cap is below 1 or not a whole number
 */
export function mixtureRates(counts: readonly number[], cap: number): number[] {
  const problems = [...counts.map((count, i) => [`count ${i}`, count] as const), ['cap', cap] as const]
    .filter(([, value]) => !Number.isInteger(value) || value < 1)
    .map(([name, value]) => `mixture: ${name}: expected a whole number of at least 1, received ${value}. Mend it.`);
  if (problems.length > 0) throw new DataError(problems);
  const capped = counts.map((count) => Math.min(count, cap));
  const total = capped.reduce((sum, count) => sum + count, 0);
  return capped.map((count) => count / total);
}

/**
 * Whole numbers in proportion to rates that add up to `total`: each is its share rounded up or down
 * (largest remainders are rounded up; ties to the earlier).
 */
export function apportion(rates: readonly number[], total: number): number[] {
  const shares = rates.map((rate) => rate * total);
  const whole = shares.map(Math.floor);
  const left = total - whole.reduce((sum, count) => sum + count, 0);
  const order = shares
    .map((share, i) => ({ i, rest: share - Math.floor(share) }))
    .sort((a, b) => b.rest - a.rest || a.i - b.i);
  for (const { i } of order.slice(0, left)) whole[i] = (whole[i] ?? 0) + 1;
  return whole;
}

/**
 * Draws examples for training: each task gets its exact share, its rows pass by in shuffled order as often as needed,
 * and only templates of split "train" are used. The result is shuffled across tasks.
 * The source draws the task anew for every example; exact shares have the same means without the noise.
 *
 * @throws DataError when a task has no row in the split
 */
export function sampleMixture(tasks: readonly Task[], options: MixtureOptions): MixtureItem[] {
  const { cap, examples, random, templateChoice, split = 'train' } = options;
  const rows = tasks.map((task) => rowsOf(task, split));
  const empty = tasks.filter((_, i) => rows[i]?.length === 0);
  if (empty.length > 0) {
    throw new DataError(
      empty.map(
        (task) => `${task.path}: no rows of split "${split}"; expected at least one. Add rows or leave the task out.`,
      ),
    );
  }
  const rates = mixtureRates(
    rows.map((list) => list.length),
    cap,
  );
  const items = apportion(rates, examples).flatMap((count, i) => {
    const task = tasks[i];
    return task === undefined ? [] : drawExamples(task, rows[i] ?? [], count, random.fork(task.name), templateChoice);
  });
  return random.shuffle(items);
}

function drawExamples(
  task: Task,
  rows: readonly TaskRow[],
  count: number,
  random: Random,
  choice: TemplateChoice,
): MixtureItem[] {
  const templates = random.shuffle(task.templates.templates.filter((template) => template.split === 'train'));
  const items: MixtureItem[] = [];
  let passing: TaskRow[] = [];
  while (items.length < count) {
    if (passing.length === 0) passing = random.shuffle(rows);
    const row = passing.pop();
    const template = choice === 'random' ? random.pick(templates) : templates[items.length % templates.length];
    if (row !== undefined && template !== undefined) items.push({ task, row, template });
  }
  return items;
}
