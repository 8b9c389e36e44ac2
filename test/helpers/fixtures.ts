/** Reads the committed reference numbers of test/fixtures (made by scripts/fixtures/*.py). */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Tensor } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';

/** A tensor as the scripts write it: data in row-major order. */
export interface FixtureTensor {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

/** The path of a fixture file or folder. */
export function fixturePath(name: string): string {
  return fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
}

/** A fixture file, typed by its reader. */
export function fixture<T>(name: string): T {
  return JSON.parse(readFileSync(fixturePath(name), 'utf8')) as T;
}

/** Uploads a fixture, in its own shape or another of the same size. */
export function upload<T extends Tensor>(from: FixtureTensor, shape: readonly number[] = from.shape): T {
  return tf.tensor([...from.data], [...shape], 'float32') as unknown as T;
}

/** Uploads whole numbers as int32. */
export function uploadIntegers<T extends Tensor>(from: FixtureTensor, shape: readonly number[] = from.shape): T {
  return tf.tensor([...from.data], [...shape], 'int32') as unknown as T;
}

/** Host float32 numbers of a fixture. */
export function floats(from: FixtureTensor): Float32Array {
  return Float32Array.from(from.data);
}

/** Reads a tensor's numbers and frees it. */
export function take(tensor: Tensor): Float32Array {
  const values = tensor.dataSync() as Float32Array;
  tensor.dispose();
  return values;
}

/** The flat product of a shape without its last axis, and that axis: how [batch, seq, width] becomes rows. */
export function asRows(shape: readonly number[]): [rows: number, width: number] {
  const width = shape.at(-1) as number;
  return [shape.slice(0, -1).reduce((product, size) => product * size, 1), width];
}
