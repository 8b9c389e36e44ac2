/** Sequences to be scored, batched with others of like length: little padding, and few distinct shapes. */
import { roundedLength } from './padding.ts';
import type { ResponseBatch } from './response-batch.ts';
import { responseBatch, responseLength } from './response-batch.ts';
import type { TokenSequence } from './token-batch.ts';

/** Sequences that are read side by side where nothing else is asked for. */
export const SIDE_BY_SIDE = 64;

/** Some of the sequences side by side. */
export interface LikeLengths {
  /** Which they are: row i of the batch is sequence indices[i]. Rows beyond are copies that fill the batch. */
  readonly indices: readonly number[];
  readonly batch: ResponseBatch;
}

/**
 * Batches of `rows` sequences, the shortest first. The last is filled with copies of a sequence, so that it needs no
 * compiled step of its own; where all fit in one batch there is nothing to fill.
 */
export function* likeLengths(
  sequences: readonly TokenSequence[],
  padId: number,
  rows = SIDE_BY_SIDE,
): Generator<LikeLengths> {
  const lengths = sequences.map(({ ids }) => ids.length);
  const order = lengths.map((_, i) => i).sort((a, b) => (lengths[a] as number) - (lengths[b] as number) || a - b);
  for (let at = 0; at < order.length; at += rows) {
    const indices = order.slice(at, at + rows);
    const some = indices.map((i) => sequences[i] as TokenSequence);
    const filled = at === 0 ? some : [...some, ...new Array(rows - some.length).fill(some[0])];
    const seq = roundedLength(lengths[indices.at(-1) as number] as number);
    const response = roundedLength(Math.max(...some.map(responseLength)));
    yield { indices, batch: responseBatch(filled, padId, { seq, response }) };
  }
}
