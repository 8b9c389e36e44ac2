/** Mixing tasks: parts of a mixture, how many examples of each task, which rows, which template and which shots. */
import { DataError } from '../errors.ts';
import type { Random } from '../random.ts';
import { apportion, type Counted, mixtureRates, type RateRule } from './mixture-rates.ts';
import { rowsOf, type Task } from './task.ts';
import type { TaskRow } from './task-rows.ts';
import type { Template } from './template-file.ts';
import { suggestion } from './template-patterns.ts';
import type { TemplateKind } from './template-schema.ts';

/** How an example's template is found: each in turn (as FLAN's code does) or drawn (as its paper says). */
export const templateChoices = ['round_robin', 'random'] as const;
export type TemplateChoice = (typeof templateChoices)[number];

/** One part of a mixture of mixtures: zero-shot, few-shot, chain of thought, dialogue (FLAN 2022, arXiv:2301.13688). */
export interface MixturePart {
  /** Weight among the parts; they need not add up to 1. */
  readonly share: number;
  /** Kinds of templates; a task without any of them is not in the part. */
  readonly kinds: readonly TemplateKind[];
  /** Numbers of solved examples in front, one drawn for each question; [0] for none. Conversations have none. */
  readonly shots: readonly number[];
  /** Tasks of the part; all that have such templates when left out. */
  readonly tasks?: readonly string[] | undefined;
}

export type MixtureOptions = RateRule & {
  /** Examples in all. */
  readonly examples: number;
  /** First rows of a dataset that are used at all; null for all (FLAN: 30,000). */
  readonly rowCap: number | null;
  readonly templateChoice: TemplateChoice;
  readonly parts: Readonly<Record<string, MixturePart>>;
};

/** One example to render. */
export interface MixtureItem {
  readonly part: string;
  readonly task: Task;
  readonly row: TaskRow;
  readonly template: Template;
  /** Rows to show solved in front; never the row itself. */
  readonly shots: readonly TaskRow[];
}

/** What one part draws from one task. */
export interface MixtureShare {
  readonly part: string;
  readonly task: Task;
  /** Rows it is drawn from. */
  readonly rows: readonly TaskRow[];
  readonly templates: readonly Template[];
  readonly shots: readonly number[];
  /** Share of the whole mixture. */
  readonly rate: number;
  readonly examples: number;
}

/**
 * Who gets how many examples: first among parts by share, then within each part by the rule.
 *
 * @throws DataError with all problems: tasks without training rows, parts without tasks, weights of tasks that are not
 *   trained, and what `mixtureRates` says of each part
 */
export function planMixture(tasks: readonly Task[], options: MixtureOptions): MixtureShare[] {
  const rows = new Map(tasks.map((task) => [task.name, rowsOf(task, 'train').slice(0, options.rowCap ?? undefined)]));
  const problems = [...rowProblems(tasks, rows), ...weightNameProblems(tasks, options)];
  const parts = Object.entries(options.parts).map(([name, part]) => {
    const members = tasks.filter((task) => isMember(task, part));
    problems.push(...memberProblems(name, part, members));
    return { name, part, members };
  });
  if (problems.length > 0) throw new DataError(problems);
  const total = parts.reduce((sum, { part }) => sum + part.share, 0);
  const shares = parts.map(({ part }) => part.share / total);
  const counts = apportion(shares, options.examples);
  const plan = parts.flatMap(({ name, part, members }, p) => {
    const counted = members.map((task) => ({ name: task.name, count: rows.get(task.name)?.length ?? 0 }));
    const rates = ratesOrProblems(counted, options, `mixture.parts.${name}`, problems);
    const examples = apportion(rates, counts[p] ?? 0);
    return members.map((task, i): MixtureShare => {
      const templates = partTemplates(task, part);
      const shots = templates.some(({ kind }) => kind === 'conversation') ? [0] : part.shots;
      const own = { rows: rows.get(task.name) ?? [], templates, shots };
      return { part: name, task, ...own, rate: (shares[p] ?? 0) * (rates[i] ?? 0), examples: examples[i] ?? 0 };
    });
  });
  if (problems.length > 0) throw new DataError(problems);
  return plan;
}

/** A task of which each row is learned `weight` times an epoch. */
export interface WeightedTask {
  readonly task: Task;
  readonly weight: number;
}

/** The part of a mixture that files of one's own are. */
const filePart = 'files';

/**
 * The shares of a mixture with those of files: every row `weight` times, however many examples the other tasks get.
 *
 * @throws DataError for a file without rows to train on
 */
