/** Where an objective or a reading begins: the hidden states at the positions it needs. */
import type { Tensors } from '../tensor/host-arrays.ts';
import { pick } from '../tensor/host-arrays.ts';
import type { Tensor2D } from '../tensor/tf.ts';
import type { Weights } from '../tensor/weights.ts';
import { decode, selectPositions } from './decoder.ts';
import { inputsFrom } from './inputs.ts';
import type { Model } from './model.ts';

/**
 * Hidden states of a full forward pass: [count, d_model].
 * @param arrays those of `inputArrays`, and one of positions in batch · seq: [count] int32
 * @param at the name of that one
 */
export function statesAt(model: Model, weights: Weights, arrays: Tensors, at: string): Tensor2D {
  const { dimensions, recompute = false } = model;
  const { hidden } = decode(dimensions, weights, inputsFrom(dimensions, arrays), { recompute });
  return selectPositions(hidden, pick(arrays, at));
}
