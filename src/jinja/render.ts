/** Statements, carried out. */
import { applyFilter, argumentsOf, call, evaluate } from './evaluate.ts';
import { choose, openLoop } from './loop.ts';
import { show } from './printing.ts';
import { look, openScope, type Scope } from './scope.ts';
import type { BlockFilters, Body, Expression, Macro, Statement, Target } from './syntax.ts';
import { TemplateError } from './template-error.ts';
import {
  type Arguments,
  type Call,
  functionValue,
  isKind,
  isTrue,
  iterate,
  tuple,
  undefinedValue,
  type Value,
} from './values.ts';

/** How a body ended: at its end, or at a tag that leaves or goes on with the loop. */
type End = 'end' | 'break' | 'continue';

/** Pieces of a text; of the outermost also which of them stand in {% generation %}. */
export interface Output extends Array<string> {
  generated?: Set<number>;
}

/** Renders a body into `out`. @throws TemplateError as Python raises errors, with the line */
export function render(body: Body, scope: Scope, out: Output): End {
  for (const statement of body) {
    const end = carryOut(statement, scope, out);
    if (end !== 'end') return end;
  }
  return 'end';
}

function textOfBody(body: Body, scope: Scope): string {
  const out: string[] = [];
  render(body, scope, out);
  return out.join('');
}

function carryOut(node: Statement, scope: Scope, out: Output): End {
  switch (node.type) {
    case 'text':
      out.push(node.text);
      return 'end';
    case 'output':
      out.push(printed(node.value, scope));
      return 'end';
    case 'if': {
      const branch = node.branches.find(([condition]) => condition === undefined || isTrue(evaluate(condition, scope)));
      return branch === undefined ? 'end' : render(branch[1], scope, out);
    }
    case 'for':
      return loop(node, evaluate(node.iterable, scope), scope, out, 0);
    case 'set':
      assign(node.target, evaluate(node.value, scope), scope);
      return 'end';
    case 'set-block':
      assign(node.target, filtered(textOfBody(node.body, openScope(scope)), node.filters, scope), scope);
      return 'end';
    case 'with': {
      const inner = openScope(scope);
      // Values are those of the outside, whatever stands before them.
      const values = node.values.map(([target, value]) => [target, evaluate(value, scope)] as const);
      for (const [target, value] of values) assign(target, value, inner);
      return render(node.body, inner, out);
    }
    case 'macro':
      scope.names.set(node.name, macro(node.name, node.macro, scope));
      return 'end';
    case 'call-block':
      out.push(show(callBlock(node, scope)));
      return 'end';
    case 'filter-block':
      out.push(show(filtered(textOfBody(node.body, openScope(scope)), node.filters, scope)));
      return 'end';
    case 'generation':
      out.generated?.add(out.length);
      out.push(textOfBody(node.body, openScope(scope)));
      return 'end';
    case 'break':
    case 'continue':
      return node.type;
  }
}

function printed(node: Expression, scope: Scope): string {
  const value = evaluate(node, scope);
  try {
    return show(value);
  } catch (error) {
    if (error instanceof TemplateError) error.line ??= node.line;
    throw error;
  }
}

type For = Extract<Statement, { type: 'for' }>;

function loop(node: For, sequence: Value, scope: Scope, out: Output, depth: number): End {
  const { condition, target } = node;
  const meets = (item: Value): boolean => {
    if (condition === undefined) return true;
    const inner = openScope(scope);
    assign(target, item, inner);
    return isTrue(evaluate(condition, inner));
  };
  const recurse: Call = ({ positional: [items] }) => {
    const inner: string[] = [];
    loop(node, items ?? null, scope, inner, depth + 1);
    return inner.join('');
  };
  const isPlain = condition === undefined && (Array.isArray(sequence) || typeof sequence === 'string');
  const elements = located(node, () => (isPlain ? iterate(sequence) : choose(iterable(sequence), meets)));
  const open = openLoop(
    condition === undefined ? sequence : null,
    elements,
    depth,
    node.isRecursive ? recurse : undefined,
  );
  let isEmpty = true;
  for (let one = located(node, open.next); one !== false; one = located(node, open.next)) {
    isEmpty = false;
    const inner = openScope(scope, [['loop', open.value]]);
    assign(target, one.item, inner);
    if (render(node.body, inner, out) === 'break') return 'end';
  }
  return isEmpty ? render(node.otherwise, openScope(scope), out) : 'end';
}

