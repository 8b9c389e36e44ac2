/** The values of templates, with Python's types: which one it is, whether it is true, equal, smaller, and what it iterates over. */
import { TemplateError } from './template-error.ts';
import { characters, compareText } from './text.ts';

/** int is a bigint, float a number, list an array, dict a Map; what JavaScript has nothing for is tagged by `kind`. */
export type Value = null | boolean | bigint | number | string | Value[] | Dict | Tagged;
export type Dict = Map<Value, Value>;

export type Tagged =
  | { readonly kind: 'undefined'; readonly message: string }
  | { readonly kind: 'tuple'; readonly items: readonly Value[]; readonly names?: readonly string[] }
  | {
      readonly kind: 'range';
      readonly start: bigint;
      readonly stop: bigint;
      readonly step: bigint;
      readonly length: number;
    }
  /** A text that counts as HTML (`safe`, `escape`): what is added to it is escaped. */
  | { readonly kind: 'markup'; readonly text: string }
  | { readonly kind: 'namespace'; readonly fields: Map<string, Value> }
  | FunctionValue
  /** Can be gone through once, as Python's generators. */
  | { readonly kind: 'iterator'; readonly items: Iterator<Value> }
  | { readonly kind: 'view'; readonly type: 'dict_keys' | 'dict_values' | 'dict_items'; readonly dict: Dict }
  /** `loop`, a cycler, a joiner: what it answers by name. */
  | {
      readonly kind: 'object';
      readonly type: string;
      readonly get: (name: string) => Value | undefined;
      readonly call?: Call;
    };

export interface FunctionValue {
  readonly kind: 'function';
  readonly name: string;
  readonly call: Call;
}

export type Call = (args: Arguments) => Value;

export interface Arguments {
  readonly positional: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
}

export const undefinedValue = (message: string): Value => ({ kind: 'undefined', message });
export const tuple = (...items: readonly Value[]): Value => ({ kind: 'tuple', items });
export const functionValue = (name: string, call: Call): FunctionValue => ({ kind: 'function', name, call });

/** A sequence that can be gone through once. */
export const lazily = (items: Iterable<Value>): Value => ({ kind: 'iterator', items: items[Symbol.iterator]() });

export function isKind<K extends Tagged['kind']>(value: Value, kind: K): value is Extract<Tagged, { kind: K }> {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === kind;
}

export const isUndefined = (value: Value): boolean => isKind(value, 'undefined');
export const isDict = (value: Value): value is Dict => value instanceof Map;

/** What JSON holds, and null and undefined, as a value; whole numbers are ints. */
export function fromJson(value: unknown): Value {
  if (value === null || typeof value === 'boolean' || typeof value === 'string' || typeof value === 'bigint')
    return value;
  if (typeof value === 'number') return Number.isInteger(value) && !Object.is(value, -0) ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map(fromJson);
  if (typeof value !== 'object') throw new TypeError(`a template cannot be told a ${typeof value}`);
  return new Map(
    Object.entries(value as object).flatMap(([key, one]) => (one === undefined ? [] : [[key, fromJson(one)] as const])),
  );
}

/** A str or Markup's text; undefined for everything else. */
export function textOf(value: Value): string | undefined {
  if (typeof value === 'string') return value;
  return isKind(value, 'markup') ? value.text : undefined;
}

/** The number of a bool, int or float; undefined for everything else. */
export function numberOf(value: Value): bigint | number | undefined {
  if (typeof value === 'boolean') return value ? 1n : 0n;
  return typeof value === 'bigint' || typeof value === 'number' ? value : undefined;
}

const KIND_NAMES: Partial<Record<Tagged['kind'], string>> = {
  undefined: 'Undefined',
  markup: 'Markup',
  namespace: 'Namespace',
  iterator: 'generator',
};

/** Python's name of a value's type. */
export function typeName(value: Value): string {
  if (value === null) return 'NoneType';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'bigint') return 'int';
  if (typeof value === 'number') return 'float';
  if (typeof value === 'string') return 'str';
  if (Array.isArray(value)) return 'list';
  if (value instanceof Map) return 'dict';
  if (value.kind === 'view' || value.kind === 'object') return value.type;
  return KIND_NAMES[value.kind] ?? value.kind;
}

/** The error that using an undefined value raises. */
export function refuseUndefined(...values: readonly Value[]): void {
  for (const value of values) if (isKind(value, 'undefined')) throw new TemplateError(value.message);
}

export function isTrue(value: Value): boolean {
  const number = numberOf(value);
  if (number !== undefined) return Boolean(number);
  if (value === null || isUndefined(value)) return false;
  return (lengthOf(value) ?? 1) > 0;
}

/** len(value); undefined where Python's values of this type have none. */
export function lengthOf(value: Value): number | undefined {
  const text = textOf(value);
  if (text !== undefined) return characters(text).length;
  if (Array.isArray(value)) return value.length;
  if (value instanceof Map) return value.size;
  if (isKind(value, 'tuple')) return value.items.length;
  if (isKind(value, 'range')) return value.length;
  if (isKind(value, 'view')) return value.dict.size;
  return isUndefined(value) ? 0 : undefined;
}

