/** `loop`: where a loop stands. */
import { TemplateError } from './template-error.ts';
import { type Call, functionValue, isEqual, iterate, lengthOf, tuple, undefinedValue, type Value } from './values.ts';

/** A loop under way. */
export interface Loop {
  /** `loop` as templates see it. */
  readonly value: Value;
  /** The next element; false once there is none. */
  next(): { readonly item: Value } | false;
}

/**
 * Goes through a sequence, one element ahead at most, and only where a template asks for it.
 * @param recurse renders a sequence with the loop's own body; undefined where the loop is not recursive
 */
export function openLoop(sequence: Value, filtered: Iterable<Value>, depth: number, recurse: Call | undefined): Loop {
  let items = filtered[Symbol.iterator]();
  let index = -1;
  let ahead: { item: Value } | false | undefined;
  let [before, current]: (Value | undefined)[] = [];
  let last: Value | undefined;
  // With a condition the number is known at the end only.
  let known = filtered === sequence ? lengthOf(sequence) : undefined;
  const take = (): { item: Value } | false => {
    const { value, done } = items.next();
    return done === true ? false : { item: value as Value };
  };
  const peek = (): { item: Value } | false => {
    ahead ??= take();
    return ahead;
  };
  const length = (): number => {
    if (known !== undefined) return known;
    const rest: Value[] = [];
    for (let one = take(); one !== false; one = take()) rest.push(one.item);
    items = rest[Symbol.iterator]();
    known = rest.length + index + 1 + (ahead !== undefined && ahead !== false ? 1 : 0);
    return known;
  };
  const changed: Call = ({ positional }) => {
    const values = tuple(...positional);
    const isSame = last !== undefined && isEqual(last, values);
    last = values;
    return !isSame;
  };
  const cycle: Call = ({ positional }) => {
    if (positional.length === 0) throw new TemplateError('no items for cycling given');
    return positional[index % positional.length] as Value;
  };
  const fields: Readonly<Record<string, () => Value>> = {
    index: () => BigInt(index + 1),
    index0: () => BigInt(index),
    revindex: () => BigInt(length() - index),
    revindex0: () => BigInt(length() - index - 1),
    first: () => index === 0,
    last: () => peek() === false,
    length: () => BigInt(length()),
    depth: () => BigInt(depth + 1),
    depth0: () => BigInt(depth),
    previtem: () => (before === undefined ? undefinedValue('there is no previous item') : before),
    nextitem: () => {
      const next = peek();
      return next === false ? undefinedValue('there is no next item') : next.item;
    },
    changed: () => functionValue('changed', changed),
    cycle: () => functionValue('cycle', cycle),
  };
  const call: Call = (args) => {
    if (recurse !== undefined) return recurse(args);
    throw new TemplateError("The loop must have the 'recursive' marker to be called recursively.");
  };
  return {
    value: {
      kind: 'object',
      type: 'LoopContext',
      get: (name: string) => (Object.hasOwn(fields, name) ? fields[name]?.() : undefined),
      call,
    },
    next: () => {
      const one = ahead ?? take();
      ahead = undefined;
      if (one === false) return false;
      index++;
      [before, current] = [current, one.item];
      return one;
    },
  };
}

/** A loop's elements: those that meet its condition. */
export function* choose(sequence: Value, meets: (item: Value) => boolean): Generator<Value> {
  for (const one of iterate(sequence)) if (meets(one)) yield one;
}
