/** What a model has seen of a question's kind, and results told apart by it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Random } from '../random.ts';
import { readTable } from '../tables/arrow-file.ts';
import { type Row, utf8 } from '../tables/columns.ts';
import { type LearnedAnswers, learnedAnswers } from '../tasks/template.ts';
import type { TemplateKind } from '../tasks/template-schema.ts';
import type { TaskAnswer } from './answer-tasks.ts';
import { bootstrapInterval, type Interval, type Stratum } from './bootstrap.ts';
import { meanAndDeviation } from './statistics.ts';

/**
 * seen_task: a trained template of a trained task, rows never trained; unseen_template: a trained task asked in another
 * way; unseen_dataset: a task that was not trained, of a cluster that was; unseen_cluster: no task of the cluster was
 * trained (FLAN, arXiv:2109.01652 section 2.2); unknown: nothing is known of the training data.
 */
const protocols = ['seen_task', 'unseen_template', 'unseen_dataset', 'unseen_cluster', 'unknown'] as const;
export type Protocol = (typeof protocols)[number];

/** What was trained. */
export interface Seen {
  readonly clusters: ReadonlySet<string>;
  readonly tasks: ReadonlySet<string>;
  /** "task/template". */
  readonly templates: ReadonlySet<string>;
  /** Which answers of conversations were learned; undefined where the table does not say. */
  readonly learn?: LearnedAnswers | undefined;
}

const seenColumns = { task: utf8(''), cluster: utf8(''), template_id: utf8('') };

/** Reads what a stage-1 run trained from its `instruct.arrow`; undefined where the folder is no such run. */
export function readSeen(runFolder: string): Seen | undefined {
  const path = join(runFolder, 'instruct.arrow');
  if (!existsSync(path)) return undefined;
  const { rows, metadata } = readTable(path, seenColumns, 'node --import tsx stages/1-instruct.ts');
  return { ...seenIn(rows), learn: learnedAnswers.find((answers) => answers === metadata.learn) };
}

/** What rows of a training table show. */
export function seenIn(rows: readonly Row<typeof seenColumns>[]): Seen {
  return {
    clusters: new Set(rows.map(({ cluster }) => cluster)),
    tasks: new Set(rows.map(({ task }) => task)),
    templates: new Set(rows.map((row) => `${row.task}/${row.template_id}`)),
  };
}

/** Where a question stands. */
export function protocolOf(
  seen: Seen | undefined,
  item: { task: string; cluster: string; template: string },
): Protocol {
  if (seen === undefined) return 'unknown';
  if (seen.templates.has(`${item.task}/${item.template}`)) return 'seen_task';
  if (seen.tasks.has(item.task)) return 'unseen_template';
  return seen.clusters.has(item.cluster) ? 'unseen_dataset' : 'unseen_cluster';
}

/** One line of the protocol table: a model on the questions of one kind. */
export interface ProtocolResult extends Interval {
  readonly model: string;
  readonly protocol: Protocol;
  readonly kind: TemplateKind;
  /** Examples in front that were asked for. */
  readonly shots: number;
  /** One task, or "all": the mean over tasks. */
  readonly task: string;
  readonly cluster: string;
  readonly questions: number;
  readonly templates: number;
  /** Standard deviation of the means of single templates; null for one template, and for "all". */
  readonly spread: number | null;
  /** Score of the template that was best on validation rows, mean over the tasks that have such rows; null for none. */
  readonly bestOnDev: number | null;
  /** Mean difference to the base model on the same questions, with its interval; null for the base itself. */
  readonly gain: Interval | null;
}

/** Answers of one model to one set of questions. */
export interface AnswerSet {
  readonly model: string;
  readonly shots: number;
  readonly answers: readonly TaskAnswer[];
  /** The same questions of validation rows, to choose a template by; empty where they were not asked. */
  readonly dev: readonly TaskAnswer[];
}

export interface SummaryOptions {
  readonly seen: Seen | undefined;
  /** Answers of the base model to the same questions in the same order. */
  readonly base: AnswerSet;
  readonly bootstrap: { readonly samples: number; readonly level: number };
  readonly random: Random;
}

