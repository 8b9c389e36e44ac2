/** The decoder core shared by every stage: token ids → hidden states, with an optional key/value cache. Pre-norm. */

import { attend } from '../tensor/attention.ts';
import { gatherRows } from '../tensor/gather-rows.ts';
import type { Weights } from '../tensor/parameters.ts';
import { weight } from '../tensor/parameters.ts';
import { applyRotary } from '../tensor/rope.ts';
import type { Tensor1D, Tensor2D, Tensor4D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { ModelDimensions } from './dimensions.ts';
import type { DecoderInputs } from './inputs.ts';
import { feedForward, linear, normalize } from './layers.ts';

/** Keys (already rotated) and values of one layer, each [batch, kv_heads, keys, head_dim]. */
export interface KeyValues {
  readonly keys: Tensor4D;
  readonly values: Tensor4D;
}

/**
 * Runs the decoder.
 * @param past one entry a layer, of the tokens before `inputs`; empty for a full forward pass
 * @returns hidden states after the final norm [batch · seq, d_model], and the keys and values of past and new tokens
 */
export function decode(
  dimensions: ModelDimensions,
  weights: Weights,
  inputs: DecoderInputs,
  past: readonly KeyValues[] = [],
): { hidden: Tensor2D; present: KeyValues[] } {
  let x = gatherRows(weight<Tensor2D>(weights, 'embedding.tokens'), inputs.ids); // [batch · seq, d_model]
  if (dimensions.positions === 'learned') {
    x = tf.add(x, gatherRows(weight<Tensor2D>(weights, 'embedding.positions'), inputs.positions));
  }
  const present: KeyValues[] = [];
  for (let layer = 0; layer < dimensions.layers; layer++) {
    const name = `blocks.${layer}`;
    const attention = selfAttention(dimensions, weights, `${name}.attention`, x, inputs, past[layer]);
    present.push(attention.present);
    x = tf.add(x, attention.output);
    const normal = normalize(dimensions, weights, `${name}.mlp.norm`, x);
    x = tf.add(x, feedForward(dimensions, weights, `${name}.mlp`, normal));
  }
  return { hidden: normalize(dimensions, weights, 'final_norm', x), present };
}

function selfAttention(
  dimensions: ModelDimensions,
  weights: Weights,
  name: string,
  x: Tensor2D,
  inputs: DecoderInputs,
  past: KeyValues | undefined,
): { output: Tensor2D; present: KeyValues } {
  const { heads, kvHeads, headDim } = dimensions;
  const { batch, seq, bias, rotary } = inputs;
  const qkv = linear(dimensions, weights, `${name}.qkv`, normalize(dimensions, weights, `${name}.norm`, x));
  const split = tf.transpose(tf.reshape(qkv, [batch, seq, heads + 2 * kvHeads, headDim]), [0, 2, 1, 3]);
  const [turned, newValues] = tf.split(split, [heads + kvHeads, kvHeads], 1) as [Tensor4D, Tensor4D];
  const placed = rotary === null ? turned : applyRotary(turned, rotary);
  const [queries, newKeys] = tf.split(placed, [heads, kvHeads], 1) as [Tensor4D, Tensor4D];
  const keys = past === undefined ? newKeys : tf.concat([past.keys, newKeys], 2);
  const values = past === undefined ? newValues : tf.concat([past.values, newValues], 2);
  const mixed = tf.transpose(attend(queries, keys, values, bias), [0, 2, 1, 3]); // [batch, seq, heads, head_dim]
  const merged = tf.reshape(mixed, [batch * seq, heads * headDim]) as Tensor2D;
  return { output: linear(dimensions, weights, `${name}.output`, merged), present: { keys, values } };
}

/** Hidden states at chosen positions. hidden [batch · seq, d_model], indices [count] into batch · seq → [count, d_model] */
export function selectPositions(hidden: Tensor2D, indices: Tensor1D): Tensor2D {
  return gatherRows(hidden, indices);
}
