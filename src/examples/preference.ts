/** Preference pairs: two responses to one prompt, one preferred; the Arrow tables of them and how they become tokens. */
import { promptAndResponse } from '../batch/response-batch.ts';
import type { TokenSequence } from '../batch/token-batch.ts';
import { DataError } from '../errors.ts';
import { userSays } from '../message.ts';
import { inspectTable, readTable, writeTable } from '../tables/arrow-file.ts';
import { bool, float32, int32, int32List, type Row, utf8 } from '../tables/columns.ts';
import { countAt, type Tally, tallyEntry } from '../tables/tally.ts';
import { conversationFields, findUnread, unreadProblems } from '../tasks/unread-fields.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { checkTokenizer, encodePrompt, encodeTarget } from './instruction.ts';

const textColumns = {
  prompt: utf8('The prompt, without the line break after it.'),
  chosen: utf8('The preferred response.'),
  rejected: utf8('The other response.'),
};

const tokenColumns = {
  chosen_ids: int32List('Token ids: BOS, prompt and line break, chosen response, EOS where it ended.'),
  rejected_ids: int32List('Token ids: BOS, prompt and line break, rejected response, EOS where it ended.'),
  prompt_length: int32('Leading tokens of both id columns that are the prompt, BOS included.'),
};

const labelColumns = {
  margin: float32('How much better the chosen response is, in units of the label; 0 where unknown.'),
  gold_chosen: float32('Total of the judge for the chosen response.'),
  gold_rejected: float32('Total of the judge for the rejected response.'),
  flipped: bool('True where label noise made the worse response the chosen one.'),
};

/** Columns of the pairs that `stages/preferences.ts` makes. Imported pairs have the first three and any of the rest. */
export const preferenceColumns = {
  ...textColumns,
  ...tokenColumns,
  ...labelColumns,
  split: utf8('Split of the pair: train, validation or test.'),
};

export type PreferenceRow = Row<typeof preferenceColumns>;

/** A pair as stage 2 reads it: always as tokens, and with what is known beside the label. */
export interface PreferencePair extends Row<typeof textColumns>, Row<typeof tokenColumns> {
  /** 0 where unknown. */
  readonly margin: number;
  /** What a judge says of each; null where there is none. */
  readonly gold_chosen: number | null;
  readonly gold_rejected: number | null;
  readonly flipped: boolean | null;
  /** Value of the column that the reader groups by; null without one. */
  readonly group: string | null;
}

/** What to do with pairs longer than the model's context. */
export const pairOverlongPolicies = ['error', 'drop', 'left'] as const;

/** What a reader needs of the model that will see the pairs, and how it wants them. */
export interface PreferenceReader {
  readonly tokenizer: Tokenizer;
  /** Longest sequence the model can read. */
  readonly contextLength: number;
  /** `left` cuts the beginning of the prompt, never BOS or a response, and drops pairs whose response does not fit. */
  readonly overlong?: (typeof pairOverlongPolicies)[number];
  /** A text column to group pairs by. */
  readonly groupBy?: string | null;
  /** Only pairs of this split; all where null or left out. */
  readonly split?: string | null;
}

/** What became of the pairs of a file. */
export interface PairStatistics {
  readonly pairs: number;
  /** Tokens of both sequences of all pairs. */
  readonly tokens: number;
  readonly longest: number;
  /** Pairs whose prompt lost its beginning. */
  readonly cut: number;
  /** Pairs left out because they are too long. */
  readonly dropped: number;
  /** Those by reason, with the first rows. */
  readonly reasons: Readonly<Tally>;
}

/** Pairs ready for training. */
export interface LoadedPairs {
  readonly pairs: PreferencePair[];
  readonly statistics: PairStatistics;
}

/** Writes the pairs of `stages/preferences.ts` with the tokenizer's hash in the schema. */
export async function writePreferences(
  path: string,
  rows: readonly PreferenceRow[],
  tokenizer: Tokenizer,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  await writeTable(path, preferenceColumns, rows, { ...metadata, tokenizer: tokenizer.hash });
}

/**
 * Reads a table of preference pairs and checks every pair. Token columns are used as they are; a table of texts alone
 * is tokenized: BOS, prompt and line break, space and response, EOS.
 *
 * prompt "a", chosen "b"  ->  chosen_ids [BOS, a, \n, " ", b, EOS], prompt_length 3
 *
 * @param writtenBy the command that makes such a file, for errors
 * @throws DataError when the file has no pairs (of the split), lacks the column to group by or was made with another tokenizer; or
 *   naming pairs whose responses are the same or empty, whose sequences do not share the prompt, or whose ids do not
 *   fit vocabulary or, under "error", context (the first ten); for parts of conversations in columns of their own; or when
 *   every pair is too long
 */
