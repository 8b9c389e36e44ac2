/** Expressions of templates, by jinja2's grammar. */
import { unsupportedMethods } from './attributes.ts';
import { hasFilter, hasTest, isFilterOfPython } from './known-names.ts';
import { parseInteger } from './numbers.ts';
import type { BinaryOperator } from './operators.ts';
import type { BlockFilters, CallArguments, Comparison, Expression } from './syntax.ts';
import { TemplateError } from './template-error.ts';
import type { TokenStream } from './token-stream.ts';

const CONSTANTS: ReadonlyMap<string, boolean | null> = new Map([
  ...(['true', 'True'] as const).map((name) => [name, true] as const),
  ...(['false', 'False'] as const).map((name) => [name, false] as const),
  ...(['none', 'None'] as const).map((name) => [name, null] as const),
]);
const COMPARISONS: readonly string[] = ['==', '!=', '<', '<=', '>', '>='];
const LEVELS: readonly (readonly BinaryOperator[])[] = [
  ['+', '-'],
  ['*', '/', '//', '%'],
];

/** An expression; without `choices` an `if` does not belong to it (in the head of a loop). */
export function parseExpression(tokens: TokenStream, choices = true): Expression {
  let left = parseOr(tokens);
  while (choices && tokens.is('name', 'if')) {
    const { line } = tokens.next();
    const condition = parseOr(tokens);
    const otherwise = tokens.skip('name', 'else') ? parseExpression(tokens) : undefined;
    left = { type: 'choice', condition, chosen: left, otherwise, line };
  }
  return left;
}

/** One expression, or several with commas as a tuple. */
export function parseTuple(tokens: TokenStream, choices = true, isEnd = (): boolean => false): Expression {
  const { line } = tokens.current();
  const items: Expression[] = [];
  let isTuple = false;
  while (!(tokens.is('end') || tokens.is('operator', ')') || isEnd())) {
    items.push(parseExpression(tokens, choices));
    if (!tokens.skip('operator', ',')) break;
    isTuple = true;
  }
  const [only] = items;
  if (only === undefined) return tokens.fail('expected an expression');
  return isTuple ? { type: 'tuple', items, line } : only;
}

function parseOr(tokens: TokenStream): Expression {
  let left = parseAnd(tokens);
  while (tokens.is('name', 'or')) left = { line: tokens.next().line, type: 'or', left, right: parseAnd(tokens) };
  return left;
}

function parseAnd(tokens: TokenStream): Expression {
  let left = parseNot(tokens);
  while (tokens.is('name', 'and')) left = { line: tokens.next().line, type: 'and', left, right: parseNot(tokens) };
  return left;
}

function parseNot(tokens: TokenStream): Expression {
  if (!tokens.is('name', 'not')) return parseComparison(tokens);
  return { line: tokens.next().line, type: 'not', operand: parseNot(tokens) };
}

function parseComparison(tokens: TokenStream): Expression {
  const first = parseSum(tokens);
  const rest: [Comparison, Expression][] = [];
  for (;;) {
    const { kind, value } = tokens.current();
    let operator: Comparison;
    if (kind === 'operator' && COMPARISONS.includes(value)) operator = tokens.next().value as Comparison;
    else if (tokens.skip('name', 'in')) operator = 'in';
    else if (tokens.is('name', 'not')) {
      tokens.next();
      tokens.expect('name', 'in');
      operator = 'not in';
    } else break;
    rest.push([operator, parseSum(tokens)]);
  }
  return rest.length === 0 ? first : { type: 'compare', first, rest, line: first.line };
}

/** + and - bind less than ~, and that less than the others. */
function parseSum(tokens: TokenStream, level = 0): Expression {
  const below = (): Expression => (level === 0 ? parseConcat(tokens) : parsePower(tokens));
  let left = below();
  for (;;) {
    const { kind, value, line } = tokens.current();
    const operator = kind === 'operator' ? LEVELS[level]?.find((one) => one === value) : undefined;
    if (operator === undefined) return left;
    tokens.next();
    left = { type: 'binary', operator, left, right: below(), line };
  }
}

