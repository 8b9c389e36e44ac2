/** Attention as a native op: scores of a block of queries at a time, never [heads, seq, keys] in memory. */
import type { Save } from './native-ops.ts';
import { executeNative, flagAttribute, floatAttribute, intAttribute } from './native-ops.ts';
import type { RotaryAngles } from './rope.ts';
import type { Tensor, Tensor2D, Tensor4D } from './tf.ts';
import { tf } from './tf.ts';

/** `attend`, see attention.ts. */
export function nativeAttention(
  query: Tensor4D,
  key: Tensor4D,
  value: Tensor4D,
  bias: Tensor4D,
  scale: number,
  cap: number | null,
): Tensor4D {
  const attributes = [floatAttribute('scale', scale), floatAttribute('cap', cap ?? 0)];
  const op = tf.customGrad((...inputs: unknown[]) => {
    const [q, k, v, save] = inputs as [Tensor4D, Tensor4D, Tensor4D, Save];
    const shapes = [query.shape, [...query.shape.slice(0, 3), 2]];
    const [mixed, stats] = executeNative('PlumblineAttention', attributes, [q, k, v, bias], shapes) as [Tensor, Tensor];
    save([mixed, stats, q, k, v, bias]);
    return {
      value: mixed,
      gradFunc: (dy: Tensor, saved: Tensor[]) =>
        executeNative('PlumblineAttentionGradient', attributes, [dy, ...saved], [query.shape, key.shape, value.shape]),
    };
  });
  return op(query, key, value) as Tensor4D;
}

/** How tokens attend to each other. */
export interface SelfAttentionOptions {
  readonly heads: number;
  readonly kvHeads: number;
  /** [batch or 1, 1, seq, seq]: 0 where attention is allowed, MASKED_SCORE elsewhere */
  readonly bias: Tensor4D;
  /** Turns queries and keys; null where nothing does. */
  readonly rotary: RotaryAngles | null;
  readonly scale: number;
  /** Bounds the scores before the bias; null where nothing does. */
  readonly cap: number | null;
}

/**
 * Attention of tokens to each other, on what a linear layer gives: as `attend` on the turned parts of qkv, none of which is laid out
 * anew.
 * @param qkv [batch · seq, (heads + 2 · kv_heads) · head_dim]
 * @returns [batch · seq, heads · head_dim]
 */
export function nativeSelfAttention(qkv: Tensor2D, options: SelfAttentionOptions): Tensor2D {
  const { heads, kvHeads, bias, rotary, scale, cap } = options;
  const [rows, all] = qkv.shape;
  const seq = bias.shape[2];
  const attributes = [
    floatAttribute('scale', scale),
    floatAttribute('cap', cap ?? 0),
    intAttribute('heads', heads),
    intAttribute('kv_heads', kvHeads),
    flagAttribute('has_rotation', rotary !== null),
  ];
  // An input that is not read has to be something.
  const { cos, sin } = rotary ?? { cos: bias, sin: bias };
  const shapes = [
    [rows, (all / (heads + 2 * kvHeads)) * heads],
    [rows / seq, heads, seq, 2],
  ];
  const op = tf.customGrad((...inputs: unknown[]) => {
    const [source, save] = inputs as [Tensor2D, Save];
    const given = [source, bias, cos, sin];
    const [mixed, stats] = executeNative('PlumblineSelfAttention', attributes, given, shapes) as [Tensor, Tensor];
    save([mixed, stats, ...given]);
    return {
      value: mixed,
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [slopes] = executeNative('PlumblineSelfAttentionGradient', attributes, [dy, ...saved], [qkv.shape]);
        return slopes as Tensor;
      },
    };
  });
  return op(qkv) as Tensor2D;
}
