/** Preference pairs as a model reads them: two responses to one prompt as tokens, checked, and made to fit its context. */
import { promptAndResponse } from '../batch/response-batch.ts';
import type { TokenSequence } from '../batch/token-batch.ts';
import { DataError } from '../errors.ts';
import { type Message, messagesText, saidText } from '../message.ts';
import type { Row } from '../tables/columns.ts';
import { countAt, type Tally, tallyEntry } from '../tables/tally.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { fitRows } from './fit-rows.ts';
import { checkTokenizer, encodeAnswer, encodePrompt } from './instruction.ts';
import { PAIRS_MADE_BY, type PairFile } from './open-pairs.ts';
import type { PairSelection, SourcePair, tokenColumns } from './pair-table.ts';

/** A pair as stage 2 reads it: always as tokens, and with what is known beside the label. */
export interface PreferencePair
  extends Omit<SourcePair, 'where' | 'prompt' | 'chosen' | 'rejected' | 'tokens'>,
    Row<typeof tokenColumns> {
  /** As text; of a conversation all of it. */
  readonly prompt: string;
  readonly chosen: string;
  readonly rejected: string;
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
  /** What sets the length, for errors; the model's context where left out. */
  readonly lengthBy?: string;
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
  /** What is said of pairs that do not fit the model's format. */
  readonly lines: readonly string[];
}

/**
 * Reads pairs and checks every one. Tokens are used as they are; texts are tokenized as the model reads conversations:
 * BOS, prompt and line break, space and response, EOS, or what its chat template writes.
 *
 * prompt "a", chosen "b"  ->  chosen_ids [BOS, a, \n, " ", b, EOS], prompt_length 3
 *
 * @throws DataError when there are no pairs (of the split), the column to group by is missing or they were made with another tokenizer; or
 *   naming pairs whose responses are the same or empty, whose sequences do not share the prompt, or whose ids do not fit
 *   vocabulary or, under "error", context (the first ten); as `fitRows` for those that the format has no place for; for
 *   parts of conversations in columns of their own; or when every pair is too long
 */
export function loadPairs(file: PairFile, selection: PairSelection, reader: PreferenceReader): LoadedPairs {
  const { path } = file;
  const { rows, tokenizer: madeWith, problems: found, badRows } = file.read(selection);
  if (rows.length === 0) throw new DataError(`${path}: no pairs; expected at least one. Run ${PAIRS_MADE_BY}.`);
  if (rows[0]?.tokens != null) checkTokenizer(path, madeWith, reader.tokenizer, PAIRS_MADE_BY);
  const { overlong = 'error', lengthBy = "the model's context" } = reader;
  const problems = [...found];
  const pairs: PreferencePair[] = [];
  const reasons: Tally = {};
  let cut = 0;
  const write = (row: SourcePair) => ({ where: row.where, pair: tokenized(row, reader.tokenizer) });
  const { fitted, lines } = fitRows(rows, write, { path, badRows, limitKey: 'badRows' });
  for (const { where, pair } of fitted) {
    if (problems.length >= 10) break;
    for (const problem of checkPair(pair, reader)) problems.push(`${where}: ${problem}`);
    const fitting = overlong === 'error' ? pair : fitPair(pair, reader, overlong);
    if (typeof fitting === 'string') countAt(tallyEntry(reasons, fitting), where.replace(`${path}: `, ''));
    else pairs.push(fitting);
    if (typeof fitting !== 'string' && fitting !== pair) cut += 1;
  }
  if (problems.length > 0) throw new DataError(problems);
  if (pairs.length === 0) {
    throw new DataError(
      `${path}: all ${fitted.length} pairs are too long; expected some of at most ${reader.contextLength} tokens (${lengthBy}). Use a model with a longer context.`,
    );
  }
  const statistics = { ...sizesOf(pairs), cut, dropped: fitted.length - pairs.length, reasons };
  return { pairs, statistics, lines };
}

/** A pair with the tokens it has, or those of its texts. */
function tokenized(source: SourcePair, tokenizer: Tokenizer): PreferencePair {
  const { where, prompt, chosen, rejected, tokens, ...known } = source;
  const texts = { chosen: saidText(chosen), rejected: saidText(rejected) };
  const pair = { ...known, ...texts, prompt: messagesText(prompt.messages, prompt.tools) };
  if (tokens !== null) return { ...pair, ...tokens };
  const promptIds = encodePrompt(prompt.messages, tokenizer, where, prompt.tools);
  const whole = (answer: Message): Int32Array => {
    return Int32Array.of(...promptIds, ...encodeAnswer(answer, prompt, tokenizer, where));
  };
  return { ...pair, chosen_ids: whole(chosen), rejected_ids: whole(rejected), prompt_length: promptIds.length };
}

/** The two sequences of a pair, their responses learned. */
export function pairIds(row: Row<typeof tokenColumns>): { chosen: TokenSequence; rejected: TokenSequence } {
  const whole = (ids: Int32Array): TokenSequence => {
    return promptAndResponse(ids.subarray(0, row.prompt_length), ids.subarray(row.prompt_length));
  };
  return { chosen: whole(row.chosen_ids), rejected: whole(row.rejected_ids) };
}

/** The sequences of pairs: the chosen and the rejected one of each, in their order. */
export function pairSequences(pairs: readonly PreferencePair[]): TokenSequence[] {
  return pairs.map(pairIds).flatMap(({ chosen, rejected }) => [chosen, rejected]);
}

function sizesOf(pairs: readonly PreferencePair[]): Pick<PairStatistics, 'pairs' | 'tokens' | 'longest'> {
  const lengths = pairs.flatMap((pair) => [pair.chosen_ids.length, pair.rejected_ids.length]);
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  return { pairs: pairs.length, tokens, longest: lengths.reduce((most, length) => Math.max(most, length), 0) };
}

/** Some of the pairs, by position; the counts of cut and dropped pairs are those of all. */
export function selectPairs(all: LoadedPairs, takes: (index: number) => boolean): LoadedPairs {
  const { pairs, statistics } = all;
  const taken = pairs.filter((_, index) => takes(index));
  return { ...all, pairs: taken, statistics: { ...statistics, ...sizesOf(taken) } };
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

function checkPair(row: PreferencePair, reader: PreferenceReader): string[] {
  const { tokenizer, contextLength, overlong = 'error', lengthBy = "the model's context" } = reader;
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
        `${name}: too long; expected at most ${contextLength} tokens (${lengthBy}), received ${ids.length}. Mend or remove the row, or set sequence.overlong to left or drop.`,
      );
    }
    const outside = ids.find((id) => id < 0 || id >= tokenizer.vocabSize);
    if (outside !== undefined)
      problems.push(`${name}: expected ids below ${tokenizer.vocabSize}, received ${outside}. Mend or remove the row.`);
  }
  return problems;
}