function parseConcat(tokens: TokenStream): Expression {
  const items = [parseSum(tokens, 1)];
  while (tokens.skip('operator', '~')) items.push(parseSum(tokens, 1));
  const [first] = items as [Expression];
  return items.length === 1 ? first : { type: 'concat', items, line: first.line };
}

/** Powers are taken from the left, as jinja2 does. */
function parsePower(tokens: TokenStream): Expression {
  let left = parseUnary(tokens);
  while (tokens.is('operator', '**')) {
    const { line } = tokens.next();
    left = { type: 'binary', operator: '**', left, right: parseUnary(tokens), line };
  }
  return left;
}

function parseUnary(tokens: TokenStream, filters = true): Expression {
  const { kind, value, line } = tokens.current();
  let node: Expression;
  if (kind === 'operator' && (value === '-' || value === '+')) {
    tokens.next();
    node = { type: value, operand: parseUnary(tokens, false), line };
  } else node = parsePrimary(tokens);
  node = parsePostfix(tokens, node);
  return filters ? parseFilters(tokens, node) : node;
}

function parsePrimary(tokens: TokenStream): Expression {
  const { kind, value, line } = tokens.current();
  if (kind === 'name') {
    tokens.next();
    if (CONSTANTS.has(value)) return { type: 'constant', value: CONSTANTS.get(value) ?? null, line };
    if (value === 'lipsum' || value === 'self') tokens.refuse(`the name ${value} is not supported`, line);
    return { type: 'name', name: value, line };
  }
  if (kind === 'string') {
    let text = '';
    while (tokens.is('string')) text += tokens.next().value;
    return { type: 'constant', value: text, line };
  }
  if (kind === 'integer' || kind === 'float') {
    tokens.next();
    const plain = value.replaceAll('_', '');
    return { type: 'constant', value: kind === 'float' ? Number(plain) : (parseInteger(plain, 0) ?? 0n), line };
  }
  if (tokens.skip('operator', '(')) {
    if (tokens.skip('operator', ')')) return { type: 'tuple', items: [], line };
    const inside = parseTuple(tokens);
    tokens.expect('operator', ')');
    return inside;
  }
  if (tokens.skip('operator', '[')) return { type: 'list', items: parseItems(tokens, ']', parseExpression), line };
  if (tokens.skip('operator', '{')) return { type: 'dict', pairs: parseItems(tokens, '}', parsePair), line };
  return tokens.fail(
    `expected an expression, received ${kind === 'end' || kind === 'eof' ? 'the end' : JSON.stringify(value)}`,
  );
}

function parsePair(tokens: TokenStream): readonly [Expression, Expression] {
  const key = parseExpression(tokens);
  tokens.expect('operator', ':');
  return [key, parseExpression(tokens)];
}

function parseItems<T>(tokens: TokenStream, close: string, one: (tokens: TokenStream) => T): T[] {
  const items: T[] = [];
  while (!tokens.skip('operator', close)) {
    if (items.length > 0) tokens.expect('operator', ',');
    if (tokens.skip('operator', close)) break;
    items.push(one(tokens));
  }
  return items;
}

function parsePostfix(tokens: TokenStream, start: Expression): Expression {
  let node = start;
  for (;;) {
    const { line } = tokens.current();
    if (tokens.skip('operator', '.')) {
      const { kind, value } = tokens.next();
      if (kind === 'name') node = { type: 'attribute', object: node, name: value, line };
      else if (kind === 'integer') {
        node = { type: 'item', object: node, key: { type: 'constant', value: BigInt(value), line }, line };
      } else throw new TemplateError('expected a name or a number after the dot', line);
    } else if (tokens.skip('operator', '[')) node = parseSubscript(tokens, node, line);
    else if (tokens.is('operator', '(')) node = parseCall(tokens, node, line);
    else return node;
  }
}

function parseCall(tokens: TokenStream, callee: Expression, line: number): Expression {
  if (callee.type === 'attribute' && unsupportedMethods.has(callee.name)) {
    tokens.refuse(`the method ${callee.name} is not supported`, line);
  }
  return { type: 'call', callee, args: parseArguments(tokens), line };
}

