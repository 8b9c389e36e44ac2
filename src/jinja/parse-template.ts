/** Templates: text, output and statements. */
import { tokenize } from './lexer.ts';
import { parseArguments, parseExpression, parseFilterNames, parseTuple } from './parse-expression.ts';
import type { Body, Expression, Macro, Parameter, Statement, Target } from './syntax.ts';
import { TemplateError } from './template-error.ts';
import { type TokenStream, tokenStream } from './token-stream.ts';

/** Tags of jinja2 that load other templates or change how text is escaped. */
const MISSING_TAGS: readonly string[] = ['autoescape', 'block', 'extends', 'from', 'import', 'include', 'print'];

/**
 * Reads a template.
 * @returns its statements, and an error for everything in it that Python can render and this cannot
 * @throws TemplateError where it is no template
 */
export function parseTemplate(source: string): { body: Body; refused: readonly TemplateError[] } {
  const tokens = tokenStream(tokenize(source));
  const body = parseBody(tokens, []);
  return { body, refused: tokens.refused() };
}

/** Statements up to a tag with one of these names; the tag's beginning and name are passed, its end is not. */
function parseBody(tokens: TokenStream, ends: readonly string[]): Body {
  const body: Statement[] = [];
  for (;;) {
    const { kind, value, line } = tokens.next();
    if (kind === 'eof') {
      if (ends.length === 0) return body;
      throw new TemplateError(`expected ${ends.map((end) => `{% ${end} %}`).join(' or ')}, received the end`, line);
    }
    if (kind === 'text') body.push({ type: 'text', text: value, line });
    else if (kind === 'begin' && value === '{') {
      body.push({ type: 'output', value: parseTuple(tokens), line });
      tokens.expect('end', '{');
    } else {
      if (tokens.current().kind === 'name' && ends.includes(tokens.current().value)) return body;
      const statement = parseStatement(tokens, line);
      tokens.expect('end', '%');
      if (statement !== undefined) body.push(statement);
    }
  }
}

/** A block's body with its closing tag, but for that tag's end; a loop outside cannot be left from within. */
function parseBlock(tokens: TokenStream, end: string, loops = (_: number): number => 0): Body {
  tokens.expect('end', '%');
  const body = tokens.inLoops(loops, () => parseBody(tokens, [end]));
  tokens.next();
  return body;
}

type Parser = (tokens: TokenStream, line: number) => Statement | undefined;

const STATEMENTS: Readonly<Record<string, Parser>> = {
  if: parseIf,
  for: parseFor,
  set: parseSet,
  with: (tokens, line) => {
    const values: [Target, Expression][] = [];
    while (!tokens.is('end')) {
      if (values.length > 0) tokens.expect('operator', ',');
      const target = parseTarget(tokens);
      tokens.expect('operator', '=');
      values.push([target, parseExpression(tokens)]);
    }
    return { type: 'with', values, body: parseBlock(tokens, 'endwith', (loops) => loops), line };
  },
  macro: (tokens, line) => {
    const name = tokens.expect('name').value;
    return { type: 'macro', name, macro: parseMacro(tokens, parseParameters(tokens), 'endmacro'), line };
  },
  call: (tokens, line) => {
    const parameters = tokens.is('operator', '(') ? parseParameters(tokens) : [];
    const call = parseExpression(tokens);
    if (call.type !== 'call') throw new TemplateError('expected a call', line);
    return { type: 'call-block', call, macro: parseMacro(tokens, parameters, 'endcall'), line };
  },
  filter: (tokens, line) => {
    return { type: 'filter-block', filters: parseFilterNames(tokens), body: parseBlock(tokens, 'endfilter'), line };
  },
  generation: (tokens, line) => ({ type: 'generation', body: parseBlock(tokens, 'endgeneration'), line }),
  break: (tokens, line) => leave(tokens, 'break', line),
  continue: (tokens, line) => leave(tokens, 'continue', line),
};

