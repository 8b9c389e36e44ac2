/** Packing: several short sequences in one row of fixed length, kept apart by segment ids. */
import { DataError } from '../errors.ts';
import type { TokenBatch, TokenSequence } from './token-batch.ts';
import { layOut } from './token-batch.ts';

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
 * Packs sequences into rows of `seq` tokens; the layout of seqio's feature converters
 * (https://github.com/google/seqio/blob/main/seqio/feature_converters.py, `PrefixLMFeatureConverter`).
 *
 * [7, 8, 5], [4, 1] with seq 6  ->  ids [7, 8, 5, 4, 1, 0], segments [1, 1, 1, 2, 2, 0], positions [0, 1, 2, 0, 1, 0]
 *
 * @throws DataError as `planPacking`
 */
export function packSequences(sequences: readonly TokenSequence[], seq: number, padId: number): TokenBatch {
  const plan = planPacking(
    sequences.map(({ ids }) => ids.length),
    seq,
  );
  return layOut(
    plan.map((indices) => indices.map((index) => sequences[index] as TokenSequence)),
    seq,
    padId,
  );
}