function parseSubscript(tokens: TokenStream, object: Expression, line: number): Expression {
  const isBoundary = (): boolean =>
    tokens.is('operator', ':') || tokens.is('operator', ']') || tokens.is('operator', ',');
  const bounds: (Expression | undefined)[] = [isBoundary() ? undefined : parseExpression(tokens)];
  while (tokens.skip('operator', ':')) bounds.push(isBoundary() ? undefined : parseExpression(tokens));
  const [first] = bounds;
  if (bounds.length > 3 || (bounds.length === 1 && first === undefined)) return tokens.fail('expected an index');
  if (tokens.is('operator', ',')) return tokens.fail('an index of several parts is not supported');
  tokens.expect('operator', ']');
  if (bounds.length === 1 && first !== undefined) return { type: 'item', object, key: first, line };
  return { type: 'slice', object, bounds, line };
}

/** Arguments with their brackets. */
export function parseArguments(tokens: TokenStream): CallArguments {
  tokens.expect('operator', '(');
  const positional: Expression[] = [];
  const named: [string, Expression][] = [];
  const spreads: { spread?: Expression; spreadNamed?: Expression } = {};
  parseItems(tokens, ')', () => {
    if (tokens.skip('operator', '**')) spreads.spreadNamed = parseExpression(tokens);
    else if (tokens.skip('operator', '*')) spreads.spread = parseExpression(tokens);
    else {
      const value = parseExpression(tokens);
      if (value.type === 'name' && tokens.skip('operator', '=')) named.push([value.name, parseExpression(tokens)]);
      else if (named.length > 0) tokens.fail('an argument without a name follows one with a name');
      else positional.push(value);
    }
  });
  return { positional, named, ...spreads };
}

const NO_ARGUMENTS: CallArguments = { positional: [], named: [] };

function parseFilters(tokens: TokenStream, start: Expression): Expression {
  let node = start;
  for (;;) {
    const { line } = tokens.current();
    if (tokens.is('operator', '|')) {
      const [filter] = parseFilterNames(tokens, 1);
      if (filter !== undefined) node = { type: 'filter', input: node, ...filter };
    } else if (tokens.is('name', 'is')) node = parseTest(tokens, node, line);
    else if (tokens.is('operator', '(')) node = parseCall(tokens, node, line);
    else return node;
  }
}

/** `| name(...)`, again and again; the first bar may be missing (in `{% filter name %}`). */
export function parseFilterNames(tokens: TokenStream, most = Number.POSITIVE_INFINITY): BlockFilters {
  const filters: BlockFilters[number][] = [];
  while (filters.length < most && (tokens.skip('operator', '|') || (filters.length === 0 && tokens.is('name')))) {
    const { value: name, line } = tokens.expect('name');
    if (!hasFilter(name)) {
      if (!isFilterOfPython(name)) throw new TemplateError(`there is no filter "${name}"`, line);
      tokens.refuse(`the filter ${name} is not supported`, line);
    }
    filters.push({ name, line, args: tokens.is('operator', '(') ? parseArguments(tokens) : NO_ARGUMENTS });
  }
  return filters;
}

const ARGUMENT_STARTS: readonly string[] = ['name', 'string', 'integer', 'float'];

function parseTest(tokens: TokenStream, input: Expression, line: number): Expression {
  tokens.next();
  const isNegated = tokens.skip('name', 'not');
  const { value: name } = tokens.expect('name');
  if (!hasTest(name)) throw new TemplateError(`there is no test "${name}"`, line);
  let args = NO_ARGUMENTS;
  const { kind, value } = tokens.current();
  const isOpening = kind === 'operator' && (value === '[' || value === '{');
  if (tokens.is('operator', '(')) args = parseArguments(tokens);
  else if (
    (ARGUMENT_STARTS.includes(kind) && !(kind === 'name' && ['else', 'or', 'and'].includes(value))) ||
    isOpening
  ) {
    if (tokens.is('name', 'is')) tokens.fail('a test cannot follow a test');
    args = { positional: [parsePostfix(tokens, parsePrimary(tokens))], named: [] };
  }
  const test: Expression = { type: 'test', input, name, args, line };
  return isNegated ? { type: 'not', operand: test, line } : test;
}
