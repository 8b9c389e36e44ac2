/** Tensors before they are tensors: named values on the host, which a step uploads or a compiled step is fed. */
import { ShapeError } from '../errors.ts';
import type { Tensor } from './tf.ts';
import { tf } from './tf.ts';

/** Values with a shape; Float32Array means float32 and Int32Array int32. */
export interface HostArray {
  readonly shape: readonly number[];
  readonly values: Float32Array | Int32Array;
}

export type HostArrays = Readonly<Record<string, HostArray>>;

/** Tensors by name. */
export type Tensors = Readonly<Record<string, Tensor>>;

/** A vector. */
export function vector(values: Float32Array | Int32Array): HostArray {
  return { shape: [values.length], values };
}

/** One float32 number. */
export function number(value: number): HostArray {
  return { shape: [], values: Float32Array.of(value) };
}

/** Uploads arrays; the caller disposes the tensors. */
export function uploadArrays(arrays: HostArrays): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(arrays).map(([name, { shape, values }]) => {
      const dtype = values instanceof Int32Array ? 'int32' : 'float32';
      // Copies: the backend may go on reading an array after the upload call returns.
      return [name, tf.tensor(values.slice(), [...shape], dtype)];
    }),
  );
}

/** Looks a tensor up. */
export function pick<T extends Tensor>(tensors: Tensors, name: string): T {
  const found = tensors[name];
  if (found === undefined) throw new ShapeError(`step: there is no array "${name}" among ${Object.keys(tensors)}.`);
  return found as T;
}