/** Checked before the first element is asked for. */
function iterable(value: Value): Value {
  iterate(value);
  return value;
}

/** Gives errors of a statement's own its line. */
function located<T>({ line }: { line: number }, of: () => T): T {
  try {
    return of();
  } catch (error) {
    if (error instanceof TemplateError) error.line ??= line;
    throw error;
  }
}

function assign(target: Target, value: Value, scope: Scope): void {
  if (target.type === 'name') {
    scope.names.set(target.name, value);
    return;
  }
  if (target.type === 'field') {
    const object = look(scope, target.object);
    if (object === undefined || !isKind(object, 'namespace')) {
      throw new TemplateError('cannot assign attribute on non-namespace object', target.line);
    }
    object.fields.set(target.field, value);
    return;
  }
  const items = located(target, () => [...iterate(value)]);
  if (items.length !== target.items.length) {
    const what = items.length < target.items.length ? 'not enough' : 'too many';
    throw new TemplateError(`${what} values to unpack (expected ${target.items.length})`, target.line);
  }
  for (const [i, one] of target.items.entries()) assign(one, items[i] as Value, scope);
}

function filtered(text: Value, filters: BlockFilters, scope: Scope): Value {
  return filters.reduce((value, { name, args, line }) => {
    return located({ line }, () => applyFilter(name, value, argumentsOf(args, scope)));
  }, text);
}

function macro(name: string, { parameters, body, takesMore, takesNames }: Macro, scope: Scope): Value {
  return functionValue(name, ({ positional, named }) => {
    const inner = openScope(scope);
    const rest = new Map(named);
    const caller = rest.get('caller');
    rest.delete('caller');
    for (const [i, [parameter, otherwise]] of parameters.entries()) {
      const isPositional = i < positional.length;
      const given = isPositional ? positional[i] : rest.get(parameter);
      if (isPositional && rest.has(parameter)) {
        throw new TemplateError(`macro '${name}' got multiple values for argument '${parameter}'`);
      }
      rest.delete(parameter);
      inner.names.set(parameter, given !== undefined ? given : defaultOf(parameter, otherwise, inner));
    }
    if (caller !== undefined) inner.names.set('caller', caller);
    if (positional.length > parameters.length && !takesMore) {
      throw new TemplateError(`macro '${name}' takes not more than ${parameters.length} argument(s)`);
    }
    if (rest.size > 0 && !takesNames) {
      throw new TemplateError(`macro '${name}' takes no keyword argument '${[...rest.keys()][0]}'`);
    }
    if (takesMore) inner.names.set('varargs', tuple(...positional.slice(parameters.length)));
    if (takesNames) inner.names.set('kwargs', new Map(rest));
    return textOfBody(body, inner);
  });
}

function defaultOf(parameter: string, otherwise: Expression | undefined, scope: Scope): Value {
  if (otherwise !== undefined) return evaluate(otherwise, scope);
  return undefinedValue(`parameter '${parameter}' was not provided`);
}

function callBlock(node: Extract<Statement, { type: 'call-block' }>, scope: Scope): Value {
  const { call: target } = node;
  if (target.type !== 'call') throw new TemplateError('expected a call', node.line);
  const caller = macro('caller', node.macro, scope);
  const given = argumentsOf(target.args, scope);
  const args: Arguments = { positional: given.positional, named: new Map([...given.named, ['caller', caller]]) };
  return located(node, () => call(evaluate(target.callee, scope), args));
}
