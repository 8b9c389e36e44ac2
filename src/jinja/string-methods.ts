/** The methods of Python's str. */
import { integerArgument, required, take, textArgument, textsArgument } from './arguments.ts';
import { formatBraces } from './format.ts';
import { show } from './printing.ts';
import { TemplateError } from './template-error.ts';
import { capitalize, characters, escapeHtml, replaceText, split, splitLines, strip, titleCase } from './text.ts';
import { type Arguments, functionValue, isKind, iterate, textOf, tuple, type Value } from './values.ts';

type Method = (text: string, args: Arguments) => Value;

/** A method without arguments. */
const plain = (name: string, of: (text: string) => Value): Method => {
  return (text, args) => {
    take(name, [], args);
    return of(text);
  };
};

const stripper = (name: string, sides: 'left' | 'right' | 'both'): Method => {
  return (text, args) => {
    const [chars = null] = take(name, ['chars'], args);
    return strip(text, sides, chars === null ? null : textArgument(name, chars));
  };
};

const splitter = (name: string, fromRight: boolean): Method => {
  return (text, args) => {
    const [sep = null, most] = take(name, ['sep', 'maxsplit'], args);
    const separator = sep === null ? null : textArgument(name, sep);
    if (separator === '') throw new TemplateError('empty separator');
    return split(text, separator, integerArgument(name, most, -1), fromRight);
  };
};

/** The part of a text that start and end leave, and where it begins. */
function window(
  name: string,
  text: string,
  start: Value | undefined,
  end: Value | undefined,
): [string, number] | undefined {
  const all = characters(text);
  const bound = (value: Value | undefined, otherwise: number): number => {
    const at = integerArgument(name, value ?? undefined, otherwise);
    return at < 0 ? Math.max(0, at + all.length) : at;
  };
  const [from, to] = [bound(start ?? undefined, 0), bound(end ?? undefined, all.length)];
  return from > all.length ? undefined : [all.slice(from, Math.max(from, to)).join(''), from];
}

const finder = (name: string, isLast: boolean, isStrict: boolean): Method => {
  return (text, args) => {
    const [sub, start, end] = take(name, ['sub', 'start', 'end'], args);
    const part = textArgument(name, sub);
    const found = window(name, text, start, end);
    const at = found === undefined ? -1 : isLast ? found[0].lastIndexOf(part) : found[0].indexOf(part);
    if (at === -1 && isStrict) throw new TemplateError('substring not found');
    return BigInt(at === -1 ? -1 : characters((found?.[0] ?? '').slice(0, at)).length + (found?.[1] ?? 0));
  };
};

const edge = (name: string, matches: (text: string, part: string) => boolean): Method => {
  return (text, args) => {
    const [parts, start, end] = take(name, ['prefix', 'start', 'end'], args);
    const found = window(name, text, start, end);
    return textsArgument(name, parts).some((part) => found !== undefined && matches(found[0], part));
  };
};

const padder = (name: string, left: (lack: number, width: number) => number): Method => {
  return (text, args) => {
    const [width, fill = ' '] = take(name, ['width', 'fillchar'], args);
    const wide = integerArgument(name, required(name, 'width', width), 0);
    const lack = Math.max(0, wide - characters(text).length);
    const before = left(lack, wide);
    const character = textArgument(name, fill);
    return character.repeat(before) + text + character.repeat(lack - before);
  };
};

const partitioner = (name: string, isLast: boolean): Method => {
  return (text, args) => {
    const sep = textArgument(name, take(name, ['sep'], args)[0]);
    const at = isLast ? text.lastIndexOf(sep) : text.indexOf(sep);
    if (sep === '') throw new TemplateError('empty separator');
    if (at === -1) return isLast ? tuple('', '', text) : tuple(text, '', '');
    return tuple(text.slice(0, at), sep, text.slice(at + sep.length));
  };
};

/** True where the text has characters and every one matches. */
const all = (name: string, pattern: RegExp): Method => plain(name, (text) => pattern.test(text));

/** True where letters of one case are there, and none of the other. */
const cased = (name: string, is: RegExp, not: RegExp): Method =>
  plain(name, (text) => is.test(text) && !not.test(text));

function swapCase(text: string): string {
  return Array.from(text, (one) => (one === one.toLowerCase() ? one.toUpperCase() : one.toLowerCase())).join('');
}

function joinTexts(text: string, args: Arguments): Value {
  const [items] = take('join', ['iterable'], args);
  const texts = Array.from(iterate(required('join', 'iterable', items)), (item, i) => {
    const one = textOf(item);
    if (one === undefined) throw new TemplateError(`sequence item ${i}: expected str instance, ${show(item)} found`);
    return one;
  });
  return texts.join(text);
}

function zeroFill(text: string, args: Arguments): Value {
  const width = integerArgument('zfill', take('zfill', ['width'], args)[0], 0);
  const [, sign = '', digits = ''] = /^([+-]?)([\s\S]*)$/.exec(text) ?? [];
  return sign + '0'.repeat(Math.max(0, width - characters(text).length)) + digits;
}

