/** Scaled dot-product attention for grouped-query heads. */

import { matmul } from './matmul.ts';
import { nativeAttention } from './native-attention.ts';
import { usesNativeOps } from './native-ops.ts';
import { softCap } from './soft-cap.ts';
import type { Tensor, Tensor1D, Tensor4D } from './tf.ts';
import { tf } from './tf.ts';

/** Added to scores that must not be attended to; finite, so that 0 · ∞ never appears in a gradient. */
export const MASKED_SCORE = -1e9;

/** Columns from `first` up to, but without, `end`, each [batch, 1, seq, 1]. */
export interface ColumnRange {
  readonly first: Tensor4D;
  readonly end: Tensor4D;
}

/**
 * The bias on attention scores: 0 in columns of any of the ranges, MASKED_SCORE elsewhere.
 * @param columns [keys]: 0, 1, 2 …
 * @returns [batch, 1, seq, keys]
 */
export function rangeBias(ranges: readonly ColumnRange[], columns: Tensor1D): Tensor4D {
  return tf.tidy(() => {
    const isSeen = ranges
      .map(({ first, end }) => tf.logicalAnd(tf.greaterEqual(columns, first), tf.less(columns, end)))
      .reduce((some, other) => tf.logicalOr(some, other));
    return tf.mul(tf.cast(tf.logicalNot(isSeen), 'float32'), MASKED_SCORE) as Tensor4D;
  });
}

/**
 * softmax(q · kᵀ / √head_dim + bias) · v. Every group of heads / kv_heads query heads shares one key/value head: the
 * group is laid along the sequence axis, so keys and values are never repeated in memory.
 * @param query [batch, heads, seq, head_dim]
 * @param key   [batch, kv_heads, keys, head_dim]
 * @param value [batch, kv_heads, keys, head_dim]
 * @param bias  [batch or 1, 1, seq, keys]: 0 where attention is allowed, MASKED_SCORE elsewhere
 * @param scale stands for 1 / √head_dim
 * @param cap   bounds the scores before the bias, see `softCap`; null where nothing does
 * @returns [batch, heads, seq, head_dim]
 * @see Vaswani et al. 2017, arXiv:1706.03762, eq. 1; Ainslie et al. 2023, arXiv:2305.13245 (grouped queries)
 */
export function attend(
  query: Tensor4D,
  key: Tensor4D,
  value: Tensor4D,
  bias: Tensor4D,
  scale = 1 / Math.sqrt(query.shape[3]),
  cap: number | null = null,
): Tensor4D {
  if (usesNativeOps()) return nativeAttention(query, key, value, bias, scale, cap);
  const [batch, heads, seq, headDim] = query.shape;
  const kvHeads = key.shape[1];
  const keys = key.shape[2];
  const groups = heads / kvHeads;
  const grouped = tf.reshape(tf.mul(query, scale), [batch, kvHeads, groups * seq, headDim]) as Tensor4D;
  const scores = matmul(grouped, key, { transposeB: true }); // [batch, kv_heads, groups · seq, keys]
  const bounded = cap === null ? scores : softCap(scores, cap);
  const probabilities = maskedSoftmax(tf.reshape(bounded, [batch, heads, seq, keys]) as Tensor4D, bias);
  const mixed = matmul(tf.reshape(probabilities, [batch, kvHeads, groups * seq, keys]) as Tensor4D, value);
  return tf.reshape(mixed, [batch, heads, seq, headDim]) as Tensor4D;
}

/** softmax(scores + bias) over the last axis; no gradient for the bias, which would be [batch, heads, seq, keys] of waste. */
function maskedSoftmax(scores: Tensor4D, bias: Tensor4D): Tensor4D {
  const op = tf.customGrad((...inputs: unknown[]) => {
    const [source, save] = inputs as [Tensor4D, (tensors: Tensor[]) => void];
    const probabilities = tf.softmax(tf.add(source, bias)) as Tensor4D;
    save([probabilities]);
    return {
      value: probabilities,
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const p = saved[0] as Tensor4D;
        const weighted = tf.mul(dy, p);
        return tf.sub(weighted, tf.mul(p, tf.sum(weighted, -1, true)));
      },
    };
  });
  return op(scores) as Tensor4D;
}
