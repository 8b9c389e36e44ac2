/** What a model computes with: trained tensors, frozen matrices (float32 or bfloat16), low-rank changes to them and rows in place of theirs. */
import { ShapeError } from '../errors.ts';
import { canStoreBfloat16, packBfloat16, widen } from './bfloat16.ts';
import { gatherRows } from './gather-rows.ts';
import { sharableFloat32 } from './host-memory.ts';
import type { Tensor, Tensor1D, Tensor2D } from './tf.ts';
import { tf } from './tf.ts';
import type { TokenAxis } from './token-rows.ts';
import { replaceFound } from './token-rows.ts';

/** A parameter that is not trained. Its creator disposes `data`; models may share it. */
export interface Frozen {
  readonly kind: 'frozen';
  readonly shape: readonly number[];
  readonly precision: 'float32' | 'bfloat16';
  /** The values, or packed bits (`packBfloat16`). */
  readonly data: Tensor;
}

/** One low-rank change: columns [from, to) of x · W get + scale · drop(x) · a · b. Hu et al. 2021, arXiv:2106.09685 eq. 3. */
export interface LowRank {
  /** [in, rank] */
  readonly a: Tensor2D;
  /** [rank, to − from] */
  readonly b: Tensor2D;
  readonly from: number;
  readonly to: number;
  readonly scale: number;
  /** Multiplied with x, [rows, in] → [rows, in]; absent where nothing is dropped. */
  readonly drop?: (x: Tensor2D) => Tensor2D;
}

/** A matrix [in, out] with low-rank changes, in order of their columns, which do not overlap. */
export interface Adapted {
  readonly kind: 'adapted';
  readonly base: Frozen;
  readonly changes: readonly LowRank[];
}

/** A frozen embedding or head with the rows of some tokens replaced. */
export interface Patched {
  readonly kind: 'token rows';
  readonly base: Frozen;
  /** Tokens, in ascending order. */
  readonly ids: readonly number[];
  /** [ids, d_model] */
  readonly rows: Tensor2D;
  readonly axis: TokenAxis;
}

export type Weight = Tensor | Frozen | Adapted | Patched;

/** Parameters by name, as the model reads them. */
export type Weights = Readonly<Record<string, Weight>>;

/**
 * Uploads a copy of values that will not be trained.
 * @param precision bfloat16 applies to matrices with an even number of columns; the rest stays float32
 * @param allocate makes the array that is uploaded
 */
export function freeze(
  values: Float32Array,
  shape: readonly number[],
  precision: Frozen['precision'],
  allocate = sharableFloat32,
): Frozen {
  if (precision === 'bfloat16' && canStoreBfloat16(shape)) {
    return { kind: 'frozen', shape, precision, data: packBfloat16(values, shape as [number, number], allocate) };
  }
  const own = allocate(values.length);
  own.set(values);
  return { kind: 'frozen', shape, precision: 'float32', data: tf.tensor(own, [...shape]) };
}

/** The values as a float32 tensor; a fresh one where they are kept in bfloat16. Call inside `tf.tidy`. */
export function thaw(frozen: Frozen): Tensor {
  return frozen.precision === 'bfloat16' ? widen(frozen.data) : frozen.data;
}

/** True for what is trained whole. */
export function isTensor(weight: Weight): weight is Tensor {
  return !('kind' in weight);
}

/** Looks a parameter up. */
export function entry(weights: Weights, name: string): Weight {
  const found = weights[name];
  if (found === undefined) throw new ShapeError(`parameters: the model asked for "${name}", which is not there.`);
  return found;
}

/** A parameter as one tensor: for norms and biases. */
export function weight<T extends Tensor = Tensor>(weights: Weights, name: string): T {
  return whole<T>(entry(weights, name), name);
}

/** The same of a parameter that was looked up; its name is for the error. */
export function whole<T extends Tensor = Tensor>(found: Weight, name: string): T {
  if (isTensor(found)) return found as T;
  if (found.kind === 'frozen') return thaw(found) as T;
  throw new ShapeError(`parameters: "${name}" is changed in part and can only be multiplied with.`);
}

/** The trained tensors among weights, in an order that `withTrained` knows. */
export function trainedOf(weights: Weights): Tensor[] {
  return Object.values(weights).flatMap((one) => {
    if (isTensor(one)) return [one];
    if (one.kind === 'token rows') return [one.rows];
    return one.kind === 'frozen' ? [] : one.changes.flatMap(({ a, b }) => [a, b]);
  });
}

/** The same weights with other tensors in place of the trained ones. */
export function withTrained(weights: Weights, tensors: readonly Tensor[]): Weights {
  const left = [...tensors];
  const next = (): Tensor2D => left.shift() as Tensor2D;
  const replace = (one: Weight): Weight => {
    if (isTensor(one)) return next();
    if (one.kind === 'frozen') return one;
    if (one.kind === 'token rows') return { ...one, rows: next() };
    return { ...one, changes: one.changes.map((change) => ({ ...change, a: next(), b: next() })) };
  };
  return Object.fromEntries(Object.entries(weights).map(([name, one]) => [name, replace(one)]));
}

/** Rows of a matrix: the embedding lookup. indices [count] → [count, columns] */
export function rowsOf(table: Weight, indices: Tensor1D): Tensor2D {
  if (isTensor(table)) return gatherRows(table as Tensor2D, indices);
  if (table.kind === 'token rows') return replaceFound(rowsOf(table.base, indices), indices, table.ids, table.rows);
  if (table.kind === 'adapted') throw new ShapeError('parameters: an embedding with low-rank changes cannot be read.');
  const rows = gatherRows(table.data as Tensor2D, indices);
  return table.precision === 'bfloat16' ? (widen(rows) as Tensor2D) : rows;
}
