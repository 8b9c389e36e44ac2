/** Sequences to be scored, batched with others of like length: little padding, and few distinct shapes. */
import { roundedLength } from './padding.ts';
import type { PromptResponse, ResponseBatch } from './response-batch.ts';
import { responseBatch } from './response-batch.ts';

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
  sequences: readonly PromptResponse[],
  padId: number,
  rows: number,
): Generator<LikeLengths> {
  const lengths = sequences.map(({ promptIds, responseIds }) => promptIds.length + responseIds.length);
  const order = lengths.map((_, i) => i).sort((a, b) => (lengths[a] as number) - (lengths[b] as number) || a - b);
  for (let at = 0; at < order.length; at += rows) {
    const indices = order.slice(at, at + rows);
    const some = indices.map((i) => sequences[i] as PromptResponse);
    const filled = at === 0 ? some : [...some, ...new Array(rows - some.length).fill(some[0])];
    const seq = roundedLength(lengths[indices.at(-1) as number] as number);
    const response = roundedLength(Math.max(...some.map(({ responseIds }) => responseIds.length)));
    yield { indices, batch: responseBatch(filled, padId, { seq, response }) };
  }
}
