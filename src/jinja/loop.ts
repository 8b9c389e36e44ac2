/** `loop`: where a loop stands. */
import { TemplateError } from './template-error.ts';
import { type Call, functionValue, isEqual, iterate, lengthOf, tuple, undefinedValue, type Value } from './values.ts';

/** The next element; false once there is none. */
type Next = { readonly item: Value } | false;

/** A loop under way. */
export interface Loop {
  /** `loop` as templates see it. */
  readonly value: Value;
  next(): Next;
}

/**
 * Goes through a sequence, one element ahead at most, and only where a template asks for it.
 * @param recurse renders a sequence with the loop's own body; undefined where the loop is not recursive
 */
export function openLoop(sequence: Value, filtered: Iterable<Value>, depth: number, recurse: Call | undefined): Loop {
  // With a condition the number is known at the end only.
  const elements = lookAhead(filtered, filtered === sequence ? lengthOf(sequence) : undefined);
  let index = -1;
  let [before, current]: (Value | undefined)[] = [];
  const cycle: Call = ({ positional }) => {
    if (positional.length === 0) throw new TemplateError('no items for cycling given');
    return positional[index % positional.length] as Value;
  };
  const changed = watchChanges();
  const fields: Readonly<Record<string, () => Value>> = {
    index: () => BigInt(index + 1),
    index0: () => BigInt(index),
    revindex: () => BigInt(elements.length() - index),
    revindex0: () => BigInt(elements.length() - index - 1),
    first: () => index === 0,
    last: () => elements.peek() === false,
    length: () => BigInt(elements.length()),
    depth: () => BigInt(depth + 1),
    depth0: () => BigInt(depth),
    previtem: () => (before === undefined ? undefinedValue('there is no previous item') : before),
    nextitem: () => {
      const next = elements.peek();
      return next === false ? undefinedValue('there is no next item') : next.item;
    },
    changed: () => functionValue('changed', changed),
    cycle: () => functionValue('cycle', cycle),
  };
  const call: Call = (args) => {
    if (recurse !== undefined) return recurse(args);
    throw new TemplateError("The loop must have the 'recursive' marker to be called recursively.");
  };
  const get = (name: string): Value | undefined => (Object.hasOwn(fields, name) ? fields[name]?.() : undefined);
  return {
    value: { kind: 'object', type: 'LoopContext', get, call },
    next: () => {
      const one = elements.next();
      if (one === false) return false;
      index++;
      [before, current] = [current, one.item];
      return one;
    },
  };
}

/** Elements one after another. `known` is their number where that is known before. */
function lookAhead(elements: Iterable<Value>, known: number | undefined) {
  let items = elements[Symbol.iterator]();
  let ahead: Next | undefined;
  let taken = 0;
  const take = (): Next => {
    const { value, done } = items.next();
    return done === true ? false : { item: value as Value };
  };
  return {
    peek: (): Next => {
      ahead ??= take();
      return ahead;
    },
    next: (): Next => {
      const one = ahead ?? take();
      ahead = undefined;
      if (one !== false) taken++;
      return one;
    },
    /** How many there are in all: reads the rest, and keeps it, where that is not known yet. */
    length: (): number => {
      if (known !== undefined) return known;
      const rest: Value[] = [];
      for (let one = take(); one !== false; one = take()) rest.push(one.item);
      items = rest[Symbol.iterator]();
      known = rest.length + taken + (ahead !== undefined && ahead !== false ? 1 : 0);
      return known;
    },
  };
}

/** `loop.changed`: whether it is called with other values than the time before. */
function watchChanges(): Call {
  let last: Value | undefined;
  return ({ positional }) => {
    const values = tuple(...positional);
    const isSame = last !== undefined && isEqual(last, values);
    last = values;
    return !isSame;
  };
}

/** A loop's elements: those that meet its condition. */
export function* choose(sequence: Value, meets: (item: Value) => boolean): Generator<Value> {
  for (const one of iterate(sequence)) if (meets(one)) yield one;
}
