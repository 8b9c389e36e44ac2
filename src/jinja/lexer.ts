/** Template text as tokens, with the white space that tags take away: trim_blocks and lstrip_blocks are on. */

import { TemplateError } from './template-error.ts';
import { PYTHON_SPACE, strip } from './text.ts';

/** `text` is output as it is; `{{ }}` and `{% %}` are `begin` and `end` tokens; the rest stands between them. */
export interface Token {
  readonly kind: 'text' | 'begin' | 'end' | 'name' | 'string' | 'integer' | 'float' | 'operator' | 'eof';
  /** The text, the decoded string, the number's digits, or the operator; "%" or "{" of tags. */
  readonly value: string;
  readonly line: number;
}

const S = PYTHON_SPACE;
const SPACE = new RegExp(`${S}+`, 'y');
const BLANK = new RegExp(`^${S}*$`);
const TAG = /\{[%{#]/g;
const SIGN = /[-+]?/y;
const RAW = new RegExp(`\\{%[-+]?${S}*raw${S}*(?:-%\\}${S}*|%\\})`, 'y');
const RAW_END = new RegExp(`\\{%([-+]?)${S}*endraw${S}*(?:\\+%\\}|-%\\}${S}*|%\\}\\n?)`, 'g');
const COMMENT_END = new RegExp(`\\+#\\}|-#\\}${S}*|#\\}\\n?`, 'g');
const BLOCK_END = new RegExp(`\\+%\\}|-%\\}${S}*|%\\}\\n?`, 'y');
const OUTPUT_END = new RegExp(`-\\}\\}${S}*|\\}\\}`, 'y');
const TOKENS = [
  ['float', /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy],
  ['integer', /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy],
  ['name', /[\p{L}\p{N}_]+/uy],
  ['string', /'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"/sy],
  ['operator', /\/\/|\*\*|[=!<>]=|[-+*/%~[\](){}<>=.:|,;]/y],
] as const;
const CLOSING: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };

/**
 * Cuts a template as jinja2's lexer does under transformers' settings: line ends become "\n" and the last one is dropped, a
 * block or comment takes the line end after it and the indentation before it, "-" takes all white space, "+" none.
 * @throws TemplateError where a tag is not closed or a character belongs to no token
 */
export function tokenize(template: string): Token[] {
  const source = template.replace(/\r\n|\r/g, '\n').replace(/\n$/, '');
  const tokens: Token[] = [];
  const line = lineCounter(source);
  let at = 0;
  const text = (end: number, sign: string, isOutput: boolean): void => {
    const value = before(source.slice(at, end), sign, isOutput, at === 0 || source[at - 1] === '\n');
    if (value !== '') tokens.push({ kind: 'text', value, line: line(at) });
  };
  for (;;) {
    TAG.lastIndex = at;
    const start = TAG.exec(source)?.index;
    if (start === undefined) break;
    const kind = source[start + 1] as string;
    const sign = match(SIGN, source, start + 2) ?? '';
    text(start, sign, kind === '{');
    const raw = match(RAW, source, start);
    if (raw !== undefined) {
      at = start + raw.length;
      const end = found(RAW_END, source, at, line(start), 'raw block');
      text(end.index, end[1] ?? '', false);
      at = end.index + end[0].length;
    } else if (kind === '#') {
      const end = found(COMMENT_END, source, start + 2, line(start), 'comment');
      at = end.index + end[0].length;
    } else {
      at = tag(source, start + 2 + sign.length, { kind, start: line(start), line, tokens });
    }
  }
  text(source.length, '+', false);
  return [...tokens, { kind: 'eof', value: '', line: line(source.length) }];
}

/** Text as it stands before a tag. */
function before(text: string, sign: string, isOutput: boolean, isLineStart: boolean): string {
  if (sign === '-') return strip(text, 'right', null);
  if (sign === '+' || isOutput) return text;
  const start = text.lastIndexOf('\n') + 1;
  return (start > 0 || isLineStart) && BLANK.test(text.slice(start)) ? text.slice(0, start) : text;
}

/** Reads a tag's tokens and returns where it ends. */
function tag(
  source: string,
  from: number,
  { kind, start, line, tokens }: { kind: string; start: number; line: (at: number) => number; tokens: Token[] },
): number {
  tokens.push({ kind: 'begin', value: kind, line: start });
  const open: string[] = [];
  let at = from;
  while (at < source.length) {
    const end = open.length === 0 ? match(kind === '%' ? BLOCK_END : OUTPUT_END, source, at) : undefined;
    if (end !== undefined) {
      tokens.push({ kind: 'end', value: kind, line: line(at) });
      return at + end.length;
    }
    const space = match(SPACE, source, at);
    if (space !== undefined) {
      at += space.length;
      continue;
    }
    const [name, value] = token(source, at, line);
    if (name === 'operator' && value in CLOSING) open.push(CLOSING[value] as string);
    else if (name === 'operator' && ')]}'.includes(value) && open.pop() !== value) {
      throw new TemplateError(`unexpected "${value}"`, line(at));
    }
    tokens.push({ kind: name, value: name === 'string' ? unescaped(value, line(at)) : value, line: line(at) });
    at += value.length;
  }
  throw new TemplateError(`a tag "{${kind}" is not closed`, start);
}

function token(source: string, at: number, line: (at: number) => number): readonly [Token['kind'], string] {
  for (const [name, pattern] of TOKENS) {
    const value = match(pattern, source, at);
    if (value !== undefined) return [name, value];
  }
  throw new TemplateError(`unexpected character ${JSON.stringify(source[at])}`, line(at));
}

function match(pattern: RegExp, source: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(source)?.[0];
}

function found(pattern: RegExp, source: string, at: number, line: number, what: string): RegExpExecArray {
  pattern.lastIndex = at;
  const end = pattern.exec(source);
  if (end === null) throw new TemplateError(`a ${what} is not closed`, line);
  return end;
}

/** Line of a position; positions are asked for in order, but for the starts of tags. */
function lineCounter(source: string): (at: number) => number {
  const ends: number[] = [];
  for (let at = source.indexOf('\n'); at !== -1; at = source.indexOf('\n', at + 1)) ends.push(at);
  return (at) => {
    let [low, high] = [0, ends.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((ends[middle] as number) < at) low = middle + 1;
      else high = middle;
    }
    return low + 1;
  };
}

const SIMPLE: Readonly<Record<string, string>> = {
  '\n': '',
  '\\': '\\',
  "'": "'",
  '"': '"',
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/** A string literal's text, with Python's escapes; unknown ones stay as they are. */
function unescaped(literal: string, line: number): string {
  const pattern = /\\(?:([0-7]{1,3})|x([\da-f]{2})|u([\da-f]{4})|U([\da-f]{8})|([\s\S]))/gi;
  return literal.slice(1, -1).replace(pattern, (whole, octal, x, u, large, one: string | undefined) => {
    if (one === undefined) {
      const code = octal === undefined ? Number.parseInt(x ?? u ?? large, 16) : Number.parseInt(octal, 8);
      if (code > 0x10ffff) throw new TemplateError(`${whole}: there is no such character`, line);
      return String.fromCodePoint(code);
    }
    if ('xuUN'.includes(one)) throw new TemplateError(`the escape ${whole} is not complete, or not supported`, line);
    return SIMPLE[one] ?? whole;
  });
}
