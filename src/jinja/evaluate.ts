/** The values of expressions. */
import { attribute, item } from './attributes.ts';
import { hasFilter, hasTest } from './known-names.ts';
import { binary, slice, unary } from './operators.ts';
import { repr, show } from './printing.ts';
import { look, type Scope } from './scope.ts';
import { type Named, SEQUENCE_FILTERS } from './sequence-filters.ts';
import type { CallArguments, Comparison, Expression } from './syntax.ts';
import { TemplateError } from './template-error.ts';
import { TESTS } from './tests.ts';
import { TEXT_FILTERS } from './text-filters.ts';
import {
  type Arguments,
  compare,
  contains,
  type Dict,
  isDict,
  isEqual,
  isKind,
  isTrue,
  iterate,
  keyIn,
  refuseUndefined,
  textOf,
  tuple,
  typeName,
  undefinedValue,
  type Value,
} from './values.ts';

/** Filters and tests by their names. */
const NAMED: Named = {
  filter: (name, value, args) => {
    const filter = Object.hasOwn(TEXT_FILTERS, name) ? TEXT_FILTERS[name] : undefined;
    if (filter !== undefined) return filter(value, args);
    const other = Object.hasOwn(SEQUENCE_FILTERS, name) ? SEQUENCE_FILTERS[name] : undefined;
    if (other === undefined) throw new TemplateError(`there is no filter "${name}", or it is not supported`);
    return other(value, args, NAMED);
  },
  test: (name, value, args) => {
    if (name === 'filter') return hasFilter(show(value));
    if (name === 'test') return hasTest(show(value));
    const test = Object.hasOwn(TESTS, name) ? TESTS[name] : undefined;
    if (test === undefined) throw new TemplateError(`there is no test "${name}"`);
    return test(value, args);
  },
};

export const applyFilter = NAMED.filter;

/**
 * The value of an expression.
 * @throws TemplateError where Python raises an error, with the line
 */
export function evaluate(node: Expression, scope: Scope): Value {
  try {
    return compute(node, scope);
  } catch (error) {
    if (error instanceof TemplateError) error.line ??= node.line;
    throw error;
  }
}

function compute(node: Expression, scope: Scope): Value {
  switch (node.type) {
    case 'constant':
      return node.value;
    case 'name':
      return named(node.name, scope);
    case 'list':
      return node.items.map((one) => evaluate(one, scope));
    case 'tuple':
      return tuple(...node.items.map((one) => evaluate(one, scope)));
    case 'concat':
      return node.items.map((one) => show(evaluate(one, scope))).join('');
    case 'dict':
      return dictOf(node.pairs.map(([key, value]) => [evaluate(key, scope), evaluate(value, scope)]));
    case 'attribute':
      return attribute(evaluate(node.object, scope), node.name);
    case 'item':
      return item(evaluate(node.object, scope), evaluate(node.key, scope));
    case 'slice':
      return sliceOf(evaluate(node.object, scope), node.bounds, scope);
    case 'call':
      return call(evaluate(node.callee, scope), argumentsOf(node.args, scope));
    case 'filter':
      return NAMED.filter(node.name, evaluate(node.input, scope), argumentsOf(node.args, scope));
    case 'test':
      return NAMED.test(node.name, evaluate(node.input, scope), argumentsOf(node.args, scope));
    case 'not':
      return !isTrue(evaluate(node.operand, scope));
    case '-':
    case '+':
      return unary(node.type, evaluate(node.operand, scope));
    case 'binary':
      return binary(node.operator, evaluate(node.left, scope), evaluate(node.right, scope));
    case 'and':
    case 'or': {
      const left = evaluate(node.left, scope);
      return isTrue(left) === (node.type === 'or') ? left : evaluate(node.right, scope);
    }
    case 'compare':
      return comparison(node.first, node.rest, scope);
    case 'choice':
      if (isTrue(evaluate(node.condition, scope))) return evaluate(node.chosen, scope);
      return node.otherwise === undefined
        ? undefinedValue('the inline if-expression evaluated to false and no else section was defined')
        : evaluate(node.otherwise, scope);
  }
}

function named(name: string, scope: Scope): Value {
  const value = look(scope, name);
  return value === undefined ? undefinedValue(`'${name}' is undefined`) : value;
}

/** A dict of pairs; of equal keys the first stays, with the last value. */
export function dictOf(pairs: readonly (readonly [Value, Value])[]): Dict {
  const dict: Dict = new Map();
  for (const [key, value] of pairs) {
    if (isKind(key, 'tuple')) throw new TemplateError('a tuple as the key of a dict is not supported');
    dict.set(keyIn(dict, textOf(key) ?? key), value);
  }
  return dict;
}

function sliceOf(value: Value, bounds: readonly (Expression | undefined)[], scope: Scope): Value {
  const [start = null, stop = null, step = null] = bounds.map((one) =>
    one === undefined ? null : evaluate(one, scope),
  );
  refuseUndefined(value);
  return slice(value, [start, stop, step]);
}

function comparison(first: Expression, rest: readonly (readonly [Comparison, Expression])[], scope: Scope): boolean {
  let left = evaluate(first, scope);
  for (const [operator, node] of rest) {
    const right = evaluate(node, scope);
    if (!holds(operator, left, right)) return false;
    left = right;
  }
  return true;
}

function holds(operator: Comparison, left: Value, right: Value): boolean {
  if (operator === '==') return isEqual(left, right);
  if (operator === '!=') return !isEqual(left, right);
  if (operator === 'in') return contains(right, left);
  if (operator === 'not in') return !contains(right, left);
  const order = compare(left, right, operator);
  if (operator === '<') return order < 0;
  if (operator === '<=') return order <= 0;
  return operator === '>' ? order > 0 : order >= 0;
}

/** Calls a function, a macro or a method. */
export function call(callee: Value, args: Arguments): Value {
  refuseUndefined(callee);
  if (isKind(callee, 'function') || (isKind(callee, 'object') && callee.call !== undefined)) {
    return (callee.call as NonNullable<typeof callee.call>)(args);
  }
  throw new TemplateError(`'${typeName(callee)}' object is not callable`);
}

export function argumentsOf(args: CallArguments, scope: Scope): Arguments {
  const positional = args.positional.map((one) => evaluate(one, scope));
  const named = new Map(args.named.map(([name, one]) => [name, evaluate(one, scope)]));
  if (args.spread !== undefined) positional.push(...iterate(evaluate(args.spread, scope)));
  if (args.spreadNamed !== undefined) {
    const more = evaluate(args.spreadNamed, scope);
    if (!isDict(more)) throw new TemplateError('what stands behind ** must be a mapping');
    for (const [name, value] of more) named.set(textOf(name) ?? repr(name), value);
  }
  return { positional, named };
}
