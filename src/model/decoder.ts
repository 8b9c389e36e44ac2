/** The decoder core shared by every stage: token ids → hidden states, with an optional key/value cache. Pre-norm. */

import { attend } from '../tensor/attention.ts';
import { gatherRows } from '../tensor/gather-rows.ts';
import { nativeSelfAttention } from '../tensor/native-attention.ts';
import { usesNativeOps } from '../tensor/native-ops.ts';
import { rmsNorm } from '../tensor/norms.ts';
import { recompute } from '../tensor/recompute.ts';
import { applyRotary } from '../tensor/rope.ts';
import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { Weights } from '../tensor/weights.ts';
import { entry, rowsOf, trainedOf, withTrained } from '../tensor/weights.ts';
import type { ModelDimensions } from './dimensions.ts';
import { attentionScale } from './dimensions.ts';
import type { DecoderInputs } from './inputs.ts';
import { biasOf, rotaryOf, withBiases } from './inputs.ts';
import { endSublayer, feedForward, gainOf, linear, normalize } from './layers.ts';
import { blockSpecs } from './parameter-table.ts';

/** Keys (already rotated) and values of one layer, each [batch, kv_heads, keys, head_dim]. */
export interface KeyValues {
  readonly keys: Tensor4D;
  readonly values: Tensor4D;
}

/** What attention reads instead of a layer's new keys and values alone. */
export type Join = (layer: number, fresh: KeyValues) => KeyValues;

/** How a pass runs. */
export interface DecodeOptions {
  /** Keep only the input of each layer for the gradient and compute the rest again; nothing is joined. */
  readonly recompute?: boolean;
  /** For tokens that see earlier ones; without it they see each other only, and keys and values are not returned. */
  readonly join?: Join;
}

/**
 * Runs the decoder.
 * @returns hidden states after the final norm [batch · seq, d_model], and what was joined, one entry a layer
 */
export function decode(
  dimensions: ModelDimensions,
  weights: Weights,
  inputs: DecoderInputs,
  { recompute: recomputes = false, join }: DecodeOptions = {},
): { hidden: Tensor2D; present: KeyValues[] } {
  let x = rowsOf(entry(weights, 'embedding.tokens'), inputs.ids); // [batch · seq, d_model]
  if (dimensions.scaledEmbedding) x = tf.mul(x, Math.sqrt(dimensions.dModel));
  if (dimensions.positions === 'learned') {
    x = tf.add(x, rowsOf(entry(weights, 'embedding.positions'), inputs.positions));
  }
  const present: KeyValues[] = [];
  for (let layer = 0; layer < dimensions.layers; layer++) {
    if (recomputes) {
      const own = ofLayer(dimensions, weights, layer);
      x = recompute([x, ...trainedOf(own)], [...inputs.biases.values()], ([input, ...trained], biases) => {
        const kept = withBiases(inputs, biases);
        return block(dimensions, withTrained(own, trained), kept, layer, input as Tensor2D).x;
      });
      continue;
    }
    // What a layer leaves behind is freed when it is done; gradients keep what they need.
    const done = tf.tidy(() => {
      const { x: next, joined } = block(dimensions, weights, inputs, layer, x, join);
      return joined === null ? [next] : ([next, joined.keys, joined.values] as Tensor[]);
    });
    x = done[0] as Tensor2D;
    if (join !== undefined) present.push({ keys: done[1] as Tensor4D, values: done[2] as Tensor4D });
  }
  return { hidden: normalize(dimensions, weights, 'final_norm', x), present };
}

/** Joins new keys and values to those of earlier tokens: one entry a layer, none for the first tokens. */
export function behind(past: readonly KeyValues[]): Join {
  return (layer, fresh) => {
    const before = past[layer];
    if (before === undefined) return fresh;
    return { keys: tf.concat([before.keys, fresh.keys], 2), values: tf.concat([before.values, fresh.values], 2) };
  };
}

/** The weights of one layer, under their full names. */
function ofLayer(dimensions: ModelDimensions, weights: Weights, layer: number): Weights {
  return Object.fromEntries(blockSpecs(dimensions, layer).map(({ name }) => [name, entry(weights, name)]));
}

