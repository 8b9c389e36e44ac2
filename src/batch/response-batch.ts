/** Prompts with their responses as a batch, and where in it the response tokens are predicted. Host only. */

import { DataError } from '../errors.ts';
import { roundedLength } from './padding.ts';
import type { RowPlan } from './plan-rows.ts';
import { planRows } from './plan-rows.ts';
import type { SharedPrompt } from './shared-prompts.ts';
import { ownPrompt, sharePrompts } from './shared-prompts.ts';
import type { TokenBatch, TokenSequence } from './token-batch.ts';
import { layOut } from './token-batch.ts';

/** A block of numbers, one for each response token: row-major [sequences, response]. */
export interface TokenGrid {
  readonly sequences: number;
  readonly response: number;
}

/** A token batch, and where its response tokens (the learned ones) stand: what reads or trains on responses needs. */
export interface ResponseBatch {
  /** Whole sequences, padded on the right, one or several in a row; several may share a prompt (`branches`). */
  readonly tokens: TokenBatch;
  /** The grid that numbers of response tokens are kept in, each sequence's from its first column on. */
  readonly grid: TokenGrid;
  /**
   * The response tokens, sequence by sequence: each one's cell in the grid, sequences · response. Filled up to a rounded
   * count with cells of no meaning, like the three below: [count].
   */
  readonly cells: Int32Array;
  /** The position in batch · seq whose hidden state predicts the token. */
  readonly predictors: Int32Array;
  /** The token. */
  readonly targets: Int32Array;
  /** 1 on response tokens, 0 where the count is filled up. */
  readonly responseMask: Float32Array;
  /** [sequences of this batch], the position in batch · seq of the last token (EOS where there is one): where a score is read. */
  readonly last: Int32Array;
}

/** A prompt and what was answered as one sequence; the response includes EOS where it ended. */
export function promptAndResponse(prompt: Int32Array, response: Int32Array): TokenSequence {
  const ids = new Int32Array(prompt.length + response.length);
  ids.set(prompt);
  ids.set(response, prompt.length);
  return { ids, learned: new Int32Array(ids.length).fill(1, prompt.length) };
}

/**
 * Lays sequences out, one a row. Fixed sizes keep the shapes of a run's steps the same.
 *
 * prompt [5, 6], response [7, 2], seq 6, response columns 3
 *   ->  tokens [5, 6, 7, 2, 0, 0], cells [0, 1], predictors [1, 2], targets [7, 2], last [3]
 *
 * @throws DataError when a sequence is longer than the sizes given, or begins with a response
 */
export function responseBatch(
  sequences: readonly TokenSequence[],
  padId: number,
  sizes: { seq?: number; response?: number } = {},
): ResponseBatch {
  const seq = sizes.seq ?? longest(sequences.map(lengthOf));
  const plan = sequences.map((_, index) => [index]);
  const response = sizes.response ?? longest(sequences.map(responseLength));
  const runs = sequences.map(ownPrompt);
  return layOutResponses(sequences, padId, { runs, plan, rows: plan.length, seq, ...wholeGrid(sequences, response) });
}

/** Runs are this many times as long as the longest sequence at most: what their tokens cannot attend to costs time too. */
const SHARED_LENGTH = 2;

/**
 * Lays sequences out with several in a row where they fit, apart by segments, and a prompt once for several responses where
 * that makes fewer tokens of the whole: a step computes little for nothing, and gives what it gives for `responseBatch`.
 * Lengths and rows are rounded up, so that few distinct shapes occur.
 * @param place where the numbers of these sequences stand, where that is the grid of more sequences: their lines in it
 * @throws DataError as `responseBatch`
 */
export function packedResponseBatch(
  sequences: readonly TokenSequence[],
  padId: number,
  place: GridLines = wholeGrid(sequences, roundedLength(longest(sequences.map(responseLength)))),
): ResponseBatch {
  const planned = (runs: readonly SharedPrompt[]) => ({
    runs,
    ...planRows(runs.map(({ tokens }) => lengthOf(tokens))),
  });
  const apart = planned(sequences.map(ownPrompt));
  const shared = planned(sharePrompts(sequences, SHARED_LENGTH * longest(sequences.map(lengthOf))));
  // Long responses to a short prompt would fill longer rows for nothing.
  const saved = apart.rows * apart.seq - shared.rows * shared.seq;
  const best = saved > 0 || (saved === 0 && shared.seq <= apart.seq) ? shared : apart;
  return layOutResponses(sequences, padId, { ...best, ...place });
}

/** Lines of a grid. */
export interface GridLines {
  readonly grid: TokenGrid;
  /** The line of each sequence. */
  readonly lines: readonly number[];
}

function wholeGrid(sequences: readonly TokenSequence[], response: number): GridLines {
  return { grid: { sequences: sequences.length, response }, lines: sequences.map((_, line) => line) };
}

/** What stands in the rows of the plan: runs. */
interface Layout extends GridLines, RowPlan {
  readonly runs: readonly SharedPrompt[];
}

