/** Whole safetensors files and models' tensors at once, for tests. */
import { readFileSync } from 'node:fs';
import { openSafetensors, writeSafetensors } from '../../src/checkpoint/safetensors.ts';
import { fileTensors, parameterReader } from '../../src/checkpoint/weight-names.ts';
import type { HeadKind, ModelDimensions } from '../../src/model/dimensions.ts';
import { parameterSpecs } from '../../src/model/parameter-table.ts';
import { layoutOf, parameterValues } from '../../src/tensor/parameters.ts';
import type { Tensor } from '../../src/tensor/tf.ts';
import type { Weights } from '../../src/tensor/weights.ts';

/** A tensor on the host. */
export interface HostTensor {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** Every tensor of a file. */
export function readTensors(path: string): Map<string, HostTensor> {
  const file = openSafetensors(path);
  try {
    return new Map([...file.entries].map(([name, { shape }]) => [name, { shape, values: file.read(name) }]));
  } finally {
    file.close();
  }
}

/** Writes tensors in their order. */
export function writeTensors(
  path: string,
  tensors: ReadonlyMap<string, HostTensor>,
  type: 'F32' | 'BF16' = 'F32',
  metadata?: Record<string, string>,
): Buffer {
  const list = [...tensors].map(([name, { shape, values }]) => ({ name, shape, values: () => values }));
  writeSafetensors(path, list, type, metadata);
  return readFileSync(path);
}

/** Changes a file: reads it, lets `change` do something to the tensors, writes it. */
export function rewriteTensors(path: string, change: (tensors: Map<string, HostTensor>) => void): void {
  const tensors = readTensors(path);
  change(tensors);
  writeTensors(path, tensors);
}

/** Weights of a model without frozen or adapted ones. */
export function asTensors(weights: Weights): Record<string, Tensor> {
  return weights as Record<string, Tensor>;
}

/** The tensors of a Hugging Face file from flat values in the order of `parameterSpecs`. */
export function toHuggingFace(
  dimensions: ModelDimensions,
  head: HeadKind,
  flat: Float32Array,
): Map<string, HostTensor> {
  const layout = layoutOf(parameterSpecs(dimensions, head));
  const tensors = fileTensors(dimensions, head, (name) => parameterValues(layout, flat, name));
  return new Map(tensors.map(({ name, shape, values }) => [name, { shape, values: values() }]));
}

/** The other way round. */
export function fromHuggingFace(
  dimensions: ModelDimensions,
  head: HeadKind,
  tensors: ReadonlyMap<string, HostTensor>,
  where: string,
): Float32Array {
  const entries = new Map(
    [...tensors].map(([name, { shape }]) => [name, { dtype: 'F32', shape, from: 0, to: 0 }] as const),
  );
  const files = { entries, read: (name: string) => tensors.get(name)?.values ?? new Float32Array(), close: () => {} };
  const layout = layoutOf(parameterSpecs(dimensions, head));
  const flat = new Float32Array(layout.total);
  const reader = parameterReader(dimensions, head, files, where);
  for (const spec of layout.specs) parameterValues(layout, flat, spec.name).set(reader.read(spec));
  return flat;
}