export function readPreferences(path: string, reader: PreferenceReader, writtenBy: string): LoadedPairs {
  const rows = readRows(path, reader, writtenBy);
  if (rows.length === 0) throw new DataError(`${path}: no pairs; expected at least one. Run ${writtenBy}.`);
  const policy = reader.overlong ?? 'error';
  const problems = unreadFields(path, rows);
  const pairs: PreferencePair[] = [];
  const reasons: Tally = {};
  let cut = 0;
  for (const { index, row } of rows) {
    for (const problem of checkPair(row, reader)) problems.push(`${path}: row ${index}: ${problem}`);
    if (problems.length >= 10) break;
    const fitting = policy === 'error' ? row : fitPair(row, reader, policy);
    if (typeof fitting === 'string') countAt(tallyEntry(reasons, fitting), `row ${index}`);
    else pairs.push(fitting);
    if (typeof fitting !== 'string' && fitting !== row) cut += 1;
  }
  if (problems.length > 0) throw new DataError(problems);
  if (pairs.length === 0) {
    throw new DataError(
      `${path}: all ${rows.length} pairs are too long; expected some of at most ${reader.contextLength} tokens (the model's context). Use a model with a longer context.`,
    );
  }
  return { pairs, statistics: { ...sizesOf(pairs), cut, dropped: rows.length - pairs.length, reasons } };
}

/** The two sequences of a pair, their responses learned. */
export function pairIds(row: Row<typeof tokenColumns>): { chosen: TokenSequence; rejected: TokenSequence } {
  const whole = (ids: Int32Array): TokenSequence => {
    return promptAndResponse(ids.subarray(0, row.prompt_length), ids.subarray(row.prompt_length));
  };
  return { chosen: whole(row.chosen_ids), rejected: whole(row.rejected_ids) };
}

function sizesOf(pairs: readonly PreferencePair[]): Pick<PairStatistics, 'pairs' | 'tokens' | 'longest'> {
  const lengths = pairs.flatMap((pair) => [pair.chosen_ids.length, pair.rejected_ids.length]);
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  return { pairs: pairs.length, tokens, longest: lengths.reduce((most, length) => Math.max(most, length), 0) };
}

/** Some of the pairs, by position; the counts of cut and dropped pairs are those of all. */
export function selectPairs({ pairs, statistics }: LoadedPairs, takes: (index: number) => boolean): LoadedPairs {
  const taken = pairs.filter((_, index) => takes(index));
  return { pairs: taken, statistics: { ...statistics, ...sizesOf(taken) } };
}

/** The splits that the pairs of a file are of; none where it has no such column. */
export function splitsOfPairs(path: string, writtenBy: string): string[] {
  readTable(path, {}, writtenBy);
  if (!inspectTable(path).columns.some(({ name }) => name === 'split')) return [];
  const { rows } = readTable(path, { split: preferenceColumns.split }, writtenBy);
  return [...new Set(rows.map(({ split }) => split))];
}

/** Problems where there are parts of conversations beside the texts of pairs: nothing reads them. */
function unreadFields(path: string, rows: readonly { index: number }[]): string[] {
  const { columns, row } = inspectTable(path);
  if (!columns.some(({ name }) => conversationFields.some((field) => field === name))) return [];
  const lines = rows.map(({ index }) => ({ where: `row ${index}`, fields: row(index) }));
  const remedy = 'Write it into the prompts, or import the pairs without that column.';
  return unreadProblems(findUnread(path, lines), () => remedy);
}

/** The rows of a table with whichever columns it has, as tokens. */
function readRows(path: string, reader: PreferenceReader, writtenBy: string): { index: number; row: PreferencePair }[] {
  // First, because its errors say what is wrong with the file and who makes one.
  readTable(path, {}, writtenBy);
  const found = new Set(inspectTable(path).columns.map(({ name }) => name));
  const hasTokens = Object.keys(tokenColumns).some((name) => found.has(name));
  const { groupBy = null, split = null } = reader;
  const labels = Object.entries(labelColumns).filter(([name]) => found.has(name));
  const columns = {
    ...textColumns,
    ...(hasTokens ? tokenColumns : {}),
    ...Object.fromEntries(labels.map(([name, column]) => [name, { ...column, nullable: true }])),
    ...(groupBy === null ? {} : { [groupBy]: utf8('What the pair is grouped by.') }),
    ...(split === null ? {} : { split: preferenceColumns.split }),
  };
  const { rows, metadata } = readTable(path, columns, writtenBy);
  if (hasTokens) checkTokenizer(path, metadata.tokenizer, reader.tokenizer, writtenBy);
  const wanted = [...rows.entries()].filter(([, row]) => split === null || splitOf(row) === split);
  if (rows.length > 0 && wanted.length === 0) {
    const known = [...new Set(rows.map(splitOf))].sort().join(', ');
    throw new DataError(`${path}: no pairs of split "${split}"; expected one of ${known}. Correct the split.`);
  }
  return wanted.map(([index, values]) => {
    const row = values as Row<typeof textColumns> & Partial<Row<typeof tokenColumns>> & Partial<Nullable>;
    const { prompt, chosen, rejected } = row;
    const pair = {
      prompt,
      chosen,
      rejected,
      ...tokensOf(row, reader.tokenizer),
      gold_chosen: row.gold_chosen ?? null,
      gold_rejected: row.gold_rejected ?? null,
      margin: row.margin ?? 0,
      flipped: row.flipped ?? null,
      group: groupBy === null ? null : String((values as Record<string, unknown>)[groupBy]),
    };
    return { index, row: pair };
  });
}

