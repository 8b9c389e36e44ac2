/** TensorFlow ops that tfjs does not wrap, called through the addon. Only for the tensorflow lane. */
import type { AddonAttribute, AddonBinding, Handle } from './addon.ts';
import { addonBackend, DATA_TYPES } from './addon.ts';
import type { Tensor } from './tf.ts';

/** An attribute as the addon's binding takes it. */
export interface RawAttribute {
  readonly name: string;
  readonly type: 'int' | 'type' | 'bool' | 'float';
  readonly value: number | boolean | readonly number[];
}

type TypeName = keyof typeof DATA_TYPES;

const ATTRIBUTE_KINDS = {
  int: 'TF_ATTR_INT',
  type: 'TF_ATTR_TYPE',
  bool: 'TF_ATTR_BOOL',
  float: 'TF_ATTR_FLOAT',
} as const;

/** A type attribute, such as T. */
export function typeAttribute(name: string, type: TypeName): RawAttribute {
  return { name, type: 'type', value: DATA_TYPES[type] };
}

/** Runs one TensorFlow op by name; not recorded for differentiation, so call it inside `tf.customGrad`. */
export function executeRaw(
  name: string,
  attributes: readonly RawAttribute[],
  inputs: Tensor[],
  outputs: number,
): Tensor[] {
  const backend = addonBackend();
  return backend.executeMultipleOutputs(name, bind(backend.binding, attributes), inputs, outputs);
}

function bind(binding: AddonBinding, attributes: readonly RawAttribute[]): AddonAttribute[] {
  return attributes.map(({ name, type, value }) => ({ name, type: binding[ATTRIBUTE_KINDS[type]], value }));
}

/** One op of a chain: one input, one output. */
export interface ChainLink {
  readonly name: string;
  readonly types: Readonly<Record<string, TypeName>>;
  readonly flags?: Readonly<Record<string, boolean>>;
}

/**
 * Runs ops one after the other on one tensor. What lies between may have a type that TensorFlow.js does not know; it is
 * freed here. The last output must be of a type it knows.
 */
export function executeChain(input: Tensor, links: readonly ChainLink[]): Tensor {
  const backend = addonBackend();
  const { binding } = backend;
  const [first] = backend.getInputTensorIds([input]) as [number];
  let handle: Handle = { id: first, shape: input.shape, dtype: 0 };
  for (const { name, types, flags = {} } of links) {
    const attributes = [
      ...Object.entries(types).map(([key, type]) => typeAttribute(key, type)),
      ...Object.entries(flags).map(([key, value]) => ({ name: key, type: 'bool', value }) as const),
    ];
    const [next] = binding.executeOp(name, bind(binding, attributes), [handle.id], 1) as [Handle];
    if (handle.id !== first) binding.deleteTensor(handle.id);
    handle = next;
  }
  return backend.createOutputTensor(handle);
}
