/** Packing: several short sequences in one row of fixed length, kept apart by segment ids. */
import { DataError } from '../errors.ts';

/** Token ids and loss mask of one sequence, of equal length. */
export interface EncodedExample {
  readonly inputIds: Int32Array;
  /** 1 on the tokens that are learned: every response and its EOS. */
  readonly lossMask: Int32Array;
}

/** Packed rows, each array flat [rows, length]. */
export interface PackedRows {
  rows: number;
  length: number;
  /** Token ids; `padId` where nothing stands. */
  inputIds: Int32Array;
  /** 1 on tokens that are learned. */
  lossMask: Int32Array;
  /** 1, 2, … per sequence within its row; 0 where nothing stands. A token attends within its own segment only. */
  segmentIds: Int32Array;
  /** Position within the sequence, from 0. */
  positions: Int32Array;
}

/** Packed rows lined up for next-token prediction; each array flat [rows, length]. */
export interface AlignedRows {
  inputs: Int32Array;
  /** `targets[t]` is the token after `inputs[t]` in the same segment; `padId` where there is none. */
  targets: Int32Array;
  /** 1 where the target exists and is learned. */
  targetMask: Int32Array;
}

/**
 * Which sequences share a row: best-fit decreasing, longest first, each into the fullest row that still has room.
 * At most 11/9 of the fewest rows possible, plus one (Johnson 1974).
 *
 * lengths [4, 3, 2, 1], length 5  ->  [[0, 3], [1, 2]]
 *
 * @returns indices of sequences, row by row
 * @throws DataError naming sequences that are empty or longer than a row
 */
export function planPacking(lengths: readonly number[], length: number): number[][] {
  const unfit = lengths.flatMap((size, i) => (size < 1 || size > length ? [{ size, i }] : []));
  if (unfit.length > 0) {
    throw new DataError(
      unfit.slice(0, 10).map(({ size, i }) => {
        return `packing: sequence ${i}: expected 1 to ${length} tokens, received ${size}. Raise the sequence length or drop it.`;
      }),
    );
  }
  const order = lengths.map((_, i) => i).sort((a, b) => (lengths[b] ?? 0) - (lengths[a] ?? 0) || a - b);
  const rows: number[][] = [];
  // Open rows by room left: finding the best fit takes at most `length` steps however many rows there are.
  const rowsByRoom: number[][] = Array.from({ length: length + 1 }, () => []);
  for (const index of order) {
    const size = lengths[index] ?? 0;
    let room = size;
    while (room <= length && rowsByRoom[room]?.length === 0) room++;
    const row = room <= length ? (rowsByRoom[room]?.pop() ?? rows.length) : rows.length;
    if (row === rows.length) rows.push([]);
    rows[row]?.push(index);
    rowsByRoom[Math.min(room, length) - size]?.push(row);
  }
  return rows;
}

/**
 * Packs sequences into rows of `length` tokens; the layout of seqio's feature converters
 * (https://github.com/google/seqio/blob/main/seqio/feature_converters.py, `PrefixLMFeatureConverter`).
 *
 * [7, 8, 5], [4, 1] with length 6  ->  ids [7, 8, 5, 4, 1, 0], segments [1, 1, 1, 2, 2, 0], positions [0, 1, 2, 0, 1, 0]
 *
 * @throws DataError as `planPacking`
 */
export function packSequences(sequences: readonly EncodedExample[], length: number, padId: number): PackedRows {
  const plan = planPacking(
    sequences.map(({ inputIds }) => inputIds.length),
    length,
  );
  return fillRows(
    plan.map((indices) => indices.map((index) => sequences[index] as EncodedExample)),
    length,
    padId,
  );
}

/** Lays sequences out in rows of `length` tokens, one list of sequences a row, each list no longer than a row. */
export function fillRows(rows: readonly (readonly EncodedExample[])[], length: number, padId: number): PackedRows {
  const size = rows.length * length;
  const packed: PackedRows = {
    rows: rows.length,
    length,
    inputIds: new Int32Array(size).fill(padId),
    lossMask: new Int32Array(size),
    segmentIds: new Int32Array(size),
    positions: new Int32Array(size),
  };
  for (const [row, sequences] of rows.entries()) {
    let at = row * length;
    for (const [segment, { inputIds, lossMask }] of sequences.entries()) {
      packed.inputIds.set(inputIds, at);
      packed.lossMask.set(lossMask, at);
      packed.segmentIds.fill(segment + 1, at, at + inputIds.length);
      for (let i = 0; i < inputIds.length; i++) packed.positions[at + i] = i;
      at += inputIds.length;
    }
  }
  return packed;
}

/**
 * Lines packed rows up for next-token prediction: the token at t predicts the one at t + 1, never across segments.
 * Row length stays as it is, so the last column has no target.
 */
export function alignNextToken(packed: PackedRows, padId: number): AlignedRows {
  const { length, inputIds, lossMask, segmentIds } = packed;
  const targets = new Int32Array(inputIds.length).fill(padId);
  const targetMask = new Int32Array(inputIds.length);
  for (let at = 0; at < inputIds.length; at++) {
    const hasNext = (at + 1) % length !== 0 && segmentIds[at] !== 0 && segmentIds[at] === segmentIds[at + 1];
    if (!hasNext) continue;
    targets[at] = inputIds[at + 1] ?? padId;
    targetMask[at] = lossMask[at + 1] ?? 0;
  }
  return { inputs: inputIds, targets, targetMask };
}

/** The chosen rows, in the order given: one training batch. */
export function takeRows(packed: PackedRows, indices: readonly number[]): PackedRows {
  const { length } = packed;
  const take = (source: Int32Array): Int32Array => {
    const result = new Int32Array(indices.length * length);
    for (const [i, row] of indices.entries()) result.set(source.subarray(row * length, (row + 1) * length), i * length);
    return result;
  };
  return {
    rows: indices.length,
    length,
    inputIds: take(packed.inputIds),
    lossMask: take(packed.lossMask),
    segmentIds: take(packed.segmentIds),
    positions: take(packed.positions),
  };
}

/** All rows, in batches of at most `size`. */
export function rowBatches(packed: PackedRows, size: number): PackedRows[] {
  const rows = Array.from({ length: packed.rows }, (_, row) => row);
  return Array.from({ length: Math.ceil(packed.rows / size) }, (_, i) =>
    takeRows(packed, rows.slice(i * size, (i + 1) * size)),
  );
}
