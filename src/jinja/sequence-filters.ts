/** Filters of lists and dicts. */
import { integerArgument, required, take, textArgument } from './arguments.ts';
import { attributeOf, item } from './attributes.ts';
import { binary } from './operators.ts';
import { show } from './printing.ts';
import { TemplateError } from './template-error.ts';
import { characters } from './text.ts';
import {
  type Arguments,
  compare,
  isDict,
  isEqual,
  isKind,
  isTrue,
  isUndefined,
  iterate,
  lazily,
  textOf,
  tuple,
  typeName,
  undefinedValue,
  type Value,
} from './values.ts';

/** Filters and tests by name, for filters that apply another one to every element. */
export interface Named {
  filter(name: string, value: Value, args: Arguments): Value;
  test(name: string, value: Value, args: Arguments): boolean;
}

export type Filter = (value: Value, args: Arguments, named: Named) => Value;

/** What an `attribute` argument takes from an element: "a.b" goes two steps, numbers are indices. */
function getter(attribute: Value | undefined, otherwise: Value = null): (value: Value) => Value {
  if (attribute === undefined || attribute === null) return (value) => value;
  const text = textOf(attribute);
  const steps =
    text === undefined ? [attribute] : text.split('.').map((part) => (/^\d+$/.test(part) ? BigInt(part) : part));
  return (value) => {
    return steps.reduce<Value>((found, step) => {
      const next = item(found, step);
      return isUndefined(next) && otherwise !== null ? otherwise : next;
    }, value);
  };
}

const withoutCase = (value: Value): Value => textOf(value)?.toLowerCase() ?? value;

/** The keys to sort by: several attributes stand with commas between them. */
function sortKey(attribute: Value | undefined, isCaseSensitive: boolean): (value: Value) => Value {
  const text = attribute === undefined ? undefined : textOf(attribute);
  const getters = (text?.split(',') ?? [attribute ?? null]).map((one) => getter(one));
  return (value) => {
    const keys = getters.map((get) => (isCaseSensitive ? get(value) : withoutCase(get(value))));
    return keys.length === 1 ? (keys[0] as Value) : keys;
  };
}

function sorted(values: Iterable<Value>, key: (value: Value) => Value, isReversed: boolean): Value[] {
  const keyed = Array.from(values, (value) => [key(value), value] as const);
  // Equal elements keep their order, downwards too.
  if (isReversed) keyed.reverse();
  keyed.sort(([a], [b]) => compare(a, b));
  if (isReversed) keyed.reverse();
  return keyed.map(([, value]) => value);
}

function groupBy(value: Value, args: Arguments): Value {
  const [attribute, otherwise, caseSensitive = false] = take(
    'groupby',
    ['attribute', 'default', 'case_sensitive'],
    args,
  );
  const get = getter(required('groupby', 'attribute', attribute), otherwise);
  const key = (one: Value): Value => (isTrue(caseSensitive) ? get(one) : withoutCase(get(one)));
  const groups: { key: Value; items: Value[] }[] = [];
  for (const one of sorted(iterate(value), key, false)) {
    const last = groups.at(-1);
    if (last !== undefined && isEqual(last.key, key(one))) last.items.push(one);
    else groups.push({ key: key(one), items: [one] });
  }
  return groups.map(({ items }) => ({
    kind: 'tuple',
    items: [get(items[0] as Value), items],
    names: ['grouper', 'list'],
  }));
}

function* mapped(value: Value, { positional, named: options }: Arguments, named: Named): Generator<Value> {
  if (!isTrue(value)) return;
  const [name, ...rest] = positional;
  if (name === undefined && options.has('attribute')) {
    const [attribute, otherwise] = take('map', ['attribute', 'default'], { positional, named: options });
    const get = getter(attribute, otherwise);
    for (const one of iterate(value)) yield get(one);
    return;
  }
  const filter = textArgument('map', name);
  for (const one of iterate(value)) yield named.filter(filter, one, { positional: rest, named: options });
}

/** select, reject, selectattr and rejectattr. */
function choosing(filter: string, isKept: boolean, hasAttribute: boolean): Filter {
  return (value, { positional, named: options }, named) => {
    const choose = function* (): Generator<Value> {
      if (!isTrue(value)) return;
      const [attribute, rest] = hasAttribute ? [positional[0], positional.slice(1)] : [undefined, positional];
      if (hasAttribute && attribute === undefined) throw new TemplateError('Missing parameter for attribute name');
      const get = getter(attribute);
      const [name, ...args] = rest;
      for (const one of iterate(value)) {
        const found = get(one);
        const test = name === undefined ? undefined : textArgument(filter, name);
        const matches =
          test === undefined ? isTrue(found) : named.test(test, found, { positional: args, named: options });
        if (matches === isKept) yield one;
      }
    };
    return lazily(choose());
  };
}

/** min and max. */
function extreme(name: string, sign: number): Filter {
  return (value, args) => {
    const [caseSensitive = false, attribute] = take(name, ['case_sensitive', 'attribute'], args);
    const get = getter(attribute);
    const key = (one: Value): Value => (isTrue(caseSensitive) ? get(one) : withoutCase(get(one)));
    const items = [...iterate(value)];
    if (items.length === 0) return undefinedValue('No aggregated item, sequence was empty.');
    return items.reduce((best, one) => (compare(key(one), key(best)) * sign > 0 ? one : best));
  };
}

