/** Instruction examples: a rendered prompt and target as token ids with a loss mask, and the Arrow table of them. */
import { DataError } from '../errors.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { readTable, writeTable } from './arrow-file.ts';
import { int32List, type Row, utf8, utf8List } from './columns.ts';

/** What to do with examples longer than the context. */
export const overlongPolicies = ['error', 'drop', 'truncate_left'] as const;
export type OverlongPolicy = (typeof overlongPolicies)[number];

/** Columns of `instruct.arrow`. */
export const instructColumns = {
  input_ids: int32List('Token ids: BOS, prompt and line break, target, EOS.'),
  loss_mask: int32List('1 on the tokens that are learned: the target and EOS; 0 on BOS and prompt.'),
  task: utf8('Dataset the row comes from.'),
  cluster: utf8('Cluster of the dataset.'),
  template_id: utf8('Template the row was rendered with.'),
  split: utf8('Split of the row: train, validation or test.'),
  prompt: utf8('Rendered prompt, without the line break after it.'),
  target: utf8('Rendered target.'),
  options: utf8List('Answers to rank; empty for free text.'),
};

export type InstructRow = Row<typeof instructColumns>;

/** Token ids and loss mask of one sequence, of equal length. */
export interface EncodedExample {
  inputIds: Int32Array;
  lossMask: Int32Array;
}

export interface EncodeOptions {
  /** Longest sequence allowed, BOS and EOS included. */
  maxLength: number;
  overlong: OverlongPolicy;
  /** Names the example in errors. */
  where: string;
}

/** Ids of a prompt as a model reads it before it answers: BOS, text, line break. */
export function encodePrompt(prompt: string, tokenizer: Tokenizer): Int32Array {
  const text = tokenizer.encode(`${prompt}\n`);
  return tokenizer.bosId === null ? text : Int32Array.of(tokenizer.bosId, ...text);
}

/**
 * Ids of a target or response as a model writes it, without EOS; options to rank are encoded the same way. It starts
 * with a space, so that a word copied from the prompt is the same token in both places (arXiv:2403.17031 detail D4 does
 * so too). An empty text has no tokens.
 */
export function encodeTarget(target: string, tokenizer: Tokenizer): Int32Array {
  return target === '' ? new Int32Array() : tokenizer.encode(` ${target}`);
}

/** The text of a response: without special tokens and without the space it starts with. */
export function decodeResponse(ids: ArrayLike<number>, tokenizer: Tokenizer): string {
  return tokenizer.decode(ids).replace(/^ /, '');
}

/**
 * One example as ids: BOS, prompt + "\n", " " + target, EOS; the loss mask covers target and EOS exactly.
 * Prompt and target are tokenized apart. Together, a token could span the boundary; then the mask would have to include
 * part of the prompt or leave out part of the target, and generation, which starts after the prompt's own tokens, would
 * see ids never trained on.
 *
 * prompt "a", target "b", byte tokens  ->  ids [BOS, a, \n, " ", b, EOS], mask [0, 0, 0, 1, 1, 1]
 *
 * @returns null where the policy is "drop" and the example is too long. "truncate_left" cuts the beginning of the
 *   prompt, never BOS, target or EOS
 * @throws DataError when the target has no tokens, the example is too long under "error", or the target alone is
 */
export function encodeExample(
  { prompt, target }: { prompt: string; target: string },
  tokenizer: Tokenizer,
  { maxLength, overlong, where }: EncodeOptions,
): EncodedExample | null {
  const promptIds = encodePrompt(prompt, tokenizer);
  const targetIds = encodeTarget(target, tokenizer);
  if (targetIds.length === 0) {
    throw new DataError(
      `${where}: the target is empty, so nothing would be learned; expected text. Mend or remove the row.`,
    );
  }
  const fixed = tokenizer.bosId === null ? 0 : 1;
  const excess = promptIds.length + targetIds.length + 1 - maxLength;
  if (excess > 0 && overlong === 'drop') return null;
  if (excess > 0 && (overlong === 'error' || excess > promptIds.length - fixed)) {
    throw new DataError(
      `${where}: the example is too long; expected at most ${maxLength} tokens, received ` +
        `${promptIds.length} of prompt and ${targetIds.length + 1} of target and EOS. ` +
        'Raise the sequence length, shorten the row, or choose overlong: drop.',
    );
  }
  const kept = excess > 0 ? [...promptIds.subarray(0, fixed), ...promptIds.subarray(fixed + excess)] : promptIds;
  const inputIds = Int32Array.of(...kept, ...targetIds, tokenizer.eosId);
  const lossMask = new Int32Array(inputIds.length).fill(1, kept.length);
  return { inputIds, lossMask };
}

/** Writes `instruct.arrow`. The tokenizer's hash goes into the schema, so that readers can refuse another tokenizer. */
export async function writeInstruct(path: string, rows: readonly InstructRow[], tokenizer: Tokenizer): Promise<void> {
  await writeTable(path, instructColumns, rows, { tokenizer: tokenizer.hash });
}

/**
 * Reads `instruct.arrow` and checks every row.
 *
 * @throws DataError when the file was made with another tokenizer, or naming rows whose mask has another length than the
 *   ids, masks everything, or whose ids are not in the vocabulary (the first ten)
 */
export function readInstruct(path: string, tokenizer: Tokenizer): InstructRow[] {
  const writtenBy = 'npx tsx stages/1-instruct.ts';
  const { rows, metadata } = readTable(path, instructColumns, writtenBy);
  checkTokenizer(path, metadata.tokenizer, tokenizer, writtenBy);
  const problems: string[] = [];
  for (const [index, { input_ids: ids, loss_mask: mask }] of rows.entries()) {
    const at = `${path}: row ${index}`;
    if (mask.length !== ids.length) {
      problems.push(
        `${at}: loss_mask: expected ${ids.length} entries as input_ids, received ${mask.length}. Run ${writtenBy}.`,
      );
    } else if (!mask.includes(1)) {
      problems.push(`${at}: loss_mask is 0 everywhere, so nothing would be learned; expected a 1. Remove the row.`);
    }
    const outside = ids.find((id) => id < 0 || id >= tokenizer.vocabSize);
    if (outside !== undefined) {
      problems.push(
        `${at}: input_ids: expected ids below ${tokenizer.vocabSize}, received ${outside}. Run ${writtenBy}.`,
      );
    }
    if (problems.length >= 10) break;
  }
  if (problems.length > 0) throw new DataError(problems);
  return rows;
}

/**
 * Refuses a table made with another tokenizer: its ids would mean other words.
 *
 * @param found the hash in the table's metadata
 * @throws DataError naming both hashes
 */
export function checkTokenizer(path: string, found: string | undefined, tokenizer: Tokenizer, writtenBy: string): void {
  if (found === tokenizer.hash) return;
  throw new DataError(
    `${path}: made with another tokenizer; expected ${tokenizer.hash}, received ${found ?? 'none in its metadata'}. ` +
      `Run ${writtenBy} with this tokenizer, or use the tokenizer it was made with.`,
  );
}