function layOutResponses(sequences: readonly TokenSequence[], padId: number, layout: Layout): ResponseBatch {
  const { grid, lines } = layout;
  checkSequences(sequences, layout);
  const { tokens, places } = layOutRuns(sequences, padId, layout);
  const found = sequences.reduce((sum, sequence) => sum + responseLength(sequence), 0);
  const count = roundedCount(found, tokens, sequences.length * grid.response);
  const cells = new Int32Array(count);
  const predictors = new Int32Array(count);
  const targets = new Int32Array(count);
  let next = 0;
  for (const [index, { ids, learned }] of sequences.entries()) {
    let cell = (lines[index] as number) * grid.response;
    for (let t = 0; t < ids.length; t++) {
      if (learned[t] !== 1) continue;
      cells[next] = cell++;
      predictors[next] = placeOf(places[index] as Place, t - 1);
      targets[next++] = ids[t] as number;
    }
  }
  // What fills up is read like any other, so it repeats a token that is there.
  for (const array of [cells, predictors, targets]) array.fill(array[0] as number, found);
  const responseMask = new Float32Array(count).fill(1, 0, found);
  const last = Int32Array.from(sequences, ({ ids }, index) => placeOf(places[index] as Place, ids.length - 1));
  return { tokens, grid, cells, predictors, targets, responseMask, last };
}

/** Where in batch · seq a sequence stands: its prompt from `start` on, its response from `response` on. */
interface Place {
  readonly start: number;
  readonly response: number;
  /** Tokens of the prompt. */
  readonly prompt: number;
}

/** The position of token t. */
function placeOf({ start, response, prompt }: Place, t: number): number {
  return t < prompt ? start + t : response + t - prompt;
}

/** The tokens of all runs, and where each sequence came to stand. */
function layOutRuns(
  sequences: readonly TokenSequence[],
  padId: number,
  { runs, plan, rows, seq }: Layout,
): { readonly tokens: TokenBatch; readonly places: readonly Place[] } {
  const lists = Array.from({ length: rows }, (_, row) => (plan[row] ?? []).map((run) => runs[run] as SharedPrompt));
  const tokens = layOut(
    lists.map((list) => list.map((run) => run.tokens)),
    seq,
    padId,
  );
  const branches = new Int32Array(rows * seq);
  const places = new Array<Place>(sequences.length);
  for (const [row, list] of lists.entries()) {
    let start = row * seq;
    for (const { prompt, indices, tokens: run } of list) {
      let response = start + prompt;
      for (const [branch, index] of indices.entries()) {
        places[index] = { start, response, prompt };
        const end = response + lengthOf(sequences[index] as TokenSequence) - prompt;
        if (indices.length > 1) branches.fill(branch + 1, response, end);
        for (let at = response; at < end; at++) tokens.positions[at] = prompt + at - response;
        response = end;
      }
      start += lengthOf(run);
    }
  }
  return { tokens: runs.length < sequences.length ? { ...tokens, branches } : tokens, places };
}

/** In quarters of the rows, so that batches of one shape mostly have as many. Logits are the largest thing there is. */
function roundedCount(found: number, { batch, seq }: TokenBatch, most: number): number {
  const step = Math.ceil((batch * seq) / 4);
  return Math.min(most, Math.max(1, Math.ceil(found / step)) * step);
}

/** What a grid holds of each response token of a batch: [count]. */
export function takeCells(values: Float32Array, { cells }: ResponseBatch): Float32Array {
  return Float32Array.from(cells, (cell) => values[cell] as number);
}

/** A grid with a number [count] in the cell of each response token, and 0 elsewhere. */
export function putCells(values: Float32Array, { cells, responseMask, grid }: ResponseBatch): Float32Array {
  const filled = new Float32Array(grid.sequences * grid.response);
  for (let i = 0; i < cells.length; i++) if (responseMask[i] === 1) filled[cells[i] as number] = values[i] as number;
  return filled;
}

/** [sequences · response], 1 on response tokens. */
export function gridMask(batch: ResponseBatch): Float32Array {
  return putCells(batch.responseMask, batch);
}

function checkSequences(sequences: readonly TokenSequence[], { seq, grid }: Layout): void {
  const [most, mostResponse] = [longest(sequences.map(lengthOf)), longest(sequences.map(responseLength))];
  const promptless = sequences.findIndex(({ learned }) => learned[0] === 1);
  const problems = [
    ...(most > seq ? [`expected sequences of at most ${seq} tokens, received ${most}. Raise the length.`] : []),
    ...(mostResponse > grid.response
      ? [
          `expected responses of at most ${grid.response} tokens, received ${mostResponse}. Raise sampling.maxNewTokens.`,
        ]
      : []),
    ...(promptless >= 0
      ? [`sequence ${promptless}: expected a prompt of at least one token before the response, received none.`]
      : []),
  ];
  if (problems.length > 0) throw new DataError(problems.map((problem) => `response batch: ${problem}`));
}

function lengthOf({ ids }: TokenSequence): number {
  return ids.length;
}

/** Learned tokens of a sequence. */
export function responseLength({ learned }: TokenSequence): number {
  return learned.reduce((sum, flag) => sum + flag, 0);
}

function longest(lengths: readonly number[]): number {
  return lengths.reduce((most, length) => Math.max(most, length), 0);
}