function expandTabs(text: string, args: Arguments): Value {
  const size = integerArgument('expandtabs', take('expandtabs', ['tabsize'], args)[0], 8);
  let column = 0;
  return Array.from(text, (one) => {
    if (one !== '\t') {
      column = one === '\n' || one === '\r' ? 0 : column + 1;
      return one;
    }
    const width = size > 0 ? size - (column % size) : 0;
    column += width;
    return ' '.repeat(width);
  }).join('');
}

const METHODS: Readonly<Record<string, Method>> = {
  capitalize: plain('capitalize', capitalize),
  casefold: plain('casefold', (text) => text.toLowerCase().replaceAll('ß', 'ss')),
  center: padder('center', (lack, width) => (lack >> 1) + (lack & width & 1)),
  count: (text, args) => {
    const [sub, start, end] = take('count', ['sub', 'start', 'end'], args);
    const part = textArgument('count', sub);
    const found = window('count', text, start, end);
    if (found === undefined) return 0n;
    return BigInt(part === '' ? characters(found[0]).length + 1 : found[0].split(part).length - 1);
  },
  endswith: edge('endswith', (text, part) => text.endsWith(part)),
  expandtabs: expandTabs,
  find: finder('find', false, false),
  index: finder('index', false, true),
  isalnum: all('isalnum', /^[\p{L}\p{N}]+$/u),
  isalpha: all('isalpha', /^\p{L}+$/u),
  isascii: plain('isascii', (text) => !/[\u0080-\uffff]/.test(text)),
  isdecimal: all('isdecimal', /^\p{Nd}+$/u),
  isdigit: all('isdigit', /^[\p{Nd}\u00b2\u00b3\u00b9\u2070\u2074-\u2079\u2080-\u2089\u2460-\u2468]+$/u),
  islower: cased('islower', /\p{Ll}/u, /[\p{Lu}\p{Lt}]/u),
  isnumeric: all('isnumeric', /^\p{N}+$/u),
  isspace: plain('isspace', (text) => text !== '' && strip(text, 'both', null) === ''),
  istitle: plain('istitle', (text) => /\p{Lu}/u.test(text) && titleCase(text) === text),
  isupper: cased('isupper', /\p{Lu}/u, /[\p{Ll}\p{Lt}]/u),
  join: joinTexts,
  ljust: padder('ljust', () => 0),
  lower: plain('lower', (text) => text.toLowerCase()),
  lstrip: stripper('lstrip', 'left'),
  partition: partitioner('partition', false),
  removeprefix: (text, args) => {
    const part = textArgument('removeprefix', take('removeprefix', ['prefix'], args)[0]);
    return text.startsWith(part) ? text.slice(part.length) : text;
  },
  removesuffix: (text, args) => {
    const part = textArgument('removesuffix', take('removesuffix', ['suffix'], args)[0]);
    return part !== '' && text.endsWith(part) ? text.slice(0, -part.length) : text;
  },
  replace: (text, args) => {
    const [old, fresh, count] = take('replace', ['old', 'new', 'count'], args);
    const most = integerArgument('replace', count, -1);
    return replaceText(text, textArgument('replace', old), textArgument('replace', fresh), most);
  },
  rfind: finder('rfind', true, false),
  rindex: finder('rindex', true, true),
  rjust: padder('rjust', (lack) => lack),
  rpartition: partitioner('rpartition', true),
  rsplit: splitter('rsplit', true),
  rstrip: stripper('rstrip', 'right'),
  split: splitter('split', false),
  splitlines: (text, args) => splitLines(text, take('splitlines', ['keepends'], args)[0] === true),
  startswith: edge('startswith', (text, part) => text.startsWith(part)),
  strip: stripper('strip', 'both'),
  swapcase: plain('swapcase', swapCase),
  title: plain('title', titleCase),
  upper: plain('upper', (text) => text.toUpperCase()),
  zfill: zeroFill,
};

/**
 * A method of a text, bound to it; undefined where str has none of this name.
 * @param look an attribute or element of a value, for `format`
 */
export function stringMethod(
  value: Value,
  name: string,
  look: (value: Value, name: Value) => Value,
): Value | undefined {
  const text = textOf(value) ?? '';
  const isMarkup = isKind(value, 'markup');
  if (name === 'format') {
    if (isMarkup) throw new TemplateError('format of a text that was marked as HTML is not supported');
    return functionValue(name, (args) => formatBraces(text, args, look));
  }
  const method = Object.hasOwn(METHODS, name) ? METHODS[name] : undefined;
  if (method === undefined) return undefined;
  return functionValue(name, (args) =>
    isMarkup ? marked(method(text, name === 'replace' ? escapeNew(args) : args)) : method(text, args),
  );
}

/** The result of a method of Markup: every text in it is Markup. */
function marked(value: Value): Value {
  if (typeof value === 'string') return { kind: 'markup', text: value };
  if (Array.isArray(value)) return value.map(marked);
  return isKind(value, 'tuple') ? tuple(...value.items.map(marked)) : value;
}

/** Markup.replace escapes what it puts in. */
function escapeNew({ positional, named }: Arguments): Arguments {
  const escaped = (value: Value): Value => (typeof value === 'string' ? escapeHtml(value) : value);
  return {
    positional: positional.map((value, i) => (i === 1 ? escaped(value) : value)),
    named: new Map([...named].map(([name, value]) => [name, name === 'new' ? escaped(value) : value])),
  };
}
