/** Tasks out of files of one's own: rows read, recognized and tried in the model's format, with their lengths. */
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import type { TokenSequence } from '../batch/token-batch.ts';
import type { Encoding } from '../import/encodings.ts';
import { stemOfName } from '../import/file-kind.ts';
import type { LearnedShape } from '../import/recognize.ts';
import { readTrainingRows, type TrainingRow } from '../import/training-rows.ts';
import { conversationTask, textTask } from '../tasks/conversations.ts';
import type { Task } from '../tasks/task.ts';
import { type LearnedAnswers, toLearn } from '../tasks/template.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { cutDocument, documentIds } from './corpus.ts';
import { fitRows } from './fit-rows.ts';
import { encodeExample } from './instruction.ts';

/** What a configuration says of the files. */
export interface OwnFiles {
  readonly file?: string | readonly { readonly path: string; readonly weight: number }[] | undefined;
  readonly shape: LearnedShape | 'auto';
  readonly encoding: Encoding;
  /** Largest share of the rows that may be unusable. */
  readonly badRows: number;
  /** Which answers are learned: a template may rewrite those that are not. */
  readonly learn: LearnedAnswers;
}

/** The rows of one entry of `data.file`. */
export interface FileTask {
  readonly task: Task;
  /** How often each row is learned in an epoch. */
  readonly weight: number;
  /** Of the rows' contents. */
  readonly hash: string;
  /** Tokens of each row to train on or to validate with. */
  readonly lengths: readonly number[];
  /** Sequences of rows by id, of any length, so that they need not be tokenized again; of a large file the first. */
  readonly whole: Map<string, TokenSequence>;
  /** The path as it was given, or the files of a pattern. */
  readonly inputs: readonly string[];
  /** What was read, in words. */
  readonly lines: readonly string[];
}

/** Tokens that are kept until the table is written, of all files: 128 MB. */
const MOST_KEPT = 2 ** 24;

/**
 * Reads all files. Rows that the model's format cannot hold (text of special tokens, an order of roles) are left out as
 * unusable ones are.
 *
 * @param tokenizer of the model that is to learn them
 * @throws DataError as `readTrainingRows`, and where too many rows do not fit the format
 */
export async function loadFileTasks(own: OwnFiles, tokenizer: Tokenizer): Promise<FileTask[]> {
  const entries = typeof own.file === 'string' ? [{ path: own.file, weight: 1 }] : (own.file ?? []);
  const tasks: FileTask[] = [];
  const names = new Set<string>();
  let kept = 0;
  for (const { path, weight } of entries) {
    const { kind, rows, inputs, lines } = await readTrainingRows({ ...own, path });
    // Rows of other splits are not read any further.
    const wanted = rows.filter(({ split }) => split === 'train' || split === 'validation');
    const whole = new Map<string, TokenSequence>();
    const measured = (row: TrainingRow) => {
      const sequence = wholeOf(row, own.learn, tokenizer);
      const { length } = sequence.ids;
      kept += length;
      if (kept <= MOST_KEPT) whole.set(row.id, sequence);
      return { row, length };
    };
    const { fitted, lines: notes } = fitRows(wanted, measured, { ...own, path, limitKey: 'data.badRows' });
    const usable = fitted.map(({ row }) => row);
    const name = freeName(path, names);
    const texts = usable.flatMap(({ content, ...row }) =>
      typeof content === 'string' ? { ...row, text: content } : [],
    );
    const talks = usable.flatMap(({ content, ...row }) => (typeof content === 'string' ? [] : { ...row, ...content }));
    names.add(name);
    const task = kind === 'text' ? textTask(name, path, texts) : conversationTask(name, path, talks);
    tasks.push({
      task,
      weight,
      hash: hashOf(usable),
      lengths: fitted.map(({ length }) => length),
      whole,
      inputs,
      lines: [...lines, ...notes],
    });
  }
  return tasks;
}

/** "my" for data/my.jsonl; "my-2" where that is taken. */
function freeName(path: string, taken: ReadonlySet<string>): string {
  const stem = stemOfName(basename(path)) || 'file';
  if (!taken.has(stem)) return stem;
  for (let i = 2; ; i++) if (!taken.has(`${stem}-${i}`)) return `${stem}-${i}`;
}

/** A row as one sequence, however long. */
function wholeOf({ content, where }: TrainingRow, learn: LearnedAnswers, tokenizer: Tokenizer): TokenSequence {
  const maxLength = Number.POSITIVE_INFINITY;
  const pieces =
    typeof content === 'string'
      ? cutDocument(documentIds(content, tokenizer), maxLength)
      : [encodeExample(toLearn(content, learn), tokenizer, { maxLength, overlong: 'error', where })];
  // Of any length is one piece.
  const { ids, learned } = pieces[0] as TokenSequence;
  return { ids, learned };
}

/** Of what is learned, wherever it stands. */
function hashOf(rows: readonly TrainingRow[]): string {
  const hash = createHash('sha256');
  for (const { id, split, content } of rows) hash.update(JSON.stringify([id, split, content]));
  return `sha256:${hash.digest('hex')}`;
}
