/** The examples of a mixture as rows of instruct.arrow, with a count of what went into it. */
import type { TokenSequence } from '../batch/token-batch.ts';
import { DataError } from '../errors.ts';
import { messagesText } from '../message.ts';
import { bool, float64, int32, type Row, utf8 } from '../tables/columns.ts';
import { renderFewShot } from '../tasks/few-shot.ts';
import type { HeldOutTask } from '../tasks/hold-out.ts';
import type { MixtureItem, MixtureShare } from '../tasks/mixture.ts';
import type { Task } from '../tasks/task.ts';
import type { LearnedAnswers, Rendered } from '../tasks/template.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { encodeRendered } from './encode-rendered.ts';
import { encodePrompt, encodeTarget, type OverlongPolicy } from './instruction.ts';
import type { DroppedExample, InstructRow } from './instruction-table.ts';

/** Columns of `mixture.arrow`: one row for each part and task, and one for each held-out task. */
export const mixtureColumns = {
  part: utf8('Part of the mixture; empty for held-out tasks.'),
  task: utf8('Dataset.'),
  cluster: utf8('Its cluster.'),
  trained: bool('False for held-out tasks.'),
  held_out: utf8('Why it is not trained; empty where it is.'),
  rows: int32('Training rows it is drawn from.'),
  declared_rate: float64('Share of the mixture by the configuration.'),
  examples: int32('Examples written.'),
  realised_rate: float64('Share of the examples written.'),
  tokens: int32('Their tokens.'),
  trainable_tokens: int32('Those with loss.'),
  truncated: int32('Examples with tokens cut off.'),
  dropped: int32('Examples left out because they were too long.'),
  lost_shots: int32('Solved examples that were drawn but did not fit in front of a question.'),
};
export type MixtureRow = Row<typeof mixtureColumns>;

/** How long an example may be, and what of it is learned. */
export interface Fit {
  readonly maxLength: number;
  readonly overlong: OverlongPolicy;
  readonly learn: LearnedAnswers;
}

/** Sequences of rows that are known already, by id: those of files of one's own. */
export type WholeRows = ReadonlyMap<Task, ReadonlyMap<string, TokenSequence>>;

/** Most problems that are named one by one. */
const mostNamed = 20;

/** Counts what is rendered and renders it; read `table()` after the last row. */
export interface MixtureRendering {
  /** One row for each item, or where it was dropped; throws at its end, naming all rows that cannot be used. */
  rows(): Generator<InstructRow | DroppedExample>;
  table(): MixtureRow[];
}

/**
 * Renders and tokenizes the items of a mixture one by one.
 *
 * @throws DataError, from `rows` after the last item: rows that cannot be rendered or do not fit, all of them
 */
export function renderMixture(
  plan: readonly MixtureShare[],
  heldOut: readonly HeldOutTask[],
  items: readonly MixtureItem[],
  tokenizer: Tokenizer,
  fit: Fit,
  whole: WholeRows = new Map(),
): MixtureRendering {
  const counts = new Map(plan.map((share) => [keyOf(share.part, share.task.name), noCounts()]));
  const rows = function* (): Generator<InstructRow | DroppedExample> {
    const problems = new Set<string>();
    for (const item of items) {
      const count = counts.get(keyOf(item.part, item.task.name));
      if (count === undefined) continue;
      try {
        const made = renderItem(item, tokenizer, fit, whole.get(item.task)?.get(item.row.id));
        for (const row of made) countRow(count, row, item.shots.length);
        yield* made;
        if (made.length > 0) continue;
        count.dropped++;
        yield { droppedFrom: item.row.where };
      } catch (error) {
        if (!(error instanceof DataError)) throw error;
        for (const problem of error.problems) problems.add(problem);
      }
    }
    if (problems.size === 0) return;
    const more = problems.size - mostNamed;
    throw new DataError([...[...problems].slice(0, mostNamed), ...(more > 0 ? [`… and ${more} more problems.`] : [])]);
  };
  return { rows, table: () => mixtureTable(plan, heldOut, counts) };
}

/** The example of an item; of a text as many as it has pieces; none where it is too long and left out. */
function renderItem(item: MixtureItem, tokenizer: Tokenizer, fit: Fit, whole?: TokenSequence): InstructRow[] {
  const { part, task, row, template } = item;
  const size = ({ messages, target }: Rendered): number =>
    encodePrompt(messages, tokenizer).length + encodeTarget(target ?? '', tokenizer).length + 1;
  const { rendered, shots } = renderFewShot(
    task.templates,
    template,
    row,
    item.shots,
    (each) => size(each) <= fit.maxLength,
  );
  const { messages, options } = rendered;
  const target = rendered.target ?? '';
  const encoded = encodeRendered(rendered, template.kind, tokenizer, { ...fit, where: row.where }, whole);
  return encoded.map(({ ids, learned, cutTokens }) => ({
    input_ids: ids,
    loss_mask: learned,
    part,
    task: task.name,
    cluster: task.cluster,
    template_id: template.id,
    kind: template.kind,
    shots,
    row_id: row.id,
    split: row.split,
    prompt: messagesText(messages, rendered.tools),
    target,
    options,
    cut_tokens: cutTokens,
  }));
}

interface Counts {
  examples: number;
  tokens: number;
  trainable: number;
  truncated: number;
  dropped: number;
  lostShots: number;
}

function noCounts(): Counts {
  return { examples: 0, tokens: 0, trainable: 0, truncated: 0, dropped: 0, lostShots: 0 };
}

function countRow(count: Counts, row: InstructRow, drawnShots: number): void {
  count.examples++;
  count.tokens += row.input_ids.length;
  count.trainable += row.loss_mask.reduce((sum, flag) => sum + flag, 0);
  count.lostShots += drawnShots - row.shots;
  if (row.cut_tokens > 0) count.truncated++;
}

function mixtureTable(
  plan: readonly MixtureShare[],
  heldOut: readonly HeldOutTask[],
  counts: ReadonlyMap<string, Counts>,
): MixtureRow[] {
  const total = [...counts.values()].reduce((sum, { examples }) => sum + examples, 0);
  const trained = plan.map(({ part, task, rows, rate }): MixtureRow => {
    const count = counts.get(keyOf(part, task.name)) ?? noCounts();
    return {
      part,
      task: task.name,
      cluster: task.cluster,
      trained: true,
      held_out: '',
      rows: rows.length,
      declared_rate: rate,
      examples: count.examples,
      realised_rate: count.examples / Math.max(1, total),
      tokens: count.tokens,
      trainable_tokens: count.trainable,
      truncated: count.truncated,
      dropped: count.dropped,
      lost_shots: count.lostShots,
    };
  });
  const kept = heldOut.map(({ task, reason }): MixtureRow => {
    const own = { part: '', task: task.name, cluster: task.cluster, trained: false, held_out: reason };
    const none = {
      examples: 0,
      realised_rate: 0,
      tokens: 0,
      trainable_tokens: 0,
      truncated: 0,
      dropped: 0,
      lost_shots: 0,
    };
    return { ...own, rows: task.rows.filter(({ split }) => split === 'train').length, declared_rate: 0, ...none };
  });
  return [...trained, ...kept];
}

function keyOf(part: string, task: string): string {
  return `${part}/${task}`;
}
