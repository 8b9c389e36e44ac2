/** Python's arithmetic and slices on the values of templates. */
import { formatPercent } from './format.ts';
import { show } from './printing.ts';
import { TemplateError } from './template-error.ts';
import { characters, escapeHtml } from './text.ts';
import {
  elementsOf,
  isKind,
  iterate,
  numberOf,
  refuseUndefined,
  textOf,
  tuple,
  typeName,
  type Value,
} from './values.ts';

export type BinaryOperator = '+' | '-' | '*' | '/' | '//' | '%' | '**';

/** @throws TemplateError as Python raises: for types that do not fit, and division by zero */
export function binary(operator: BinaryOperator, left: Value, right: Value): Value {
  if (operator === '%' && textOf(left) !== undefined) return like(left, formatPercent(textOf(left) ?? '', right));
  refuseUndefined(left, right);
  const [a, b] = [numberOf(left), numberOf(right)];
  if (a !== undefined && b !== undefined) return arithmetic(operator, a, b);
  const joined = operator === '+' ? add(left, right) : operator === '*' ? repeat(left, right) : undefined;
  if (joined !== undefined) return joined;
  throw new TemplateError(
    operator === '+' && textOf(left) !== undefined
      ? `can only concatenate str (not "${typeName(right)}") to str`
      : `unsupported operand type(s) for ${operator}: '${typeName(left)}' and '${typeName(right)}'`,
  );
}

/** A text that is Markup where `model` is. */
export function like(model: Value, text: string): Value {
  return isKind(model, 'markup') ? { kind: 'markup', text } : text;
}

function add(left: Value, right: Value): Value | undefined {
  const [a, b] = [textOf(left), textOf(right)];
  if (a !== undefined && b !== undefined) {
    if (typeof left === 'string' && typeof right === 'string') return a + b;
    return { kind: 'markup', text: html(left) + html(right) };
  }
  if (Array.isArray(left) && Array.isArray(right)) return [...left, ...right];
  if (isKind(left, 'tuple') && isKind(right, 'tuple')) return tuple(...left.items, ...right.items);
  return undefined;
}

function html(value: Value): string {
  return isKind(value, 'markup') ? value.text : escapeHtml(show(value));
}

function repeat(left: Value, right: Value): Value | undefined {
  const [sequence, count] = typeof numberOf(left) === 'bigint' ? [right, numberOf(left)] : [left, numberOf(right)];
  if (typeof count !== 'bigint') return undefined;
  const times = Math.max(0, Number(count));
  const text = textOf(sequence);
  if (text !== undefined) return like(sequence, text.repeat(times));
  const elements = elementsOf(sequence);
  if (elements === undefined) return undefined;
  const items = Array.from({ length: times }, () => elements).flat();
  return Array.isArray(sequence) ? items : tuple(...items);
}

function arithmetic(operator: BinaryOperator, a: bigint | number, b: bigint | number): Value {
  const isDivision = operator === '/' || operator === '//' || operator === '%';
  if (isDivision && Number(b) === 0) {
    const isFloat = operator !== '/' && (typeof a === 'number' || typeof b === 'number');
    const what =
      operator === '/' ? 'division' : isFloat ? 'float floor division or modulo' : 'integer division or modulo';
    throw new TemplateError(`${what} by zero`);
  }
  if (typeof a === 'bigint' && typeof b === 'bigint' && operator !== '/' && !(operator === '**' && b < 0n)) {
    return integers(operator, a, b);
  }
  return floats(operator, Number(a), Number(b));
}

function integers(operator: Exclude<BinaryOperator, '/'>, a: bigint, b: bigint): bigint {
  if (operator === '+') return a + b;
  if (operator === '-') return a - b;
  if (operator === '*') return a * b;
  if (operator === '**') return a ** b;
  const rest = ((a % b) + b) % b;
  return operator === '%' ? rest : (a - rest) / b;
}

function floats(operator: BinaryOperator, a: number, b: number): number {
  if (operator === '+') return a + b;
  if (operator === '-') return a - b;
  if (operator === '*') return a * b;
  if (operator === '/') return a / b;
  if (operator === '**') return a ** b;
  const rest = a % b;
  const mod = rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest;
  return operator === '%' ? mod : Math.round((a - mod) / b);
}

/** -value, +value. */
export function unary(operator: '-' | '+', value: Value): Value {
  refuseUndefined(value);
  const number = numberOf(value);
  if (number === undefined) throw new TemplateError(`bad operand type for unary ${operator}: '${typeName(value)}'`);
  return operator === '-' ? -number : number;
}

/** The index of an element from a Python index; undefined where there is none. */
export function indexIn(length: number, index: bigint): number | undefined {
  const at = Number(index < 0n ? BigInt(length) + index : index);
  return at >= 0 && at < length ? at : undefined;
}

/** A bound of a slice. */
function boundOf(value: Value): bigint | null {
  const number = value === null ? null : numberOf(value);
  if (number === null || typeof number === 'bigint') return number;
  throw new TemplateError('slice indices must be integers or None or have an __index__ method');
}

/** value[start:stop:step]. @throws TemplateError where Python has no slices of this type, or takes no such bounds */
export function slice(value: Value, bounds: readonly [Value, Value, Value]): Value {
  const text = textOf(value);
  const range = isKind(value, 'range') ? value : undefined;
  const items = text !== undefined ? characters(text) : range !== undefined ? [...iterate(range)] : elementsOf(value);
  if (items === undefined) throw new TemplateError(`'${typeName(value)}' object cannot be sliced`);
  const [start, stop, step] = bounds.map(boundOf) as [bigint | null, bigint | null, bigint | null];
  const by = Number(step ?? 1n);
  if (by === 0) throw new TemplateError('slice step cannot be zero');
  const [low, high] = by > 0 ? [0, items.length] : [-1, items.length - 1];
  const clamp = (bound: bigint | null, otherwise: number): number => {
    if (bound === null) return otherwise;
    return Math.min(high, Math.max(low, Number(bound < 0n ? bound + BigInt(items.length) : bound)));
  };
  const [from, to] = by > 0 ? [clamp(start, low), clamp(stop, high)] : [clamp(start, high), clamp(stop, low)];
  const taken: Value[] = [];
  for (let i = from; by > 0 ? i < to : i > to; i += by) taken.push(items[i] as Value);
  if (text !== undefined) return like(value, taken.join(''));
  if (range !== undefined) {
    const at = (i: number): bigint => range.start + BigInt(i) * range.step;
    return { kind: 'range', start: at(from), stop: at(to), step: range.step * BigInt(by), length: taken.length };
  }
  return isKind(value, 'tuple') ? tuple(...taken) : taken;
}