export function withFiles(shares: readonly MixtureShare[], files: readonly WeightedTask[]): MixtureShare[] {
  const rows = new Map(files.map(({ task }) => [task.name, rowsOf(task, 'train')]));
  const problems = rowProblems(
    files.map(({ task }) => task),
    rows,
  );
  if (problems.length > 0) throw new DataError(problems);
  const own = files.map(({ task, weight }): MixtureShare => {
    const trained = rows.get(task.name) ?? [];
    const examples = Math.max(1, Math.round(weight * trained.length));
    const { templates } = task.templates;
    return { part: filePart, task, rows: trained, templates, shots: [0], rate: 0, examples };
  });
  const count = (some: readonly MixtureShare[]): number => some.reduce((sum, { examples }) => sum + examples, 0);
  const mixed = count(shares);
  const total = mixed + count(own);
  return [
    ...shares.map((share) => (own.length === 0 ? share : { ...share, rate: (share.rate * mixed) / total })),
    ...own.map((share) => ({ ...share, rate: share.examples / total })),
  ];
}

/** The rates of a part; where there are none, what is wrong is added to the problems. */
function ratesOrProblems(tasks: readonly Counted[], rule: RateRule, where: string, problems: string[]): number[] {
  try {
    return mixtureRates(tasks, rule, where);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    problems.push(...error.problems);
    return [];
  }
}

function rowProblems(tasks: readonly Task[], rows: ReadonlyMap<string, readonly TaskRow[]>): string[] {
  return tasks
    .filter(({ name }) => rows.get(name)?.length === 0)
    .map(({ path }) => `${path}: no rows of split "train"; expected at least one. Add rows or leave the task out.`);
}

function weightNameProblems(tasks: readonly Task[], options: MixtureOptions): string[] {
  if (options.rule !== 'weights') return [];
  const names = tasks.map(({ name }) => name);
  return Object.keys(options.weights)
    .filter((name) => !names.includes(name))
    .map((name) => `mixture.weights: "${name}" is not a task that is trained. ${suggestion(name, names)}`);
}

function memberProblems(name: string, part: MixturePart, members: readonly Task[]): string[] {
  const missing = (part.tasks ?? []).filter((task) => !members.some((member) => member.name === task));
  if (missing.length === 0 && members.length > 0) return [];
  const what = missing.length > 0 ? `${missing.join(', ')} cannot be in it` : 'no task is in it';
  return [
    `mixture.parts.${name}: ${what}; expected tasks that are trained and have training templates of kind ` +
      `${part.kinds.join(' or ')}. Change kinds or tasks, or leave the part out.`,
  ];
}

/**
 * Draws the examples of a plan: each task gets its exact number, its rows pass by in shuffled order as often as needed.
 * The result is shuffled across tasks and parts. The source draws the task anew for every example; exact shares have the
 * same means without the noise.
 */
export function drawMixture(plan: readonly MixtureShare[], choice: TemplateChoice, random: Random): MixtureItem[] {
  const items = plan.flatMap((share) => drawExamples(share, random.fork(share.task.name), choice));
  return random.shuffle(items);
}

function isMember(task: Task, part: MixturePart): boolean {
  return (part.tasks === undefined || part.tasks.includes(task.name)) && partTemplates(task, part).length > 0;
}

function partTemplates(task: Task, part: MixturePart): Template[] {
  return task.templates.templates.filter(({ split, kind }) => split === 'train' && part.kinds.includes(kind));
}

function drawExamples(share: MixtureShare, random: Random, choice: TemplateChoice): MixtureItem[] {
  const { part, task, rows, examples } = share;
  const templates = random.shuffle(share.templates);
  const items: MixtureItem[] = [];
  let passing: TaskRow[] = [];
  while (items.length < examples) {
    if (passing.length === 0) passing = random.shuffle(rows);
    const row = passing.pop();
    const template = choice === 'random' ? random.pick(templates) : templates[items.length % templates.length];
    if (row === undefined || template === undefined) break;
    items.push({ part, task, row, template, shots: drawShots(share, row, random) });
  }
  return items;
}

/** Different rows of the same task, the question itself left out. */
function drawShots({ rows, shots }: MixtureShare, row: TaskRow, random: Random): TaskRow[] {
  if (shots.every((count) => count === 0)) return [];
  const wanted = Math.min(random.pick(shots), rows.length - 1);
  const drawn = new Set<TaskRow>();
  while (drawn.size < wanted) {
    const candidate = random.pick(rows);
    if (candidate !== row) drawn.add(candidate);
  }
  return [...drawn];
}