/** One layer: attention and feed-forward, one after the other or side by side. x [rows, d_model] */
function block(
  dimensions: ModelDimensions,
  weights: Weights,
  inputs: DecoderInputs,
  layer: number,
  x: Tensor2D,
  join?: Join,
): { x: Tensor2D; joined: KeyValues | null } {
  const name = `blocks.${layer}`;
  const normal = normalize(dimensions, weights, `${name}.attention.norm`, x);
  const { mixed, joined } = selfAttention(dimensions, weights, inputs, layer, normal, join);
  const middle = endSublayer(dimensions, weights, `${name}.attention`, mixed, x);
  const next = normalize(dimensions, weights, `${name}.mlp.norm`, dimensions.residual === 'parallel' ? x : middle);
  return { x: feedForward(dimensions, weights, `${name}.mlp`, next, middle), joined };
}

/** What the output map of attention reads, mixed [batch · seq, heads · head_dim], and what was joined. x [batch · seq, d_model] */
function selfAttention(
  dimensions: ModelDimensions,
  weights: Weights,
  inputs: DecoderInputs,
  layer: number,
  x: Tensor2D,
  join: Join | undefined,
): { mixed: Tensor2D; joined: KeyValues | null } {
  const { heads, kvHeads, headDim, headNorm, attentionSoftCap: cap } = dimensions;
  const { batch, seq } = inputs;
  const window = dimensions.windows[layer] ?? null;
  const [rotary, bias, scale] = [rotaryOf(inputs, window), biasOf(inputs, window), attentionScale(dimensions)];
  const name = `blocks.${layer}.attention`;
  const qkv = linear(weights, `${name}.qkv`, x);
  if (usesNativeOps() && join === undefined && !headNorm) {
    return { mixed: nativeSelfAttention(qkv, { heads, kvHeads, bias, rotary, scale, cap }), joined: null };
  }
  const split = tf.transpose(tf.reshape(qkv, [batch, seq, heads + 2 * kvHeads, headDim]), [0, 2, 1, 3]);
  const [both, values] = tf.split(split, [heads + kvHeads, kvHeads], 1) as [Tensor4D, Tensor4D];
  const scaled = headNorm ? normalizeHeads(dimensions, weights, name, both) : both;
  const placed = rotary === null ? scaled : applyRotary(scaled, rotary);
  const [queries, keys] = tf.split(placed, [heads, kvHeads], 1) as [Tensor4D, Tensor4D];
  const joined = join?.(layer, { keys, values }) ?? null;
  const seen = joined ?? { keys, values };
  const attended = attend(queries, seen.keys, seen.values, bias, scale, cap);
  const mixed = tf.transpose(attended, [0, 2, 1, 3]); // [batch, seq, heads, head_dim]
  return { mixed: tf.reshape(mixed, [batch * seq, heads * headDim]) as Tensor2D, joined };
}

/** RMSNorm of each query and key head, with a gain for each. both [batch, heads + kv_heads, seq, head_dim] */
function normalizeHeads(dimensions: ModelDimensions, weights: Weights, name: string, both: Tensor4D): Tensor4D {
  const { heads, kvHeads, headDim, normEpsilon } = dimensions;
  const parts = tf.split(both, [heads, kvHeads], 1) as [Tensor4D, Tensor4D];
  const normal = (['query_norm', 'key_norm'] as const).map((part, i) => {
    const source = parts[i] as Tensor4D;
    const gain = gainOf(dimensions, weights, `${name}.${part}`);
    return tf.reshape(rmsNorm(tf.reshape(source, [-1, headDim]), gain, normEpsilon), source.shape);
  });
  return tf.concat(normal, 1) as Tensor4D;
}

/** Hidden states at chosen positions. hidden [batch · seq, d_model], indices [count] into batch · seq → [count, d_model] */
export function selectPositions(hidden: Tensor2D, indices: Tensor1D): Tensor2D {
  return gatherRows(hidden, indices);
}
