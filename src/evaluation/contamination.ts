/** Overlap of held-out rows with the training texts, by n-grams of words. */
import { join } from 'node:path';
import { readTable } from '../tables/arrow-file.ts';
import { utf8 } from '../tables/columns.ts';
import { readMessages } from '../tables/message-column.ts';
import type { Task } from '../tasks/task.ts';
import { rowsOf } from '../tasks/task.ts';

/** A text that must not have been trained on. */
export interface HeldOutText {
  /** What it belongs to, e.g. a task's name. */
  readonly group: string;
  readonly text: string;
}

/** How much of a group's texts stands in the training texts. */
export interface Overlap {
  readonly group: string;
  readonly texts: number;
  /** Share of the texts with any n-gram of the training texts; null where these are unknown. */
  readonly touched: number | null;
  /** Mean over the texts of the share of their n-grams that the training texts hold; null where these are unknown. */
  readonly overlap: number | null;
}

/** What is known of the overlap where training texts are not: nothing is compared. */
export function unknownOverlap(tasks: readonly Task[]): Overlap[] {
  return tasks.map(({ name }) => ({ group: name, texts: 0, touched: null, overlap: null }));
}

/**
 * Held-out rows against the training examples of a stage-1 run; row fields are compared, so that the words of templates
 * do not count; of conversations each message but the system's, which many rows share. A text of fewer than n words is left out: a word or a name alone says nothing about a row.
 * @param run folder with the run's `instruct.arrow`
 * @throws DataError as `readTable`
 */
export function trainingOverlap(run: string, tasks: readonly Task[], split: string, n: number): Overlap[] {
  const columns = { prompt: utf8(''), target: utf8('') };
  const training = readTable(join(run, 'instruct.arrow'), columns, 'node --import tsx stages/1-instruct.ts');
  const heldOut = tasks.flatMap((task) => {
    const { columns, options } = task.templates;
    const fields = columns.filter((name) => options === undefined || !('column' in options) || options.column !== name);
    return rowsOf(task, split)
      .flatMap((row) => fields.flatMap((name) => textsOf(row.fields[name])))
      .filter((text) => text.split(/\s+/).length >= n)
      .map((text) => ({ group: task.name, text }));
  });
  const texts = training.rows.map(({ prompt, target }) => `${prompt}\n${target}`);
  return ngramOverlap(heldOut, texts, n);
}

/** The texts of a field: itself, or what is said in a conversation. */
function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  const messages = readMessages(value);
  if ('problem' in messages) return [];
  return messages.messages.flatMap(({ role, content }) => (role === 'system' ? [] : [content]));
}

/**
 * The overlap of each group, in order of first appearance. Words are compared in lower case without punctuation, as in
 * GPT-3's analysis (arXiv:2005.14165 appendix C, with n = 13). A text of fewer than n words is one n-gram of all of them.
 * Only the n-grams of the held-out texts are kept in memory; the training texts stream by.
 */
export function ngramOverlap(heldOut: readonly HeldOutText[], training: Iterable<string>, n: number): Overlap[] {
  const grams = heldOut.map(({ text }) => gramsOf(text, n));
  const wanted = new Set(grams.flat());
  const lengths = [...new Set(grams.map((own) => own[0]?.split(' ').length ?? 0))].filter((length) => length > 0);
  const found = new Set<string>();
  for (const text of training) {
    const words = wordsOf(text);
    for (const length of lengths) {
      for (let at = 0; at + length <= words.length; at++) {
        const gram = words.slice(at, at + length).join(' ');
        if (wanted.has(gram)) found.add(gram);
      }
    }
  }
  const groups = new Map<string, number[]>();
  heldOut.forEach(({ group }, i) => {
    const own = grams[i] ?? [];
    const share = own.filter((gram) => found.has(gram)).length / Math.max(1, own.length);
    const shares = groups.get(group);
    if (shares === undefined) groups.set(group, [share]);
    else shares.push(share);
  });
  return [...groups].map(([group, shares]) => ({
    group,
    texts: shares.length,
    touched: shares.filter((share) => share > 0).length / shares.length,
    overlap: shares.reduce((sum, share) => sum + share, 0) / shares.length,
  }));
}

function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
}

function gramsOf(text: string, n: number): string[] {
  const words = wordsOf(text);
  if (words.length === 0) return [];
  if (words.length <= n) return [words.join(' ')];
  return Array.from({ length: words.length - n + 1 }, (_, at) => words.slice(at, at + n).join(' '));
}
