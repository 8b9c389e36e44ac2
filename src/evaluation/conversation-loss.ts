/** Loss on held-out conversations, task by task: they have no right answer to compare with, so that nothing else is measured. */
import { packSequences } from '../batch/packing.ts';
import { roundedLength } from '../batch/padding.ts';
import { responseLength } from '../batch/response-batch.ts';
import type { TokenBatch } from '../batch/token-batch.ts';
import { rowBatches } from '../batch/token-batch.ts';
import { DataError } from '../errors.ts';
import { encodeRendered } from '../examples/encode-rendered.ts';
import { fitRows } from '../examples/fit-rows.ts';
import type { FittedExample } from '../examples/instruction.ts';
import type { Model } from '../model/model.ts';
import { nextTokenLoss } from '../objectives/next-token.ts';
import { seededRandom } from '../random.ts';
import { rowsOf, type Task } from '../tasks/task.ts';
import { type LearnedAnswers, renderTemplate } from '../tasks/template.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { type Protocol, protocolOf, type Seen } from './protocol.ts';

/** The held-out conversations of a task. */
export interface ConversationSet {
  readonly task: string;
  readonly cluster: string;
  readonly protocol: Protocol;
  /** Conversations that are measured. */
  readonly rows: number;
  /** Their tokens whose loss is taken. */
  readonly tokens: number;
  readonly batches: readonly TokenBatch[];
}

/** All of them, and what of the tasks is not measured, in words. */
export interface ConversationSets {
  readonly sets: readonly ConversationSet[];
  readonly lines: readonly string[];
}

/** A model's loss on the conversations of a task. */
export interface ConversationLoss extends Omit<ConversationSet, 'batches'> {
  readonly model: string;
  /** Mean of −log p(token) over the answers' tokens, in nats. */
  readonly loss: number;
}

/** Which rows, and which of their answers. */
export interface ConversationChoice {
  readonly split: string;
  readonly rowsPerTask: number;
  readonly seed: number;
  /** Shortest context of the models. */
  readonly context: number;
}

/** Packed rows of one forward pass. */
const ROWS = 4;

/** Whether a task's rows are conversations, which have no templates. */
export function isOfConversations({ templates }: Task): boolean {
  return templates.templates.every(({ kind }) => kind === 'conversation');
}

/**
 * The conversations of the tasks that have no templates. Loss is taken on the answers that stage 1 learned from; on all where
 * that is unknown. Rows that are longer than the context, or do not fit the model's format, are left out and counted.
 *
 * @throws DataError for a task of which no row of the split fits the format
 */
export function conversationSets(
  tasks: readonly Task[],
  seen: Seen | undefined,
  { split, rowsPerTask, seed, context }: ConversationChoice,
  tokenizer: Tokenizer,
): ConversationSets {
  const talks = tasks.filter(isOfConversations);
  const learn: LearnedAnswers = seen?.learn ?? 'all';
  const lines: string[] = [];
  const sets = talks.flatMap((task): ConversationSet[] => {
    const { name, cluster, path } = task;
    const rows = seededRandom(seed, `conversations of ${name}`).shuffle(rowsOf(task, split)).slice(0, rowsPerTask);
    if (rows.length === 0) {
      lines.push(`conversations of ${name}: no rows of split "${split}", so nothing is measured`);
      return [];
    }
    const [template] = task.templates.templates;
    const write = (row: (typeof rows)[number]): FittedExample[] => {
      if (template === undefined) throw new DataError(`${row.where}: no template`);
      const options = { maxLength: context, overlong: 'drop', learn, where: row.where } as const;
      return encodeRendered(renderTemplate(task.templates, template, row), 'conversation', tokenizer, options);
    };
    const fit = fitRows(rows, write, { path, badRows: 1, limitKey: 'the split' });
    const sequences = fit.fitted.flat();
    lines.push(...fit.lines.map((line) => `conversations of ${name}: ${line.trim()}`));
    const long = fit.fitted.length - sequences.length;
    if (long > 0) lines.push(`conversations of ${name}: ${long} of ${rows.length} are longer than ${context} tokens`);
    if (sequences.length === 0) return [];
    const longest = Math.max(...sequences.map(({ ids }) => ids.length));
    const packed = packSequences(sequences, Math.min(context, roundedLength(longest)), tokenizer.padId);
    const tokens = sequences.reduce((sum, sequence) => sum + responseLength(sequence), 0);
    const protocol = protocolOf(seen, { task: name, cluster, template: 'conversation' });
    return [{ task: name, cluster, protocol, rows: sequences.length, tokens, batches: rowBatches(packed, ROWS) }];
  });
  if (sets.length > 0) {
    const answers = learn === 'all' ? 'of all answers' : 'of the last answers (data.learn)';
    lines.push(
      `conversations: the loss ${answers} is measured on ${sets.map(({ task }) => task).join(', ')}; nothing is scored`,
    );
  }
  return { sets, lines };
}

/** A model's loss on each of them. */
export function conversationLosses(name: string, model: Model, sets: readonly ConversationSet[]): ConversationLoss[] {
  return sets.map(({ batches, ...set }) => ({ model: name, ...set, loss: nextTokenLoss(model, batches) }));
}
