/** The part of the addon's inner interface that tracing replaces (tfjs-node nodejs_kernel_backend.ts, tfjs_backend.cc). */
import type { Tensor } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { Attribute } from './graph.ts';

/** A tensor inside the addon. */
export interface Handle {
  readonly id: number;
  readonly shape: number[];
  readonly dtype: number;
}

/** An attribute as TensorFlow.js gives it to the addon. */
export interface AddonAttribute {
  readonly name: string;
  readonly type: number;
  readonly value: unknown;
}

export interface AddonBinding {
  readonly TF_ATTR_STRING: number;
  readonly TF_ATTR_INT: number;
  readonly TF_ATTR_FLOAT: number;
  readonly TF_ATTR_BOOL: number;
  readonly TF_ATTR_TYPE: number;
  readonly TF_ATTR_SHAPE: number;
  executeOp(name: string, attributes: readonly AddonAttribute[], inputs: readonly number[], outputs: number): Handle[];
  createTensor(shape: readonly number[], dtype: number, values: unknown): number;
  deleteTensor(id: number): void;
  tensorDataSync(id: number): unknown;
}

export interface AddonBackend {
  binding: AddonBinding;
  getInputTensorIds(tensors: readonly Tensor[]): number[];
  createOutputTensor(handle: Handle): Tensor;
  readSync(dataId: object): unknown;
  /** Where TensorFlow.js keeps a tensor: its id in the addon (−1: none yet), and values that are not uploaded yet. */
  readonly tensorMap: { get(dataId: object): { id: number; values: unknown } };
  write(values: unknown, shape: number[], dtype: string): object;
  disposeData(dataId: object, force?: boolean): boolean;
}

/** The backend of the tensorflow lane. */
export function addonBackend(): AddonBackend {
  return tf.backend() as unknown as AddonBackend;
}

/** Attributes as a graph takes them; what TensorFlow.js leaves undefined is left to TensorFlow. */
export function attributesOf(binding: AddonBinding, given: readonly AddonAttribute[]): Record<string, Attribute> {
  const attributes: Record<string, Attribute> = {};
  for (const { name, type, value } of given) {
    if (value !== undefined && value !== null) attributes[name] = attributeOf(binding, type, value);
  }
  return attributes;
}

function attributeOf(binding: AddonBinding, type: number, value: unknown): Attribute {
  switch (type) {
    case binding.TF_ATTR_INT:
      return Array.isArray(value) ? { kind: 'ints', value } : { kind: 'int', value: Number(value) };
    case binding.TF_ATTR_FLOAT:
      return { kind: 'float', value: Number(value) };
    case binding.TF_ATTR_BOOL:
      return { kind: 'bool', value: Boolean(value) };
    case binding.TF_ATTR_TYPE:
      return Array.isArray(value) ? { kind: 'types', value } : { kind: 'type', value: Number(value) };
    case binding.TF_ATTR_SHAPE:
      return { kind: 'shape', value: value as number[] };
    default:
      return { kind: 'string', value: String(value) };
  }
}
