/** Padding: sequences brought to one length, and lengths brought to few. */
import { DataError } from '../errors.ts';
import type { TokenBatch } from './token-batch.ts';
import { layOut } from './token-batch.ts';

/**
 * For generation: padding first, so that every sequence ends in the last column, where the next token is sampled. Nothing
 * of it is learned.
 * @param seq the longest sequence unless given
 * @throws DataError where a sequence is longer than `seq`
 */
export function padLeft(sequences: readonly Int32Array[], padId: number, seq = longest(sequences)): TokenBatch {
  if (longest(sequences) > seq) {
    throw new DataError(
      `padding: expected sequences of at most ${seq} tokens, received ${longest(sequences)}. Raise the length.`,
    );
  }
  const rows = sequences.map((ids) => [{ ids, learned: new Int32Array(ids.length) }]);
  return layOut(rows, seq, padId, 'left');
}

/**
 * The smallest of some fixed lengths that holds a sequence. Batches of few distinct shapes let compiled steps be reused.
 *
 * @throws DataError when the sequence is longer than every bucket
 */
export function bucketLength(size: number, buckets: readonly number[]): number {
  const fitting = buckets.filter((bucket) => bucket >= size);
  if (fitting.length === 0) {
    throw new DataError(
      `buckets: expected a sequence of at most ${Math.max(...buckets)} tokens, received ${size}. Add a larger bucket.`,
    );
  }
  return Math.min(...fitting);
}

/** Indices of sequences grouped by bucket, smallest bucket first; order within a bucket is kept. */
export function groupByBucket(
  lengths: readonly number[],
  buckets: readonly number[],
): { length: number; indices: number[] }[] {
  const groups = new Map<number, number[]>();
  for (const [index, size] of lengths.entries()) {
    const bucket = bucketLength(size, buckets);
    const group = groups.get(bucket);
    if (group === undefined) groups.set(bucket, [index]);
    else group.push(index);
  }
  return [...groups].sort(([a], [b]) => a - b).map(([length, indices]) => ({ length, indices }));
}

/** Compiled steps are made for each set of shapes: lengths that are multiples of this keep them few. */
const LENGTH_STEP = 16;

/** The next length that compiled steps are made for. */
export function roundedLength(size: number): number {
  return roundedUp(size, LENGTH_STEP);
}

/** Rounded up in steps of an eighth of the next power of two, or `least` where that is more, so that few sizes occur. */
export function roundedUp(size: number, least: number): number {
  const step = Math.max(least, 2 ** (Math.ceil(Math.log2(size)) - 3));
  return Math.ceil(size / step) * step;
}

function longest(sequences: readonly Int32Array[]): number {
  return sequences.reduce((most, sequence) => Math.max(most, sequence.length), 0);
}
