/** Named parameters kept in one flat tensor: one gradient, one optimizer update, one read-back, whatever the model. */

import { ShapeError } from '../errors.ts';
import type { DropoutSeed } from './dropout.ts';
import { dropout } from './dropout.ts';
import type { StoredVector } from './stored-vector.ts';
import { createStoredVector } from './stored-vector.ts';
import type { Tensor, Tensor1D, Tensor2D } from './tf.ts';
import { tf } from './tf.ts';
import type { TokenAxis } from './token-rows.ts';
import type { Frozen, LowRank, Weight, Weights } from './weights.ts';

/** What a parameter does. A gain is that of a norm; a bias that of a norm or a linear layer. */
export type ParameterRole =
  | 'embedding.tokens'
  | 'embedding.positions'
  | 'gain'
  | 'bias'
  | 'attention.qkv'
  | 'attention.output'
  | 'mlp.input'
  | 'mlp.output'
  | 'head.tokens'
  | 'head.score'
  | 'adapter.a'
  | 'adapter.b';

/** One parameter. */
export interface ParameterSpec {
  readonly name: string;
  readonly role: ParameterRole;
  /** The layer it belongs to, from 0; null for embeddings, the final norm and heads. */
  readonly layer: number | null;
  readonly shape: readonly number[];
  /** Inputs of each output of a linear layer; null for what multiplies nothing: tables, gains, biases. */
  readonly fanIn: number | null;
}

/** Where each parameter lies in the flat tensor, in order. */
export interface ParameterLayout {
  readonly specs: readonly ParameterSpec[];
  /** Elements of each parameter. */
  readonly sizes: readonly number[];
  /** First element of each parameter. */
  readonly offsets: readonly number[];
  /** Elements of all parameters. */
  readonly total: number;
}

/** Where a low-rank change applies: columns [from, to) of a matrix; its two parameters are `name`.a and `name`.b. */
export interface AdapterPlace {
  readonly name: string;
  readonly matrix: ParameterSpec;
  readonly from: number;
  readonly to: number;
}

/** Tokens whose rows are trained in place of those of a frozen embedding or head; the parameter is `name` [ids, d_model]. */
export interface TokenRows {
  readonly name: string;
  readonly matrix: ParameterSpec;
  /** In ascending order. */
  readonly ids: readonly number[];
}

/** Changes to frozen matrices: low-rank ones, in order of matrix and columns, and rows of tokens. */
export interface Adapters {
  readonly places: readonly AdapterPlace[];
  readonly tokenRows: readonly TokenRows[];
  readonly rank: number;
  /** α / rank, or α / √rank. */
  readonly scale: number;
  /** Share of the inputs of a change that is dropped in training. */
  readonly dropout: number;
}

/** A parameter set with a lifetime: its creator disposes `stored`, and `frozen` where no other model shares it. */
export interface Parameters {
  /** Of the trained parameters. */
  readonly layout: ParameterLayout;
  /** Where the trained values are. */
  readonly stored: StoredVector;
  /** [total], float32: the trained values as a tensor that the stored vector owns. */
  readonly flat: Tensor1D;
  /** Parameters that are not trained. */
  readonly frozen: Readonly<Record<string, Frozen>>;
  readonly adapters: Adapters | null;
}

/** Lays parameters out one after the other. */
export function layoutOf(specs: readonly ParameterSpec[]): ParameterLayout {
  const sizes = specs.map((spec) => spec.shape.reduce((product, size) => product * size, 1));
  const offsets: number[] = [];
  let total = 0;
  for (const size of sizes) {
    offsets.push(total);
    total += size;
  }
  return { specs, sizes, offsets, total };
}

/**
 * Views of the trained parameters by name. Differentiable: the gradient of a loss of these views with respect to
 * `flat` is one tensor [total]. Call inside `tf.tidy`; the caller owns the views.
 */
export function unflatten(layout: ParameterLayout, flat: Tensor1D): Readonly<Record<string, Tensor>> {
  const parts = layout.specs.length > 1 ? tf.split(flat, [...layout.sizes]) : [flat];
  const weights: Record<string, Tensor> = {};
  layout.specs.forEach((spec, index) => {
    weights[spec.name] = tf.reshape(parts[index] as Tensor1D, [...spec.shape]);
  });
  return weights;
}

/**
 * All weights of a parameter set: views of `flat`, what is frozen, and frozen matrices with their changes.
 * @param flat stands for `parameters.flat`, so that a loss can be differentiated with respect to it
 * @param seed of a training step; nothing is dropped without
 */
export function weightsOf(parameters: Parameters, flat = parameters.flat, seed?: DropoutSeed): Weights {
  return assembleWeights(parameters, unflatten(parameters.layout, flat), seed);
}

/**
 * The same from the trained tensors by name.
 * @throws ShapeError where an adapter changes what is not frozen
 */