/** Results by protocol and kind of template, for each task and over all. */
export function summarise(set: AnswerSet, options: SummaryOptions): ProtocolResult[] {
  const groups = new Map<string, number[]>();
  set.answers.forEach(({ item }, i) => {
    const key = `${protocolOf(options.seen, item)} ${item.kind}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [i]);
    else group.push(i);
  });
  return protocols.flatMap((protocol) =>
    [...groups]
      .filter(([key]) => key.startsWith(`${protocol} `))
      .flatMap(([key, indices]) => {
        const kind = key.slice(protocol.length + 1) as TemplateKind;
        const tasks = [...new Set(indices.map((i) => (set.answers[i] as TaskAnswer).item.task))];
        const result = (task: string | undefined): ProtocolResult => {
          const own = indices.filter((i) => task === undefined || set.answers[i]?.item.task === task);
          return { model: set.model, protocol, kind, shots: set.shots, ...measure(set, own, task, options) };
        };
        return [result(undefined), ...tasks.map((task) => result(task))];
      }),
  );
}

type Measured = Omit<ProtocolResult, 'model' | 'protocol' | 'kind' | 'shots'>;

function measure(
  set: AnswerSet,
  indices: readonly number[],
  task: string | undefined,
  options: SummaryOptions,
): Measured {
  const { base, bootstrap, random } = options;
  const chosen = indices.map((i) => set.answers[i] as TaskAnswer);
  const interval = (values: readonly number[]): Interval =>
    bootstrapInterval(strata(chosen, values), { ...bootstrap, random: random.fork(task ?? 'all') });
  const own = chosen.map(({ score }) => score);
  const byTemplate = templateMeans(chosen);
  const gains = indices.map((i, at) => (own[at] ?? 0) - (base.answers[i]?.score ?? 0));
  return {
    task: task ?? 'all',
    cluster: task === undefined ? '' : (chosen[0]?.item.cluster ?? ''),
    questions: chosen.length,
    templates: byTemplate.size,
    spread: task === undefined || byTemplate.size < 2 ? null : meanAndDeviation([...byTemplate.values()]).deviation,
    bestOnDev: bestOnDev(set, chosen),
    gain: set.model === base.model ? null : interval(gains),
    ...interval(own),
  };
}

/** Tasks → rows → values: templates that ask the same row stay together. */
function strata(answers: readonly TaskAnswer[], values: readonly number[]): Stratum[] {
  const tasks = new Map<string, Map<string, number[]>>();
  answers.forEach(({ item }, i) => {
    const rows = tasks.get(item.task) ?? new Map<string, number[]>();
    const row = rows.get(item.rowId) ?? [];
    row.push(values[i] ?? 0);
    rows.set(item.rowId, row);
    tasks.set(item.task, rows);
  });
  return [...tasks.values()].map((rows) => [...rows.values()]);
}

/** Mean score of each "task/template". */
function templateMeans(answers: readonly TaskAnswer[]): Map<string, number> {
  const scores = new Map<string, number[]>();
  for (const { item, score } of answers) {
    const key = `${item.task}/${item.template}`;
    const own = scores.get(key) ?? [];
    own.push(score);
    scores.set(key, own);
  }
  return new Map([...scores].map(([key, values]) => [key, meanAndDeviation(values).mean]));
}

/** FLAN's second number: for each task the template that is best on validation rows, judged on the others; their mean. */
function bestOnDev(set: AnswerSet, chosen: readonly TaskAnswer[]): number | null {
  const test = templateMeans(chosen);
  const dev = templateMeans(set.dev);
  const best = new Map<string, string>();
  for (const key of test.keys()) {
    const score = dev.get(key);
    if (score === undefined) continue;
    const task = key.slice(0, key.indexOf('/'));
    const held = dev.get(best.get(task) ?? '') ?? Number.NEGATIVE_INFINITY;
    if (score > held) best.set(task, key);
  }
  if (best.size === 0) return null;
  return meanAndDeviation([...best.values()].map((key) => test.get(key) ?? 0)).mean;
}
