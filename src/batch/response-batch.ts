/** Prompts with their responses as one batch, and where in it the response tokens are predicted. Host only. */

import { DataError } from '../errors.ts';
import { planPacking } from './packing.ts';
import { roundedLength } from './padding.ts';
import type { TokenBatch, TokenSequence } from './token-batch.ts';
import { layOut } from './token-batch.ts';

/** A prompt and what was answered, as ids; the response includes EOS where it ended. */
export interface PromptResponse {
  readonly promptIds: Int32Array;
  readonly responseIds: Int32Array;
}

/** Everything a step needs to read log-probabilities, values and scores of responses. */
export interface ResponseBatch {
  /** Whole sequences, padded on the right: [rows · seq], one or several in a row. */
  readonly tokens: TokenBatch;
  /** Columns of the response arrays. */
  readonly response: number;
  /** [batch · response], the response tokens; `padId` where masked. */
  readonly ids: Int32Array;
  /** [batch · response], the position in rows · seq whose hidden state predicts the token; a harmless 0 where masked. */
  readonly predictors: Int32Array;
  /** [batch · response], 1 on response tokens including EOS. */
  readonly mask: Float32Array;
  /** [batch], the position in rows · seq of the last token (EOS where there is one): where a score is read. */
  readonly last: Int32Array;
}

/**
 * Lays sequences out, one a row. Fixed sizes keep the shapes of a run's steps the same.
 *
 * prompt [5, 6], response [7, 2], seq 6, response columns 3
 *   ->  tokens [5, 6, 7, 2, 0, 0], ids [7, 2, 0], predictors [1, 2, 0], mask [1, 1, 0], last [3]
 *
 * @throws DataError when a sequence is longer than the sizes given
 */
export function responseBatch(
  sequences: readonly PromptResponse[],
  padId: number,
  sizes: { seq?: number; response?: number } = {},
): ResponseBatch {
  const seq = sizes.seq ?? longest(sequences.map(lengthOf));
  const plan = sequences.map((_, index) => [index]);
  const response = sizes.response ?? longest(sequences.map(({ responseIds }) => responseIds.length));
  return layOutResponses(sequences, padId, { plan, rows: plan.length, seq, response });
}

/**
 * Lays sequences out with several in a row where they fit, apart by segments: a step computes little for padding, and
 * gives what it gives for `responseBatch`. Lengths and rows are rounded up, so that few distinct shapes occur.
 * @param response columns of the response arrays, where they have to be those of another batch
 * @throws DataError as `responseBatch`
 */
export function packedResponseBatch(
  sequences: readonly PromptResponse[],
  padId: number,
  response = roundedLength(longest(sequences.map(({ responseIds }) => responseIds.length))),
): ResponseBatch {
  const lengths = sequences.map(lengthOf);
  const seq = roundedLength(longest(lengths));
  const plan = planPacking(lengths, seq);
  return layOutResponses(sequences, padId, { plan, rows: roundedRows(plan.length), seq, response });
}

/** At most an eighth more. */
function roundedRows(rows: number): number {
  const step = 2 ** Math.max(0, Math.floor(Math.log2(rows / 8)) + 1);
  return rows <= 8 ? rows : Math.ceil(rows / step) * step;
}

interface Layout {
  /** Which sequences stand in each row, one after the other. */
  readonly plan: readonly (readonly number[])[];
  /** Rows, empty ones at the end included. */
  readonly rows: number;
  readonly seq: number;
  readonly response: number;
}

function layOutResponses(sequences: readonly PromptResponse[], padId: number, layout: Layout): ResponseBatch {
  const { plan, rows, seq, response } = layout;
  checkLengths(sequences, layout);
  const all = Array.from({ length: rows }, (_, row) => (plan[row] ?? []).map((index) => wholeOf(sequences, index)));
  const tokens = layOut(all, seq, padId);
  const count = sequences.length * response;
  const grid = {
    ids: new Int32Array(count).fill(padId),
    predictors: new Int32Array(count),
    mask: new Float32Array(count),
  };
  const last = new Int32Array(sequences.length);
  for (const [row, indices] of plan.entries()) {
    let at = row * seq;
    for (const index of indices) {
      const { promptIds, responseIds } = sequences[index] as PromptResponse;
      const cell = index * response;
      grid.ids.set(responseIds, cell);
      grid.mask.fill(1, cell, cell + responseIds.length);
      for (let t = 0; t < responseIds.length; t++) grid.predictors[cell + t] = at + promptIds.length + t - 1;
      at += promptIds.length + responseIds.length;
      last[index] = at - 1;
    }
  }
  return { tokens, response, ...grid, last };
}

/** Prompt and response as one sequence whose response is learned. */
function wholeOf(sequences: readonly PromptResponse[], index: number): TokenSequence {
  const { promptIds, responseIds } = sequences[index] as PromptResponse;
  const ids = Int32Array.of(...promptIds, ...responseIds);
  return { ids, learned: new Int32Array(ids.length).fill(1, promptIds.length) };
}

/** The cells of the response arrays that hold tokens. */
export interface ResponseCells {
  /** [cells], filled up to a rounded number with cell 0. */
  readonly cells: Int32Array;
  /** [cells], 1 where a token is, 0 where it is filled up. */
  readonly mask: Float32Array;
}

/** What steps read and give instead of whole arrays, most of which can be padding: logits are the largest thing there is. */
export function responseCells({ mask, tokens }: ResponseBatch): ResponseCells {
  const found: number[] = [];
  mask.forEach((flag, cell) => {
    if (flag === 1) found.push(cell);
  });
  // In quarters of the rows, so that batches of one shape mostly have as many.
  const step = Math.ceil((tokens.batch * tokens.seq) / 4);
  const count = Math.min(mask.length, Math.max(1, Math.ceil(found.length / step)) * step);
  const cells = new Int32Array(count);
  cells.set(found);
  return { cells, mask: Float32Array.from(cells, (_, i) => (i < found.length ? 1 : 0)) };
}

/** Some cells of a response array. */
export function takeCells<T extends Int32Array | Float32Array>(values: T, { cells }: ResponseCells): T {
  const taken = new (values.constructor as new (length: number) => T)(cells.length);
  cells.forEach((cell, i) => {
    taken[i] = values[cell] as number;
  });
  return taken;
}

function checkLengths(sequences: readonly PromptResponse[], { seq, response }: Layout): void {
  const [most, mostResponse] = [
    longest(sequences.map(lengthOf)),
    longest(sequences.map((one) => one.responseIds.length)),
  ];
  const problems = [
    ...(most > seq ? [`expected sequences of at most ${seq} tokens, received ${most}. Raise the length.`] : []),
    ...(mostResponse > response
      ? [`expected responses of at most ${response} tokens, received ${mostResponse}. Raise sampling.maxNewTokens.`]
      : []),
  ];
  if (problems.length > 0) throw new DataError(problems.map((problem) => `response batch: ${problem}`));
}

function lengthOf({ promptIds, responseIds }: PromptResponse): number {
  return promptIds.length + responseIds.length;
}

function longest(lengths: readonly number[]): number {
  return lengths.reduce((most, length) => Math.max(most, length), 0);
}
