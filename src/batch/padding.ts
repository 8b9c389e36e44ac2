/** Batches: sequences padded to one length, on the right for training and on the left for generation. */
import { DataError } from '../errors.ts';

/** Padded sequences, each array flat [batch, length]. */
export interface PaddedBatch {
  batch: number;
  length: number;
  ids: Int32Array;
  /** 1 on real tokens. */
  attentionMask: Int32Array;
  /** Number of real tokens before this one; 0 on padding. The same for a sequence however it is padded. */
  positionIds: Int32Array;
}

/** Training: sequences first, padding after. `length` is the longest sequence unless given. */
export function padRight(sequences: readonly Int32Array[], padId: number, length = longest(sequences)): PaddedBatch {
  return pad(sequences, padId, length, () => 0);
}

/** Generation: padding first, so that every sequence ends in the last column, where the next token is sampled. */
export function padLeft(sequences: readonly Int32Array[], padId: number, length = longest(sequences)): PaddedBatch {
  return pad(sequences, padId, length, (sequence) => length - sequence.length);
}

/** The sequences of a batch without their padding, wherever it stands. */
export function unpad({ batch, length, ids, attentionMask }: PaddedBatch): Int32Array[] {
  return Array.from({ length: batch }, (_, row) => {
    return ids.subarray(row * length, (row + 1) * length).filter((_, i) => attentionMask[row * length + i] === 1);
  });
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
  return Math.ceil(size / LENGTH_STEP) * LENGTH_STEP;
}

function longest(sequences: readonly Int32Array[]): number {
  return sequences.reduce((most, sequence) => Math.max(most, sequence.length), 0);
}

function pad(
  sequences: readonly Int32Array[],
  padId: number,
  length: number,
  offset: (sequence: Int32Array) => number,
): PaddedBatch {
  if (longest(sequences) > length) {
    throw new DataError(
      `padding: expected sequences of at most ${length} tokens, received ${longest(sequences)}. Raise the length.`,
    );
  }
  const ids = new Int32Array(sequences.length * length).fill(padId);
  const attentionMask = new Int32Array(ids.length);
  const positionIds = new Int32Array(ids.length);
  for (const [row, sequence] of sequences.entries()) {
    const start = row * length + offset(sequence);
    ids.set(sequence, start);
    attentionMask.fill(1, start, start + sequence.length);
    for (let i = 0; i < sequence.length; i++) positionIds[start + i] = i;
  }
  return { batch: sequences.length, length, ids, attentionMask, positionIds };
}
