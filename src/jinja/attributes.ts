/** What stands behind a dot and in brackets: attributes and methods, elements and keys, as jinja2's sandbox gives them. */
import { integerArgument, required, take } from './arguments.ts';
import { indexIn, like } from './operators.ts';
import { repr } from './printing.ts';
import { stringMethod } from './string-methods.ts';
import { TemplateError } from './template-error.ts';
import { characters } from './text.ts';
import {
  type Arguments,
  type Dict,
  elementsOf,
  functionValue,
  isDict,
  isEqual,
  isKind,
  isUndefined,
  iterate,
  keyIn,
  numberOf,
  refuseUndefined,
  textOf,
  typeName,
  undefinedValue,
  type Value,
} from './values.ts';

/** Methods that change their object, which the sandbox keeps from templates. */
const CHANGING = {
  dict: ['clear', 'pop', 'popitem', 'setdefault', 'update'],
  list: ['append', 'clear', 'extend', 'insert', 'pop', 'remove', 'reverse', 'sort'],
} as const;

type DictMethod = (dict: Dict, args: Arguments) => Value;

const DICT_METHODS: Readonly<Record<string, DictMethod>> = {
  copy: (dict) => new Map(dict),
  get: (dict, args) => {
    const [key, otherwise = null] = take('get', ['key', 'default'], args);
    const found = dict.get(keyIn(dict, required('get', 'key', key)));
    return found === undefined ? otherwise : found;
  },
  items: (dict) => ({ kind: 'view', type: 'dict_items', dict }),
  keys: (dict) => ({ kind: 'view', type: 'dict_keys', dict }),
  values: (dict) => ({ kind: 'view', type: 'dict_values', dict }),
};

/** Methods that Python has and this does not: a template that calls one is refused when it is read. */
export const unsupportedMethods: ReadonlySet<string> = new Set([
  'encode',
  'format_map',
  'fromkeys',
  'isidentifier',
  'isprintable',
  'maketrans',
  'translate',
  'striptags',
  'unescape',
  'as_integer_ratio',
  'bit_count',
  'bit_length',
  'conjugate',
  'hex',
  'is_integer',
  'to_bytes',
]);

/** value.name: an attribute, else the element of that key, else undefined. */
export function attribute(value: Value, name: string): Value {
  const found = attributeOf(value, name);
  return either(found !== undefined ? found : element(value, name), value, name);
}

/** value[key]: an element, else the attribute of that name, else undefined. */
export function item(value: Value, key: Value): Value {
  const found = element(value, key);
  return either(found === undefined && typeof key === 'string' ? attributeOf(value, key) : found, value, key);
}

/** What was found; None is something too. */
function either(found: Value | undefined, value: Value, key: Value): Value {
  if (found !== undefined) return found;
  const type = value === null ? 'None' : `${typeName(value)} object`;
  if (typeof key === 'string') return undefinedValue(`'${type}' has no attribute ${repr(key)}`);
  return undefinedValue(`${type} has no element ${isKind(key, 'tuple') || isDict(key) ? 'of this kind' : repr(key)}`);
}

/** Also the attribute filter: without elements. */
export function attributeOf(value: Value, name: string): Value | undefined {
  refuseUndefined(value);
  if (name.startsWith('_')) return undefined;
  if (textOf(value) !== undefined) return stringMethod(value, name, item);
  const elements = elementsOf(value);
  if (elements !== undefined || isDict(value)) {
    const type = isDict(value) ? 'dict' : 'list';
    if (!isKind(value, 'tuple') && (CHANGING[type] as readonly string[]).includes(name)) {
      return undefinedValue(`access to attribute '${name}' of '${type}' object is unsafe.`);
    }
  }
  if (isDict(value)) {
    const method = Object.hasOwn(DICT_METHODS, name) ? DICT_METHODS[name] : undefined;
    return method && functionValue(name, (args) => method(value, args));
  }
  if (isKind(value, 'tuple') && value.names?.includes(name)) return value.items[value.names.indexOf(name)];
  if (elements !== undefined) return listMethod(elements, name, Array.isArray(value));
  if (isKind(value, 'namespace')) return value.fields.get(name);
  if (isKind(value, 'function') && name === 'name') return value.name;
  return isKind(value, 'object') ? value.get(name) : undefined;
}

function listMethod(elements: readonly Value[], name: string, isList: boolean): Value | undefined {
  if (name === 'copy' && isList) return functionValue(name, () => [...elements]);
  if (name === 'count') {
    return functionValue(name, (args) => {
      const one = required(name, 'value', take(name, ['value'], args)[0]);
      return BigInt(elements.filter((other) => isEqual(one, other)).length);
    });
  }
  if (name !== 'index') return undefined;
  return functionValue(name, (args) => {
    const [value, start, stop] = take(name, ['value', 'start', 'stop'], args);
    const one = required(name, 'value', value);
    const [from, to] = [integerArgument(name, start, 0), integerArgument(name, stop, elements.length)];
    const at = elements.slice(from, to).findIndex((other) => isEqual(one, other));
    if (at === -1) throw new TemplateError(`${repr(one)} is not in list`);
    return BigInt(at + from);
  });
}

function element(value: Value, key: Value): Value | undefined {
  if (isUndefined(value)) refuseUndefined(value);
  if (isDict(value)) return Array.isArray(key) || isDict(key) ? undefined : value.get(keyIn(value, key));
  const index = numberOf(key);
  if (typeof index !== 'bigint') return undefined;
  const text = textOf(value);
  if (text !== undefined) {
    const all = characters(text);
    const at = indexIn(all.length, index);
    return at === undefined ? undefined : like(value, all[at] as string);
  }
  const elements = isKind(value, 'range') ? [...iterate(value)] : elementsOf(value);
  const at = elements === undefined ? undefined : indexIn(elements.length, index);
  return at === undefined ? undefined : elements?.[at];
}
