/** Attention as a native op: scores of a block of queries at a time, never [heads, seq, keys] in memory. */
import type { Save } from './native-ops.ts';
import { executeNative, floatAttribute } from './native-ops.ts';
import type { Tensor, Tensor4D } from './tf.ts';
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