const splitOf = (row: unknown): unknown => (row as { split?: unknown }).split;

type Nullable = { [Name in keyof typeof labelColumns]: Row<typeof labelColumns>[Name] | null };

/** The tokens a row has, or those of its texts. */
function tokensOf(
  row: Row<typeof textColumns> & Partial<Row<typeof tokenColumns>>,
  tokenizer: Tokenizer,
): Row<typeof tokenColumns> {
  const { chosen_ids, rejected_ids, prompt_length } = row;
  if (chosen_ids !== undefined && rejected_ids !== undefined && prompt_length !== undefined) {
    return { chosen_ids, rejected_ids, prompt_length };
  }
  const promptIds = encodePrompt(userSays(row.prompt), tokenizer);
  const whole = (response: string): Int32Array => {
    const ids = encodeTarget(response, tokenizer);
    return ids.length === 0 ? promptIds : Int32Array.of(...promptIds, ...ids, tokenizer.eosId);
  };
  return { chosen_ids: whole(row.chosen), rejected_ids: whole(row.rejected), prompt_length: promptIds.length };
}

/** The pair within the context, the same object where it fits as it is, or why it is left out. */
function fitPair(
  row: PreferencePair,
  { tokenizer, contextLength }: PreferenceReader,
  policy: 'drop' | 'left',
): PreferencePair | string {
  const excess = Math.max(row.chosen_ids.length, row.rejected_ids.length) - contextLength;
  if (excess <= 0) return row;
  if (policy === 'drop') return 'too long';
  // Of a chat template no part can be cut without damage.
  if (tokenizer.chat !== null) return 'too long, and prompts of a chat template are not cut';
  const kept = tokenizer.bosId === null ? 0 : 1;
  // The line break at the prompt's end stays too: it is what tells a prompt from a response.
  if (excess > row.prompt_length - kept - 1) return 'the response alone is too long';
  const cut = (ids: Int32Array): Int32Array => Int32Array.of(...ids.subarray(0, kept), ...ids.subarray(kept + excess));
  return {
    ...row,
    chosen_ids: cut(row.chosen_ids),
    rejected_ids: cut(row.rejected_ids),
    prompt_length: row.prompt_length - excess,
  };
}

function checkPair(row: PreferencePair, { tokenizer, contextLength, overlong = 'error' }: PreferenceReader): string[] {
  const { chosen_ids: chosen, rejected_ids: rejected, prompt_length: shared } = row;
  const problems: string[] = [];
  if (chosen.length === rejected.length && chosen.every((id, i) => id === rejected[i])) {
    problems.push('chosen and rejected are the same; expected two different responses. Mend or remove the row.');
  }
  if (shared < 1) {
    problems.push(
      `prompt_length: no prompt; expected at least one token before the responses, received ${shared}. Mend or remove the row.`,
    );
  } else if (chosen.subarray(0, shared).some((id, i) => id !== rejected[i])) {
    problems.push(
      `prompt_length: expected the tokens that both sequences begin with, received ${shared}, where they differ. Mend or remove the row.`,
    );
  }
  for (const [name, ids] of [
    ['chosen_ids', chosen],
    ['rejected_ids', rejected],
  ] as const) {
    if (ids.length <= shared)
      problems.push(
        `${name}: no response; expected more than ${shared} tokens, received ${ids.length}. Mend or remove the row.`,
      );
    if (overlong === 'error' && ids.length > contextLength) {
      problems.push(
        `${name}: too long; expected at most ${contextLength} tokens (the model's context), received ${ids.length}. Mend or remove the row, or set sequence.overlong to left or drop.`,
      );
    }
    const outside = ids.find((id) => id < 0 || id >= tokenizer.vocabSize);
    if (outside !== undefined)
      problems.push(`${name}: expected ids below ${tokenizer.vocabSize}, received ${outside}. Mend or remove the row.`);
  }
  return problems;
}
