/** The decoder core shared by every stage: token ids → hidden states, with an optional key/value cache. Pre-norm. */

import { attend } from '../tensor/attention.ts';
import { gatherRows } from '../tensor/gather-rows.ts';
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
import { biasOf, rotaryOf } from './inputs.ts';
import { endSublayer, feedForward, gainOf, linear, normalize } from './layers.ts';
import { blockSpecs } from './parameter-table.ts';

/** Keys (already rotated) and values of one layer, each [batch, kv_heads, keys, head_dim]. */
export interface KeyValues {
  readonly keys: Tensor4D;
  readonly values: Tensor4D;
}

/** How a pass runs. */
export interface DecodeOptions {
  /** Keep only the input of each layer for the gradient and compute the rest again; keys and values are not returned. */
  readonly recompute?: boolean;
  /** Puts new keys and values behind those of earlier tokens, instead of behind `past`. */
  readonly join?: (layer: number, fresh: KeyValues) => KeyValues;
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
  options: DecodeOptions = {},
): { hidden: Tensor2D; present: KeyValues[] } {
  let x = rowsOf(entry(weights, 'embedding.tokens'), inputs.ids); // [batch · seq, d_model]
  if (dimensions.scaledEmbedding) x = tf.mul(x, Math.sqrt(dimensions.dModel));
  if (dimensions.positions === 'learned') {
    x = tf.add(x, rowsOf(entry(weights, 'embedding.positions'), inputs.positions));
  }
  const present: KeyValues[] = [];
  for (let layer = 0; layer < dimensions.layers; layer++) {
    if (options.recompute) {
      const own = ofLayer(dimensions, weights, layer);
      x = recompute([x, ...trainedOf(own)], ([input, ...trained]) => {
        return block(dimensions, withTrained(own, trained), inputs, layer, input as Tensor2D).x;
      });
      continue;
    }
    // What a layer leaves behind is freed when it is done; gradients keep what they need.
    const done = tf.tidy(() => {
      const join = (fresh: KeyValues): KeyValues => options.join?.(layer, fresh) ?? append(past[layer], fresh);
      const { x: next, keys, values } = block(dimensions, weights, inputs, layer, x, join);
      return [next, keys, values] as Tensor[];
    });
    x = done[0] as Tensor2D;
    present.push({ keys: done[1] as Tensor4D, values: done[2] as Tensor4D });
  }
  return { hidden: normalize(dimensions, weights, 'final_norm', x), present };
}

/** The weights of one layer, under their full names. */
function ofLayer(dimensions: ModelDimensions, weights: Weights, layer: number): Weights {
  return Object.fromEntries(blockSpecs(dimensions, layer).map(({ name }) => [name, entry(weights, name)]));
}

function append(past: KeyValues | undefined, fresh: KeyValues): KeyValues {
  if (past === undefined) return fresh;
  return { keys: tf.concat([past.keys, fresh.keys], 2), values: tf.concat([past.values, fresh.values], 2) };
}

/** One layer: attention and feed-forward, one after the other or side by side. x [rows, d_model] */
function block(
  dimensions: ModelDimensions,
  weights: Weights,
  inputs: DecoderInputs,
  layer: number,
  x: Tensor2D,
  join?: (fresh: KeyValues) => KeyValues,
): { x: Tensor2D } & KeyValues {
  const name = `blocks.${layer}`;
  const attention = selfAttention(dimensions, weights, inputs, layer, x, join);
  const middle = endSublayer(dimensions, weights, `${name}.attention`, attention.mixed, x);
  const normal = normalize(dimensions, weights, `${name}.mlp.norm`, dimensions.residual === 'parallel' ? x : middle);
  const next = feedForward(dimensions, weights, `${name}.mlp`, normal, middle);
  return { x: next, keys: attention.keys, values: attention.values };
}

/** What the output map of attention reads: mixed [batch · seq, heads · head_dim]. */
function selfAttention(
  dimensions: ModelDimensions,
  weights: Weights,
  inputs: DecoderInputs,
  layer: number,
  x: Tensor2D,
  join: ((fresh: KeyValues) => KeyValues) | undefined,
): { mixed: Tensor2D } & KeyValues {
  const { heads, kvHeads, headDim } = dimensions;
  const { batch, seq } = inputs;
  const window = dimensions.windows[layer] ?? null;
  const rotary = rotaryOf(inputs, window);
  const name = `blocks.${layer}.attention`;
  const qkv = linear(weights, `${name}.qkv`, normalize(dimensions, weights, `${name}.norm`, x));
  const split = tf.transpose(tf.reshape(qkv, [batch, seq, heads + 2 * kvHeads, headDim]), [0, 2, 1, 3]);
  const [both, newValues] = tf.split(split, [heads + kvHeads, kvHeads], 1) as [Tensor4D, Tensor4D];
  const scaled = dimensions.headNorm ? normalizeHeads(dimensions, weights, name, both) : both;
  const placed = rotary === null ? scaled : applyRotary(scaled, rotary);
  const [queries, newKeys] = tf.split(placed, [heads, kvHeads], 1) as [Tensor4D, Tensor4D];
  const fresh = { keys: newKeys, values: newValues };
  const { keys, values } = join?.(fresh) ?? fresh;
  const [bias, cap] = [biasOf(inputs, window), dimensions.attentionSoftCap];
  const attended = attend(queries, keys, values, bias, attentionScale(dimensions), cap);
  const mixed = tf.transpose(attended, [0, 2, 1, 3]); // [batch, seq, heads, head_dim]
  return { mixed: tf.reshape(mixed, [batch * seq, heads * headDim]) as Tensor2D, keys, values };
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
