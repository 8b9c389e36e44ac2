/** The tests of jinja2: what may stand after `is`. */
import { take } from './arguments.ts';
import { binary } from './operators.ts';
import { show } from './printing.ts';
import { TemplateError } from './template-error.ts';
import {
  type Arguments,
  compare,
  contains,
  elementsOf,
  isDict,
  isEqual,
  isIterable,
  isKind,
  isUndefined,
  numberOf,
  textOf,
  type Value,
} from './values.ts';

export type TestFunction = (value: Value, args: Arguments) => boolean;

/** A test without arguments. */
const plain = (of: (value: Value) => boolean): TestFunction => {
  return (value, args) => {
    take('test', [], args);
    return of(value);
  };
};

/** A test against one value. */
const against = (of: (value: Value, other: Value) => boolean): TestFunction => {
  return (value, args) => {
    const [other] = take('test', ['other'], args);
    if (other === undefined) throw new TemplateError('the test needs a value to compare with');
    return of(value, other);
  };
};

const equal = against(isEqual);
const unequal = against((a, b) => !isEqual(a, b));
const above = against((a, b) => compare(a, b, '>') > 0);
const atLeast = against((a, b) => compare(a, b, '>=') >= 0);
const below = against((a, b) => compare(a, b, '<') < 0);
const atMost = against((a, b) => compare(a, b, '<=') <= 0);
const remainder = (value: Value, by: bigint): Value => binary('%', value, by);
const hasCase = (value: Value, of: (text: string) => string): boolean => {
  const text = show(value);
  return text === of(text) && text.toLowerCase() !== text.toUpperCase();
};

export const TESTS: Readonly<Record<string, TestFunction>> = {
  '==': equal,
  eq: equal,
  equalto: equal,
  '!=': unequal,
  ne: unequal,
  '>': above,
  gt: above,
  greaterthan: above,
  '>=': atLeast,
  ge: atLeast,
  '<': below,
  lt: below,
  lessthan: below,
  '<=': atMost,
  le: atMost,
  boolean: plain((value) => typeof value === 'boolean'),
  callable: plain((value) => isKind(value, 'function') || (isKind(value, 'object') && value.call !== undefined)),
  defined: plain((value) => !isUndefined(value)),
  divisibleby: against((value, by) => isEqual(binary('%', value, by), 0n)),
  escaped: plain((value) => isKind(value, 'markup')),
  even: plain((value) => isEqual(remainder(value, 2n), 0n)),
  false: plain((value) => value === false),
  float: plain((value) => typeof value === 'number'),
  in: against((value, container) => contains(container, value)),
  integer: plain((value) => typeof value === 'bigint'),
  iterable: plain(isIterable),
  lower: plain((value) => hasCase(value, (text) => text.toLowerCase())),
  mapping: plain(isDict),
  none: plain((value) => value === null),
  number: plain((value) => numberOf(value) !== undefined),
  odd: plain((value) => isEqual(remainder(value, 2n), 1n)),
  sameas: against((value, other) => value === other),
  sequence: plain((value) => isSequence(value)),
  string: plain((value) => textOf(value) !== undefined),
  true: plain((value) => value === true),
  undefined: plain(isUndefined),
  upper: plain((value) => hasCase(value, (text) => text.toUpperCase())),
};

/** What has a length and elements in brackets. */
function isSequence(value: Value): boolean {
  if (textOf(value) !== undefined || elementsOf(value) !== undefined) return true;
  return isDict(value) || isKind(value, 'range') || isUndefined(value);
}
