/** Rows of some tokens that are trained in place of those of a frozen table: PEFT's trainable tokens (index_copy), op by op. */
import type { Tensor1D, Tensor2D } from './tf.ts';
import { tf } from './tf.ts';

/** Along which axis of a matrix the tokens lie: 0 in an embedding [vocab, d_model], 1 in a head [d_model, vocab]. */
export type TokenAxis = 0 | 1;

/**
 * A matrix with the rows (columns) `ids` replaced. Differentiable in both.
 * @param ids in ascending order
 * @param parts as many rows (columns) as ids
 */
export function replaceAt(whole: Tensor2D, ids: readonly number[], parts: Tensor2D, axis: TokenAxis): Tensor2D {
  const pieces: Tensor2D[] = [];
  let at = 0;
  for (const { from, to, first } of runsOf(ids)) {
    if (from > at) pieces.push(section(whole, axis, at, from));
    pieces.push(section(parts, axis, first, first + to - from));
    at = to;
  }
  const size = whole.shape[axis];
  if (at < size) pieces.push(section(whole, axis, at, size));
  return pieces.length === 1 ? (pieces[0] as Tensor2D) : tf.concat(pieces, axis);
}

/** The columns `ids` of a matrix, in ascending order. [rows, vocab] → [rows, ids] */
export function columnsAt(whole: Tensor2D, ids: readonly number[]): Tensor2D {
  const pieces = runsOf(ids).map(({ from, to }) => section(whole, 1, from, to));
  return pieces.length === 1 ? (pieces[0] as Tensor2D) : tf.concat(pieces, 1);
}

/**
 * Rows that were looked up in a table, with those of `ids` replaced. Differentiable in both. Sums of products with 0 and 1, so
 * that values stay exact on every lane and at every precision.
 * @param found   [count, width]
 * @param indices [count], int32: the token of each row
 * @param rows    [ids, width]
 */
export function replaceFound(found: Tensor2D, indices: Tensor1D, ids: readonly number[], rows: Tensor2D): Tensor2D {
  const width = rows.shape[1];
  let result = found;
  for (const [i, id] of ids.entries()) {
    const isToken = tf.expandDims(tf.cast(tf.equal(indices, tf.scalar(id, 'int32')), 'float32'), 1);
    const own = tf.mul(isToken, tf.slice(rows, [i, 0], [1, width]));
    result = tf.add(tf.mul(result, tf.sub(1, isToken)), own) as Tensor2D;
  }
  return result;
}

/** The rows `ids` of a table on the host, or such columns of a head, as rows. [ids, d_model] */
export function tokenValues(
  table: Float32Array,
  shape: readonly number[],
  ids: readonly number[],
  axis: TokenAxis,
): Float32Array {
  const [rows, columns] = shape as [number, number];
  const width = axis === 0 ? columns : rows;
  const values = new Float32Array(ids.length * width);
  for (const [i, id] of ids.entries()) {
    for (let at = 0; at < width; at++) {
      values[i * width + at] = table[axis === 0 ? id * columns + at : at * columns + id] as number;
    }
  }
  return values;
}

/** Ids that follow each other: [from, to), the first of them at place `first` of the list. */
function runsOf(ids: readonly number[]): { from: number; to: number; first: number }[] {
  const runs: { from: number; to: number; first: number }[] = [];
  for (const [first, id] of ids.entries()) {
    const last = runs.at(-1);
    if (last?.to === id) last.to = id + 1;
    else runs.push({ from: id, to: id + 1, first });
  }
  return runs;
}

function section(matrix: Tensor2D, axis: TokenAxis, from: number, to: number): Tensor2D {
  const [rows, columns] = matrix.shape;
  return axis === 0
    ? tf.slice(matrix, [from, 0], [to - from, columns])
    : tf.slice(matrix, [0, from], [rows, to - from]);
}
