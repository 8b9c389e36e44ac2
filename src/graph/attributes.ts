/** Attributes and inputs of ops: from the addon's form to that of a graph. */
import type { AddonAttribute, AddonBinding } from '../tensor/addon.ts';
import type { Attribute, Port } from './graph.ts';

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

/** Ops with an argument that takes a list: how many of the inputs it takes. */
const LISTS: Readonly<Record<string, (inputs: number) => number>> = {
  ConcatV2: (inputs) => inputs - 1,
  Pack: (inputs) => inputs,
  AddN: (inputs) => inputs,
};

/** Inputs as a graph takes them, with those of a list together. */
export function grouped(op: string, inputs: readonly Port[]): readonly (Port | readonly Port[])[] {
  const listed = LISTS[op]?.(inputs.length) ?? 0;
  return listed > 0 ? [inputs.slice(0, listed), ...inputs.slice(listed)] : inputs;
}
