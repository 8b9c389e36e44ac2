/** Tokens one after the other, for the parsers; and what they find that cannot be rendered. */
import type { Token } from './lexer.ts';
import { TemplateError } from './template-error.ts';

export interface TokenStream {
  current(): Token;
  /** The current token, which is then passed. */
  next(): Token;
  /** True where the current token is of this kind, and value. */
  is(kind: Token['kind'], value?: string): boolean;
  /** Passes the current token where it is of this kind and value. */
  skip(kind: Token['kind'], value?: string): boolean;
  /** @throws TemplateError where the current token is another */
  expect(kind: Token['kind'], value?: string): Token;
  /** @throws TemplateError with the current token's line */
  fail(message: string): never;
  /** How many tokens were passed. */
  position(): number;
  /** True where a name stands among the tokens from a position on that were passed. */
  passed(name: string, from: number): boolean;
  /** Reads with another number of loops around, which `break` and `continue` need. */
  inLoops<T>(change: (loops: number) => number, read: () => T): T;
  loops(): number;
  /** Notes what Python can render and this cannot. */
  refuse(what: string, line: number): void;
  /** All that was noted. */
  refused(): readonly TemplateError[];
}

export function tokenStream(tokens: readonly Token[]): TokenStream {
  let at = 0;
  let loops = 0;
  const refused: TemplateError[] = [];
  const current = (): Token => tokens[Math.min(at, tokens.length - 1)] as Token;
  const next = (): Token => {
    const token = current();
    at++;
    return token;
  };
  const is = (kind: Token['kind'], value?: string): boolean => {
    const token = current();
    return token.kind === kind && (value === undefined || token.value === value);
  };
  const fail = (message: string): never => {
    throw new TemplateError(message, current().line);
  };
  return {
    current,
    next,
    is,
    skip: (kind, value) => {
      const found = is(kind, value);
      if (found) at++;
      return found;
    },
    expect: (kind, value) => {
      if (!is(kind, value))
        return fail(`expected ${described(kind, value)}, received ${described(current().kind, current().value)}`);
      return next();
    },
    fail,
    position: () => at,
    passed: (name, from) => tokens.slice(from, at).some(({ kind, value }) => kind === 'name' && value === name),
    loops: () => loops,
    inLoops: (change, read) => {
      const before = loops;
      loops = change(loops);
      const found = read();
      loops = before;
      return found;
    },
    refuse: (what, line) => refused.push(new TemplateError(what, line)),
    refused: () => refused,
  };
}

function described(kind: Token['kind'], value: string | undefined): string {
  if (kind === 'eof') return 'the end of the template';
  if (kind === 'begin') return value === '%' ? '"{%"' : value === '{' ? '"{{"' : 'a tag';
  if (kind === 'end') return value === '%' ? '"%}"' : value === '{' ? '"}}"' : 'the end of the tag';
  return value === undefined ? `a ${kind}` : JSON.stringify(value);
}