function* unique(value: Value, args: Arguments): Generator<Value> {
  const [caseSensitive = false, attribute] = take('unique', ['case_sensitive', 'attribute'], args);
  const get = getter(attribute);
  const seen: Value[] = [];
  for (const one of iterate(value)) {
    const key = isTrue(caseSensitive) ? get(one) : withoutCase(get(one));
    if (seen.some((other) => isEqual(key, other))) continue;
    seen.push(key);
    yield one;
  }
}

function batch(value: Value, args: Arguments): Value {
  const [count, fill = null] = take('batch', ['linecount', 'fill_with'], args);
  const size = integerArgument('batch', required('batch', 'linecount', count), 1);
  const rows: Value[][] = [];
  for (const one of iterate(value)) {
    const last = rows.at(-1);
    if (last !== undefined && last.length < size) last.push(one);
    else rows.push([one]);
  }
  const last = rows.at(-1);
  while (fill !== null && last !== undefined && last.length < size) last.push(fill);
  return lazily(rows);
}

function slices(value: Value, args: Arguments): Value {
  const [count, fill = null] = take('slice', ['slices', 'fill_with'], args);
  const number = integerArgument('slice', required('slice', 'slices', count), 1);
  const all = [...iterate(value)];
  const [size, extra] = [Math.floor(all.length / number), all.length % number];
  return lazily(
    Array.from({ length: number }, (_, i) => {
      const start = i * size + Math.min(i, extra);
      const row = all.slice(start, start + size + (i < extra ? 1 : 0));
      return fill !== null && i >= extra ? [...row, fill] : row;
    }),
  );
}

function dictSort(value: Value, args: Arguments): Value {
  const [caseSensitive = false, by = 'key', reverse = false] = take(
    'dictsort',
    ['case_sensitive', 'by', 'reverse'],
    args,
  );
  if (by !== 'key' && by !== 'value') throw new TemplateError('You can only sort by either "key" or "value"');
  const at = by === 'key' ? 0n : 1n;
  if (!isDict(value)) throw new TemplateError(`dictsort: expected a dict, received ${typeName(value)}`);
  const key = (pair: Value): Value => (isTrue(caseSensitive) ? item(pair, at) : withoutCase(item(pair, at)));
  return sorted(
    [...value].map((pair) => tuple(...pair)),
    key,
    isTrue(reverse),
  );
}

function reversed(value: Value): Value {
  const text = textOf(value);
  if (text !== undefined) return characters(text).reverse().join('');
  return lazily([...iterate(value)].reverse());
}

export const SEQUENCE_FILTERS: Readonly<Record<string, Filter>> = {
  attr: (value, args) => {
    const name = textArgument('attr', take('attr', ['name'], args)[0]);
    const found = attributeOf(value, name);
    return found === undefined ? undefinedValue(`'${typeName(value)} object' has no attribute '${name}'`) : found;
  },
  batch,
  dictsort: dictSort,
  first: (value) => {
    const { value: one, done } = iterate(value)[Symbol.iterator]().next();
    return done === true ? undefinedValue('No first item, sequence was empty.') : (one as Value);
  },
  groupby: groupBy,
  items: (value) => {
    if (isUndefined(value)) return lazily([]);
    if (!isDict(value)) throw new TemplateError('Can only get item pairs from a mapping.');
    return lazily([...value].map((pair) => tuple(...pair)));
  },
  join: (value, args) => {
    const [separator = '', attribute] = take('join', ['d', 'attribute'], args);
    return Array.from(iterate(value), getter(attribute)).map(show).join(show(separator));
  },
  last: (value) => {
    if (isKind(value, 'iterator')) throw new TemplateError("'generator' object is not reversible");
    const items = [...iterate(value)];
    return items.length > 0 ? (items.at(-1) as Value) : undefinedValue('No last item, sequence was empty.');
  },
  list: (value) => [...iterate(value)],
  map: (value, args, named) => lazily(mapped(value, args, named)),
  max: extreme('max', 1),
  min: extreme('min', -1),
  reject: choosing('reject', false, false),
  rejectattr: choosing('rejectattr', false, true),
  reverse: reversed,
  select: choosing('select', true, false),
  selectattr: choosing('selectattr', true, true),
  slice: slices,
  sort: (value, args) => {
    const names = ['reverse', 'case_sensitive', 'attribute'];
    const [reverse = false, caseSensitive = false, attribute] = take('sort', names, args);
    return sorted(iterate(value), sortKey(attribute, isTrue(caseSensitive)), isTrue(reverse));
  },
  sum: (value, args) => {
    const [attribute, start = 0n] = take('sum', ['attribute', 'start'], args);
    return Array.from(iterate(value), getter(attribute)).reduce<Value>((sum, one) => binary('+', sum, one), start);
  },
  unique: (value, args) => lazily(unique(value, args)),
};