export function assembleWeights(
  { frozen, adapters }: Pick<Parameters, 'frozen' | 'adapters'>,
  trained: Readonly<Record<string, Tensor>>,
  seed?: DropoutSeed,
): Weights {
  if (adapters === null) return { ...frozen, ...trained };
  const weights: Record<string, Weight> = { ...frozen };
  const isChange = new Set<string>();
  for (const [index, { name, matrix, from, to }] of adapters.places.entries()) {
    const [a, b] = [trained[`${name}.a`], trained[`${name}.b`]] as [Tensor2D, Tensor2D];
    isChange.add(`${name}.a`).add(`${name}.b`);
    const drops = seed !== undefined && adapters.dropout > 0;
    const drop = (x: Tensor2D): Tensor2D => dropout(x, adapters.dropout, seed as DropoutSeed, index);
    const change: LowRank = { a, b, from, to, scale: adapters.scale, ...(drops && { drop }) };
    const before = weights[matrix.name] ?? frozenOf(frozen, matrix);
    weights[matrix.name] =
      'kind' in before && before.kind === 'adapted'
        ? { ...before, changes: [...before.changes, change] }
        : { kind: 'adapted', base: frozenOf(frozen, matrix), changes: [change] };
  }
  for (const { name, matrix, ids } of adapters.tokenRows) {
    isChange.add(name);
    const rows = trained[name] as Tensor2D;
    weights[matrix.name] = { kind: 'token rows', base: frozenOf(frozen, matrix), ids, rows, axis: tokenAxis(matrix) };
  }
  for (const [name, tensor] of Object.entries(trained)) if (!isChange.has(name)) weights[name] = tensor;
  return weights;
}

function frozenOf(frozen: Parameters['frozen'], { name }: ParameterSpec): Frozen {
  const found = frozen[name];
  if (found === undefined) throw new ShapeError(`parameters: an adapter changes "${name}", which is not frozen.`);
  return found;
}

/** Where the tokens lie in an embedding or a head. */
export function tokenAxis({ role }: ParameterSpec): TokenAxis {
  return role === 'head.tokens' ? 1 : 0;
}

/** The parameters of adapters: those of low-rank changes, and rows of tokens with the role of their table. */
export function adapterSpecs(adapters: Adapters): ParameterSpec[] {
  const rows = adapters.tokenRows.map(({ name, matrix, ids }): ParameterSpec => {
    return { ...matrix, name, shape: [ids.length, matrix.shape[1 - tokenAxis(matrix)] as number] };
  });
  return [...lowRankSpecs(adapters), ...rows];
}

/** The parameters of low-rank changes, two a place: `name`.a [in, rank] and `name`.b [rank, to − from]. */
export function lowRankSpecs({ places, rank }: Pick<Adapters, 'places' | 'rank'>): ParameterSpec[] {
  return places.flatMap(({ name, matrix, from, to }): ParameterSpec[] => {
    const { layer } = matrix;
    const input = matrix.shape[0] as number;
    return [
      { name: `${name}.a`, role: 'adapter.a', layer, shape: [input, rank], fanIn: input },
      { name: `${name}.b`, role: 'adapter.b', layer, shape: [rank, to - from], fanIn: rank },
    ];
  });
}

/** Uploads trained values [total] as a parameter set; the array is given away. */
export function ownedParameters(
  layout: ParameterLayout,
  values: Float32Array,
  rest: Pick<Parameters, 'frozen' | 'adapters'> = { frozen: {}, adapters: null },
): Parameters {
  if (values.length !== layout.total) {
    throw new ShapeError(`parameters: expected ${layout.total} values, received ${values.length}.`);
  }
  const stored = createStoredVector(tf.tensor1d(values, 'float32'));
  return {
    layout,
    stored,
    get flat() {
      return stored.tensor();
    },
    ...rest,
  };
}

/** Gives a parameter set other trained values, [total]; the array is given away. */
export function replaceParameters({ layout, stored }: Parameters, values: Float32Array): void {
  if (values.length !== layout.total) {
    throw new ShapeError(`parameters: expected ${layout.total} values, received ${values.length}.`);
  }
  stored.replace(tf.tensor1d(values, 'float32'));
}

/** Reads all values back to the host, [total]. */
export function readParameters(parameters: Parameters): Float32Array {
  return parameters.stored.read();
}

/** The host values of one parameter, a view into `values` [total]. */
export function parameterValues(layout: ParameterLayout, values: Float32Array, name: string): Float32Array {
  const index = layout.specs.findIndex((spec) => spec.name === name);
  if (index < 0) throw new ShapeError(`parameters: there is no "${name}".`);
  return part(layout, values, index);
}

/** The host values of every parameter, in order: views into `values` [total]. */
export function partsOf(layout: ParameterLayout, values: Float32Array): Float32Array[] {
  return layout.specs.map((_, index) => part(layout, values, index));
}

function part({ offsets, sizes }: ParameterLayout, values: Float32Array, index: number): Float32Array {
  const start = offsets[index] as number;
  return values.subarray(start, start + (sizes[index] as number));
}
