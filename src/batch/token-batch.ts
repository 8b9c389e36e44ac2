/** Sequences of token ids and the batches they are laid out in: what models, objectives and decoding read. Host only. */

import { InvariantError } from '../errors.ts';
import { chunks } from './chunks.ts';

/** Ids of one sequence, and which of them are learned; of equal length. */
export interface TokenSequence {
  readonly ids: Int32Array;
  /** 1 on the tokens a loss is taken over: every response and its EOS. 0 on prompts. */
  readonly learned: Int32Array;
}

/** Rows of tokens, one or several sequences in a row; each array is flat [batch · seq]. */
export interface TokenBatch {
  /** Rows. */
  readonly batch: number;
  /** Columns: every row has as many, padding included. */
  readonly seq: number;
  /** `padId` where nothing stands. */
  readonly ids: Int32Array;
  /** 1, 2, … per sequence, or prompt with its responses, within its row; 0 on padding. Attention never crosses segments. */
  readonly segments: Int32Array;
  /** Position within the sequence, from 0; 0 on padding. */
  readonly positions: Int32Array;
  /** 1 on the tokens a loss is taken over; 0 on prompts and padding. */
  readonly learned: Int32Array;
  /**
   * Where a segment is a prompt with several responses: 1, 2, … per response, whose tokens attend to the prompt and to
   * that response, and whose positions go on after the prompt; 0 elsewhere. Left out where no segment is.
   */
  readonly branches?: Int32Array;
}

/**
 * Lays sequences out, one list of them a row, each list no longer than a row.
 *
 * [[[7, 8, 5], [4, 1]]], seq 6  ->  ids [7, 8, 5, 4, 1, 0], segments [1, 1, 1, 2, 2, 0], positions [0, 1, 2, 0, 1, 0]
 *
 * @param padding the side of each row's padding
 */
export function layOut(
  rows: readonly (readonly TokenSequence[])[],
  seq: number,
  padId: number,
  padding: 'left' | 'right' = 'right',
): TokenBatch {
  const size = rows.length * seq;
  const laid = {
    batch: rows.length,
    seq,
    ids: new Int32Array(size).fill(padId),
    segments: new Int32Array(size),
    positions: new Int32Array(size),
    learned: new Int32Array(size),
  };
  for (const [row, sequences] of rows.entries()) {
    let at = row * seq;
    if (padding === 'left') at += seq - sequences.reduce((sum, { ids }) => sum + ids.length, 0);
    for (const [segment, { ids, learned }] of sequences.entries()) {
      laid.ids.set(ids, at);
      laid.learned.set(learned, at);
      laid.segments.fill(segment + 1, at, at + ids.length);
      for (let i = 0; i < ids.length; i++) laid.positions[at + i] = i;
      at += ids.length;
    }
  }
  return laid;
}

/** The chosen rows, in the order given. */
export function takeRows(tokens: TokenBatch, rows: readonly number[]): TokenBatch {
  const { seq } = tokens;
  const take = (source: Int32Array): Int32Array => {
    const result = new Int32Array(rows.length * seq);
    for (const [i, row] of rows.entries()) result.set(source.subarray(row * seq, (row + 1) * seq), i * seq);
    return result;
  };
  return {
    batch: rows.length,
    seq,
    ids: take(tokens.ids),
    segments: take(tokens.segments),
    positions: take(tokens.positions),
    learned: take(tokens.learned),
    ...(tokens.branches !== undefined && { branches: take(tokens.branches) }),
  };
}

/** All rows, in batches of at most `size`. */
export function rowBatches(tokens: TokenBatch, size: number): TokenBatch[] {
  const rows = Array.from({ length: tokens.batch }, (_, row) => row);
  return chunks(rows, size).map((some) => takeRows(tokens, some));
}

/** Where learned tokens are predicted, row by row. */
export interface LearnedTokens {
  /** The position in batch · seq of the token before each. */
  readonly predictors: readonly number[];
  readonly targets: readonly number[];
}

/**
 * The learned tokens of a batch, each predicted by the one before it; the first of a sequence has none before it.
 * @throws InvariantError where prompts have several responses: what predicts the first token of one is not the one before it
 */
export function learnedTokens({ seq, ids, segments, learned, branches }: TokenBatch): LearnedTokens {
  if (branches !== undefined) {
    throw new InvariantError('learned tokens: expected one response a prompt, received several. Read a ResponseBatch.');
  }
  const predictors: number[] = [];
  const targets: number[] = [];
  for (let at = 1; at < ids.length; at++) {
    const isFirst = at % seq === 0 || segments[at] !== segments[at - 1];
    if (learned[at] !== 1 || isFirst) continue;
    predictors.push(at - 1);
    targets.push(ids[at] as number);
  }
  return { predictors, targets };
}