function parseStatement(tokens: TokenStream, line: number): Statement | undefined {
  const { value: name } = tokens.expect('name');
  const parse = Object.hasOwn(STATEMENTS, name) ? STATEMENTS[name] : undefined;
  if (parse !== undefined) return parse(tokens, line);
  if (MISSING_TAGS.includes(name)) throw new TemplateError(`the tag {% ${name} %} is not supported`, line);
  throw new TemplateError(`{% ${name} %} is not expected here, or there is no such tag`, line);
}

function leave(tokens: TokenStream, type: 'break' | 'continue', line: number): Statement {
  if (tokens.loops() === 0)
    throw new TemplateError(`{% ${type} %} stands outside a loop, or within a block of text in it`, line);
  return { type, line };
}

function parseIf(tokens: TokenStream, line: number): Statement {
  const branches: [Expression | undefined, Body][] = [];
  let condition: Expression | undefined = parseTuple(tokens, false);
  for (;;) {
    tokens.expect('end', '%');
    const isLast = condition === undefined;
    branches.push([condition, parseBody(tokens, isLast ? ['endif'] : ['elif', 'else', 'endif'])]);
    const { value: next } = tokens.next();
    if (next === 'endif') return { type: 'if', branches, line };
    condition = next === 'elif' ? parseTuple(tokens, false) : undefined;
  }
}

function parseFor(tokens: TokenStream, line: number): Statement {
  const target = parseTargets(tokens, () => tokens.is('name', 'in'));
  tokens.expect('name', 'in');
  const iterable = parseTuple(tokens, false, () => tokens.is('name', 'recursive'));
  const condition = tokens.skip('name', 'if') ? parseExpression(tokens) : undefined;
  const isRecursive = tokens.skip('name', 'recursive');
  tokens.expect('end', '%');
  const body = tokens.inLoops(
    (loops) => loops + 1,
    () => parseBody(tokens, ['endfor', 'else']),
  );
  const otherwise = tokens.next().value === 'else' ? parseBlock(tokens, 'endfor', (loops) => loops) : [];
  return { type: 'for', target, iterable, condition, isRecursive, body, otherwise, line };
}

function parseSet(tokens: TokenStream, line: number): Statement {
  const target = parseTargets(tokens, () => tokens.is('operator', '=') || tokens.is('operator', '|'));
  if (tokens.skip('operator', '=')) return { type: 'set', target, value: parseTuple(tokens), line };
  const filters = tokens.is('operator', '|') ? parseFilterNames(tokens) : [];
  return { type: 'set-block', target, filters, body: parseBlock(tokens, 'endset'), line };
}

/** One target, or several with commas. */
function parseTargets(tokens: TokenStream, isEnd: () => boolean): Target {
  const { line } = tokens.current();
  const items = [parseTarget(tokens)];
  let isTuple = false;
  while (tokens.skip('operator', ',')) {
    isTuple = true;
    if (isEnd()) break;
    items.push(parseTarget(tokens));
  }
  return isTuple ? { type: 'targets', items, line } : (items[0] as Target);
}

function parseTarget(tokens: TokenStream): Target {
  if (tokens.skip('operator', '(')) {
    const inside = parseTargets(tokens, () => tokens.is('operator', ')'));
    tokens.expect('operator', ')');
    return inside;
  }
  const { value: name, line } = tokens.expect('name');
  if (['true', 'false', 'none', 'True', 'False', 'None'].includes(name)) {
    throw new TemplateError(`nothing can be assigned to ${name}`, line);
  }
  if (!tokens.skip('operator', '.')) return { type: 'name', name };
  return { type: 'field', object: name, field: tokens.expect('name').value, line };
}

function parseMacro(tokens: TokenStream, parameters: readonly Parameter[], end: string): Macro {
  const from = tokens.position();
  const body = parseBlock(tokens, end);
  return { parameters, body, takesMore: tokens.passed('varargs', from), takesNames: tokens.passed('kwargs', from) };
}

function parseParameters(tokens: TokenStream): Parameter[] {
  const { positional, named, spread, spreadNamed } = parseArguments(tokens);
  const names = positional.map((one): Parameter => {
    if (one.type !== 'name') throw new TemplateError('a parameter is no name', one.line);
    return [one.name, undefined];
  });
  if (spread !== undefined || spreadNamed !== undefined) tokens.fail('a macro takes no * in its parameters');
  return [...names, ...named];
}
