/** x · W, however W is trained. */
import { matmul } from './matmul.ts';
import { nativeLinear } from './native-linear.ts';
import type { Tensor, Tensor2D } from './tf.ts';
import { tf } from './tf.ts';
import { columnsAt, replaceAt } from './token-rows.ts';
import type { Frozen, LowRank, Patched, Weight } from './weights.ts';
import { isTensor, thaw } from './weights.ts';

/**
 * x · W, or x · Wᵀ with `transposeB`. Differentiable in x and in whatever of W is trained.
 * @param x [rows, in]
 * @param matrix [in, out], or [out, in] with transposeB
 * @returns [rows, out]
 */
export function product(x: Tensor2D, matrix: Weight, options: { transposeB?: boolean } = {}): Tensor2D {
  const native = nativeLinear(x, matrix, options);
  if (native !== null) return native;
  if (isTensor(matrix)) return matmul(x, matrix as Tensor2D, options);
  if (matrix.kind === 'frozen') return frozenProduct(x, matrix, options.transposeB ?? false);
  if (matrix.kind === 'token rows') return patchedProduct(x, matrix, options.transposeB ?? false);
  const base = product(x, matrix.base, options);
  return matrix.changes.length === 0 ? base : tf.add(base, lowRankSum(x, matrix.changes, base.shape[1]));
}

/** Whether a product gives a number for each token, or takes one for each. */
function givesTokens({ axis }: Patched, transposeB: boolean): boolean {
  return (axis === 0) === transposeB;
}

function patchedProduct(x: Tensor2D, matrix: Patched, transposeB: boolean): Tensor2D {
  const { base, ids, rows } = matrix;
  if (givesTokens(matrix, transposeB)) {
    return replaceAt(frozenProduct(x, base, transposeB), ids, matmul(x, rows, { transposeB: true }), 1);
  }
  const own = columnsAt(x, ids);
  const others = replaceAt(x, ids, tf.zeros(own.shape), 1);
  return tf.add(frozenProduct(others, base, transposeB), matmul(own, rows));
}

/**
 * The gradient of what is trained of a matrix of logits: all of it, or rows of tokens.
 * @param dy [rows, vocab], the gradient of x · W
 * @param x  [rows, d_model]
 */
export function logitsGradient(dy: Tensor2D, x: Tensor2D, matrix: Weight, transposeB: boolean): Tensor2D {
  if ('kind' in matrix && matrix.kind === 'token rows') return tf.matMul(columnsAt(dy, matrix.ids), x, true, false);
  return transposeB ? tf.matMul(dy, x, true, false) : tf.matMul(x, dy, true, false);
}

/** The gradient of the matrix is not computed, and a widened matrix lives only while it is multiplied with. */
function frozenProduct(x: Tensor2D, frozen: Frozen, transposeB: boolean): Tensor2D {
  const multiply = (left: Tensor, transpose: boolean): Tensor =>
    tf.tidy(() => tf.matMul(left, thaw(frozen), false, transpose));
  const op = tf.customGrad((...inputs: unknown[]) => {
    const [left] = inputs as [Tensor];
    return { value: multiply(left, transposeB), gradFunc: (dy: Tensor) => multiply(dy, !transposeB) };
  });
  return op(x) as Tensor2D;
}

/** The changes side by side, zeros where there is none: [rows, width]. */
function lowRankSum(x: Tensor2D, changes: readonly LowRank[], width: number): Tensor2D {
  const rows = x.shape[0];
  const parts: Tensor2D[] = [];
  let at = 0;
  for (const { a, b, from, to, scale, drop } of changes) {
    if (from > at) parts.push(tf.zeros([rows, from - at]));
    const change = matmul(matmul(drop === undefined ? x : drop(x), a), b);
    parts.push(tf.mul(change, scale));
    at = to;
  }
  if (at < width) parts.push(tf.zeros([rows, width - at]));
  return parts.length === 1 ? (parts[0] as Tensor2D) : tf.concat(parts, 1);
}
