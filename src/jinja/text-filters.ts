/** Filters that give texts and numbers. */
import { integerArgument, required, take, textArgument } from './arguments.ts';
import { formatPercent } from './format.ts';
import { parseFloatText, parseInteger, round } from './numbers.ts';
import { like } from './operators.ts';
import { type JsonStyle, jsonText, show } from './printing.ts';
import { TemplateError } from './template-error.ts';
import { capitalize, center, characters, escapeHtml, replaceText, split, splitLines, strip } from './text.ts';
import {
  type Arguments,
  isKind,
  isTrue,
  isUndefined,
  lengthOf,
  numberOf,
  refuseUndefined,
  textOf,
  tuple,
  typeName,
  type Value,
} from './values.ts';

export type PlainFilter = (value: Value, args: Arguments) => Value;

/** A filter of a text without arguments; other values are written as texts first. */
const ofText = (name: string, change: (text: string) => string): PlainFilter => {
  return (value, args) => {
    take(name, [], args);
    return like(value, change(show(value)));
  };
};

const escaped: PlainFilter = (value) =>
  isKind(value, 'markup') ? value : { kind: 'markup', text: escapeHtml(show(value)) };

const otherwise: PlainFilter = (value, args) => {
  const [replacement = '', boolean = false] = take('default', ['default_value', 'boolean'], args);
  return isUndefined(value) || (isTrue(boolean) && !isTrue(value)) ? replacement : value;
};

const length: PlainFilter = (value, args) => {
  take('length', [], args);
  const found = lengthOf(value);
  if (found === undefined) throw new TemplateError(`object of type '${typeName(value)}' has no len()`);
  return BigInt(found);
};

/** jinja2's title: what follows a space, a hyphen or an opening bracket is large. */
function titled(text: string): string {
  return text
    .split(/([-\s({[<]+)/)
    .map(capitalize)
    .join('');
}

function indent(value: Value, args: Arguments): Value {
  const [width = 4n, first = false, blank = false] = take('indent', ['width', 'first', 'blank'], args);
  const text = textOf(value);
  refuseUndefined(value);
  if (text === undefined) throw new TemplateError(`indent: expected a text, received ${typeName(value)}`);
  const by = textOf(width) ?? ' '.repeat(Math.max(0, integerArgument('indent', width, 4)));
  const lines = splitLines(`${text}\n`).map((line, i) => {
    const isIndented = i === 0 ? isTrue(first) : line !== '' || isTrue(blank);
    return isIndented ? by + line : line;
  });
  return like(value, lines.join('\n'));
}

function truncate(value: Value, args: Arguments): Value {
  const [most, killWords = false, end = '...', leeway] = take(
    'truncate',
    ['length', 'killwords', 'end', 'leeway'],
    args,
  );
  const text = textArgument('truncate', value);
  const [limit, mark] = [integerArgument('truncate', most, 255), textArgument('truncate', end)];
  const all = characters(text);
  if (all.length <= limit + integerArgument('truncate', leeway, 5)) return value;
  const head = all.slice(0, limit - characters(mark).length).join('');
  return (isTrue(killWords) ? head : (split(head, ' ', 1, true)[0] ?? '')) + mark;
}

function toInteger(value: Value, args: Arguments): Value {
  const [fallback = 0n, base] = take('int', ['default', 'base'], args);
  const text = textOf(value);
  const number = text === undefined ? numberOf(value) : parseInteger(text, integerArgument('int', base, 10));
  refuseUndefined(value);
  if (typeof number === 'bigint') return number;
  const float = number ?? (text === undefined ? undefined : parseFloatText(text));
  return float !== undefined && Number.isFinite(float) ? BigInt(Math.trunc(float)) : fallback;
}

function toFloat(value: Value, args: Arguments): Value {
  const [fallback = 0] = take('float', ['default'], args);
  const text = textOf(value);
  refuseUndefined(value);
  const number = text === undefined ? numberOf(value) : parseFloatText(text);
  return number === undefined ? fallback : Number(number);
}

function rounded(value: Value, args: Arguments): Value {
  const [precision, method = 'common'] = take('round', ['precision', 'method'], args);
  const number = numberOf(value);
  refuseUndefined(value);
  if (number === undefined) throw new TemplateError(`type ${typeName(value)} doesn't define __round__ method`);
  const places = integerArgument('round', precision, 0);
  if (method === 'common') return round(number, places);
  if (method !== 'ceil' && method !== 'floor') throw new TemplateError('method must be common, ceil or floor');
  const unit = 10 ** places;
  return Math[method](Number(number) * unit) / unit;
}

/** transformers' own tojson: json.dumps without escapes of HTML. */
function toJson(value: Value, args: Arguments): Value {
  const names = ['ensure_ascii', 'indent', 'separators', 'sort_keys'];
  const [ascii = false, width = null, separators = null, sort = false] = take('tojson', names, args);
  const space = width === null ? null : (textOf(width) ?? ' '.repeat(Math.max(0, integerArgument('tojson', width, 0))));
  const both = isKind(separators, 'tuple') ? separators.items : Array.isArray(separators) ? separators : undefined;
  const [item, key] = both?.map((one) => textArgument('tojson', one)) ?? [space === null ? ', ' : ',', ': '];
  const style: JsonStyle = {
    ensureAscii: isTrue(ascii),
    indent: space,
    sortKeys: isTrue(sort),
    itemSeparator: item ?? ', ',
    keySeparator: key ?? ': ',
  };
  return jsonText(value, style);
}

export const TEXT_FILTERS: Readonly<Record<string, PlainFilter>> = {
  abs: (value) => {
    const number = numberOf(value);
    refuseUndefined(value);
    if (number === undefined) throw new TemplateError(`bad operand type for abs(): '${typeName(value)}'`);
    return number < 0 ? -number : number;
  },
  capitalize: ofText('capitalize', capitalize),
  center: (value, args) => {
    return center(show(value), integerArgument('center', take('center', ['width'], args)[0], 80));
  },
  count: length,
  d: otherwise,
  default: otherwise,
  e: escaped,
  escape: escaped,
  float: toFloat,
  forceescape: (value) => ({ kind: 'markup', text: escapeHtml(show(value)) }),
  format: (value, { positional, named }) => {
    if (positional.length > 0 && named.size > 0) {
      throw new TemplateError("can't handle positional and keyword arguments at the same time");
    }
    return like(value, formatPercent(show(value), named.size > 0 ? new Map(named) : tuple(...positional)));
  },
  indent,
  int: toInteger,
  length,
  lower: ofText('lower', (text) => text.toLowerCase()),
  replace: (value, args) => {
    const [old, fresh, count = null] = take('replace', ['old', 'new', 'count'], args);
    const [from, to] = [required('replace', 'old', old), required('replace', 'new', fresh)].map(show) as [
      string,
      string,
    ];
    return replaceText(show(value), from, to, count === null ? -1 : integerArgument('replace', count, -1));
  },
  round: rounded,
  safe: (value) => ({ kind: 'markup', text: show(value) }),
  string: (value) => (isKind(value, 'markup') ? value : show(value)),
  title: ofText('title', titled),
  tojson: toJson,
  trim: (value, args) => {
    const [chars = null] = take('trim', ['chars'], args);
    return like(value, strip(show(value), 'both', chars === null ? null : textArgument('trim', chars)));
  },
  truncate,
  upper: ofText('upper', (text) => text.toUpperCase()),
  wordcount: (value) => BigInt((show(value).match(/[\p{L}\p{N}_]+/gu) ?? []).length),
};
