/** Preference pairs: two responses to one prompt, one preferred; the Arrow table of them and its checks. */
import { DataError } from '../errors.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { readTable, writeTable } from './arrow-file.ts';
import { bool, float32, int32, int32List, type Row, utf8 } from './columns.ts';
import { checkTokenizer } from './instruction.ts';

/** Columns of `preference.arrow`. */
export const preferenceColumns = {
  prompt: utf8('The prompt, without the line break after it.'),
  chosen: utf8('The preferred response.'),
  rejected: utf8('The other response.'),
  chosen_ids: int32List('Token ids: BOS, prompt and line break, chosen response, EOS where it ended.'),
  rejected_ids: int32List('Token ids: BOS, prompt and line break, rejected response, EOS where it ended.'),
  prompt_length: int32('Leading tokens of both id columns that are the prompt, BOS included.'),
  margin: float32('How much better the chosen response is, in units of the label; 0 where unknown.'),
  gold_chosen: float32('Score of the chosen response by the hidden gold scorer.'),
  gold_rejected: float32('Score of the rejected response by the hidden gold scorer.'),
  flipped: bool('True where label noise made the worse response the chosen one.'),
  split: utf8('Split of the pair: train, validation or test.'),
};

export type PreferenceRow = Row<typeof preferenceColumns>;

/** What a reader needs of the model that will see the pairs. */
export interface PreferenceReader {
  tokenizer: Tokenizer;
  /** Longest sequence the model can read. */
  contextLength: number;
}

/** Writes `preference.arrow` with the tokenizer's hash in its schema. */
export async function writePreferences(
  path: string,
  rows: readonly PreferenceRow[],
  tokenizer: Tokenizer,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  await writeTable(path, preferenceColumns, rows, { ...metadata, tokenizer: tokenizer.hash });
}

/**
 * Reads `preference.arrow` and checks every pair.
 *
 * @param writtenBy the command that makes such a file, for errors
 * @throws DataError when the file has no pairs or was made with another tokenizer; or naming pairs whose responses are
 *   the same or empty, whose two sequences do not share the prompt, or whose ids do not fit vocabulary or context (the first ten)
 */
export function readPreferences(path: string, reader: PreferenceReader, writtenBy: string): PreferenceRow[] {
  const { rows, metadata } = readTable(path, preferenceColumns, writtenBy);
  checkTokenizer(path, metadata.tokenizer, reader.tokenizer, writtenBy);
  if (rows.length === 0) throw new DataError(`${path}: no pairs; expected at least one. Run ${writtenBy}.`);
  const problems: string[] = [];
  for (const [index, row] of rows.entries()) {
    for (const problem of checkPair(row, reader))
      problems.push(`${path}: row ${index}: ${problem} Mend or remove the row.`);
    if (problems.length >= 10) break;
  }
  if (problems.length > 0) throw new DataError(problems);
  return rows;
}

function checkPair(row: PreferenceRow, { tokenizer, contextLength }: PreferenceReader): string[] {
  const { chosen_ids: chosen, rejected_ids: rejected, prompt_length: shared } = row;
  const problems: string[] = [];
  if (chosen.length === rejected.length && chosen.every((id, i) => id === rejected[i])) {
    problems.push('chosen and rejected are the same; expected two different responses.');
  }
  if (shared < 1 || chosen.subarray(0, shared).some((id, i) => id !== rejected[i])) {
    problems.push(
      `prompt_length: expected the tokens that both sequences begin with, received ${shared}, where they differ.`,
    );
  }
  for (const [name, ids] of [
    ['chosen_ids', chosen],
    ['rejected_ids', rejected],
  ] as const) {
    if (ids.length <= shared)
      problems.push(`${name}: no response; expected more than ${shared} tokens, received ${ids.length}.`);
    if (ids.length > contextLength) {
      problems.push(
        `${name}: too long; expected at most ${contextLength} tokens (the model's context), received ${ids.length}.`,
      );
    }
    const outside = ids.find((id) => id < 0 || id >= tokenizer.vocabSize);
    if (outside !== undefined)
      problems.push(`${name}: expected ids below ${tokenizer.vocabSize}, received ${outside}.`);
  }
  return problems;
}