/** The elements of a list or tuple; undefined for everything else. */
export function elementsOf(value: Value): readonly Value[] | undefined {
  if (Array.isArray(value)) return value;
  return isKind(value, 'tuple') ? value.items : undefined;
}

/** @throws TemplateError where Python cannot iterate over the value */
export function iterate(value: Value): Iterable<Value> {
  const text = textOf(value);
  if (text !== undefined) return characters(text);
  const elements = elementsOf(value);
  if (elements !== undefined) return elements;
  if (value instanceof Map) return value.keys();
  if (isKind(value, 'range')) return rangeItems(value);
  if (isKind(value, 'view')) return viewItems(value);
  if (isUndefined(value)) return [];
  // Without `return`, so that leaving a loop early does not close what others go on with.
  if (isKind(value, 'iterator')) return { [Symbol.iterator]: () => ({ next: () => value.items.next() }) };
  throw new TemplateError(`'${typeName(value)}' object is not iterable`);
}

function* rangeItems({ start, step, length }: Extract<Tagged, { kind: 'range' }>): Generator<Value> {
  for (let i = 0; i < length; i++) yield start + step * BigInt(i);
}

function viewItems({ type, dict }: Extract<Tagged, { kind: 'view' }>): Iterable<Value> {
  if (type === 'dict_keys') return dict.keys();
  return type === 'dict_values' ? dict.values() : [...dict].map((pair) => tuple(...pair));
}

/** Python's ==. */
export function isEqual(a: Value, b: Value): boolean {
  if (a === b) return true;
  const [x, y] = [numberOf(a), numberOf(b)];
  // biome-ignore lint/suspicious/noDoubleEquals: an int and a float are equal where their values are.
  if (x !== undefined && y !== undefined) return x == y;
  const text = textOf(a);
  if (text !== undefined) return text === textOf(b);
  if (a instanceof Map && b instanceof Map) {
    return (
      a.size === b.size &&
      [...a].every(([key, value]) => hasKey(b, key) && isEqual(value, b.get(keyIn(b, key)) as Value))
    );
  }
  const isSameType = typeName(a) === typeName(b);
  const [left, right] = [elementsOf(a), elementsOf(b)];
  if (left !== undefined && right !== undefined) {
    return isSameType && left.length === right.length && left.every((one, i) => isEqual(one, right[i] as Value));
  }
  if (isKind(a, 'range') && isKind(b, 'range')) return isEqual([...rangeItems(a)], [...rangeItems(b)]);
  return isUndefined(a) && isUndefined(b);
}

/**
 * Python's order of two values: negative, zero or positive.
 * @param operator names the comparison in the error
 * @throws TemplateError where Python has no order for them
 */
export function compare(a: Value, b: Value, operator = '<'): number {
  const [x, y] = [numberOf(a), numberOf(b)];
  if (x !== undefined && y !== undefined) return x < y ? -1 : x > y ? 1 : x === y || x <= y ? 0 : Number.NaN;
  const [text, other] = [textOf(a), textOf(b)];
  if (text !== undefined && other !== undefined) return compareText(text, other);
  const [left, right] = [elementsOf(a), elementsOf(b)];
  if (left !== undefined && right !== undefined && typeName(a) === typeName(b)) {
    const at = left.findIndex((one, i) => i >= right.length || !isEqual(one, right[i] as Value));
    if (at === -1) return left.length - right.length;
    return at >= right.length ? 1 : compare(left[at] as Value, right[at] as Value, operator);
  }
  refuseUndefined(a, b);
  throw new TemplateError(`'${operator}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
}

/** The key of a dict that is equal to this one: the same one, but for numbers of another type. */
export function keyIn(dict: Dict, key: Value): Value {
  if (Array.isArray(key) || key instanceof Map) throw new TemplateError(`unhashable type: '${typeName(key)}'`);
  if (dict.has(key) || typeof key === 'string') return key;
  for (const one of dict.keys()) if (isEqual(one, key)) return one;
  return key;
}

function hasKey(dict: Dict, key: Value): boolean {
  return dict.has(keyIn(dict, key));
}

/** Python's `item in container`. */
export function contains(container: Value, item: Value): boolean {
  const text = textOf(container);
  if (text !== undefined) {
    const part = textOf(item);
    if (part !== undefined) return text.includes(part);
    throw new TemplateError(`'in <string>' requires string as left operand, not ${typeName(item)}`);
  }
  if (container instanceof Map) return hasKey(container, item);
  if (isKind(container, 'view') && container.type === 'dict_keys') return hasKey(container.dict, item);
  const elements: Iterable<Value> = isIterable(container) ? iterate(container) : notAContainer(container);
  for (const one of elements) if (isEqual(one, item)) return true;
  return false;
}

function notAContainer(value: Value): never {
  throw new TemplateError(`argument of type '${typeName(value)}' is not iterable`);
}

export function isIterable(value: Value): boolean {
  return isKind(value, 'iterator') || lengthOf(value) !== undefined;
}
