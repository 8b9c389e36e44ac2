/** TensorFlow ops that tfjs does not wrap, called through the addon. Only for the tensorflow lane. */
import type { DataType, Tensor } from './tf.ts';
import { tf } from './tf.ts';

/** An attribute as the addon's binding takes it. */
export interface RawAttribute {
  readonly name: string;
  readonly type: 'int' | 'type' | 'bool' | 'float';
  readonly value: number | boolean;
}

interface NodeBackend {
  readonly binding: Readonly<Record<string, number>>;
  executeMultipleOutputs(name: string, attributes: unknown[], inputs: Tensor[], outputs: number): Tensor[];
}

/** TensorFlow's DataType enum, https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/framework/types.proto */
const DATA_TYPES: Partial<Record<DataType, number>> = { float32: 1, int32: 3, bool: 10 };

const ATTRIBUTE_KINDS = {
  int: 'TF_ATTR_INT',
  type: 'TF_ATTR_TYPE',
  bool: 'TF_ATTR_BOOL',
  float: 'TF_ATTR_FLOAT',
} as const;

/** A type attribute, such as T. */
export function typeAttribute(name: string, type: 'float32' | 'int32' | 'bool'): RawAttribute {
  return { name, type: 'type', value: DATA_TYPES[type] as number };
}

/** Runs one TensorFlow op by name; not recorded for differentiation, so call it inside `tf.customGrad`. */
export function executeRaw(
  name: string,
  attributes: readonly RawAttribute[],
  inputs: Tensor[],
  outputs: number,
): Tensor[] {
  const backend = tf.backend() as unknown as NodeBackend;
  const bound = attributes.map(({ name: key, type, value }) => ({
    name: key,
    type: backend.binding[ATTRIBUTE_KINDS[type]],
    value,
  }));
  return backend.executeMultipleOutputs(name, bound, inputs, outputs);
}
