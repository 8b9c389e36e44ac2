/** Our own TensorFlow ops (src/native): fused kernels for CPUs, loaded where set-up has built them. */
import { LaneError } from '../errors.ts';
import type { Koffi } from './native-library.ts';
import { loadKoffi } from './native-library.ts';
import type { RawAttribute } from './raw-op.ts';
import { executeRaw } from './raw-op.ts';
import type { Tensor } from './tf.ts';

/** What `tf.customGrad` passes for keeping tensors until the gradient. */
export type Save = (tensors: Tensor[]) => void;

let library: ReturnType<Koffi['load']> | null = null;
let isUsed = false;
let usesProducts = true;

/** True where ops run as native ones: the tensorflow lane on a CPU, with the library loaded. */
export function usesNativeOps(): boolean {
  return isUsed;
}

/** True where linear layers run as native ops too. */
export function usesNativeProducts(): boolean {
  return isUsed && usesProducts;
}

/** Whether linear layers are among native ops, where these are used; set-up has timed them (src/lanes/choose-products.ts). */
export function useNativeProducts(use: boolean): void {
  usesProducts = use;
}

/** Runs `f`, where `allow` is false without native linear layers. */
export function withNativeProducts<T>(allow: boolean, f: () => T): T {
  const before = usesProducts;
  usesProducts = before && allow;
  try {
    return f();
  } finally {
    usesProducts = before;
  }
}

/** Switches between native ops and those of TensorFlow; what was traced stays as it is. */
export function useNativeOps(use: boolean): void {
  isUsed = use && library !== null;
}

/**
 * Loads the library into TensorFlow, which is in the process already. Nothing uses it before `useNativeOps`.
 * @throws LaneError where it cannot be loaded or TensorFlow refuses an op
 */
export function loadNativeOps(file: string): void {
  if (library !== null) return;
  const loaded = loadKoffi().load(file);
  const problems = loaded.func('const char* plumbline_problems()')() as string;
  if (problems !== '')
    throw new LaneError(`${file}: TensorFlow refuses ops: ${problems}. Run npm run setup -- --again.`);
  library = loaded;
}

/** The library, where native ops are used. */
export function nativeLibrary(): ReturnType<Koffi['load']> | null {
  return isUsed ? library : null;
}

/** Runs a native op, or makes a node of it where a step is traced; `shapes` are those of its outputs. */
export function executeNative(
  name: string,
  attributes: readonly RawAttribute[],
  inputs: Tensor[],
  shapes: readonly (readonly number[])[],
): Tensor[] {
  const value = shapes.flatMap((shape) => [shape.length, ...shape]);
  return executeRaw(name, [...attributes, { name: 'output_shapes', type: 'int', value }], inputs, shapes.length);
}

export function intAttribute(name: string, value: number): RawAttribute {
  return { name, type: 'int', value };
}

export function intsAttribute(name: string, value: readonly number[]): RawAttribute {
  return { name, type: 'int', value };
}

export function floatAttribute(name: string, value: number): RawAttribute {
  return { name, type: 'float', value };
}

export function flagAttribute(name: string, value: boolean): RawAttribute {
  return { name, type: 'bool', value };
}
