/** Values as Python writes them: str(), repr() and json.dumps(). */
import { TemplateError } from './template-error.ts';
import { compareText } from './text.ts';
import { compare, type Dict, isKind, isUndefined, iterate, textOf, typeName, type Value } from './values.ts';

/** str(value); undefined values are "". */
export function show(value: Value): string {
  if (isUndefined(value)) return '';
  return textOf(value) ?? repr(value);
}

/** repr(value). @throws TemplateError where Python writes an address in memory */
export function repr(value: Value): string {
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'number') return floatRepr(value);
  if (typeof value === 'string') return stringRepr(value);
  if (Array.isArray(value)) return `[${value.map(repr).join(', ')}]`;
  if (value instanceof Map) return dictRepr(value);
  if (value.kind === 'tuple') return `(${value.items.map(repr).join(', ')}${value.items.length === 1 ? ',' : ''})`;
  if (value.kind === 'markup') return `Markup(${stringRepr(value.text)})`;
  if (value.kind === 'undefined') return 'Undefined';
  if (value.kind === 'range')
    return `range(${value.start}, ${value.stop}${value.step === 1n ? '' : `, ${value.step}`})`;
  if (value.kind === 'view') return `${value.type}([${[...iterate(value)].map(repr).join(', ')}])`;
  if (value.kind === 'namespace') return `<Namespace ${dictRepr(new Map(value.fields))}>`;
  const remedy = value.kind === 'iterator' ? '; a list of it has: add "| list"' : '';
  throw new TemplateError(`a ${typeName(value)} is printed, which has no text of its own${remedy}`);
}

function dictRepr(dict: Dict): string {
  return `{${[...dict].map(([key, value]) => `${repr(key)}: ${repr(value)}`).join(', ')}}`;
}

/** float.__repr__: the shortest digits, with an exponent below 1e-4 and from 1e16. */
export function floatRepr(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value < 0 ? '-inf' : 'inf';
  const [digits = '', power = '0'] = value.toExponential().split('e');
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 16) {
    return `${digits}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
  }
  const plain = Object.is(value, -0) ? '-0' : String(value);
  return plain.includes('.') ? plain : `${plain}.0`;
}

const NOT_PRINTABLE = /[\p{C}\p{Z}]/u;
const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function stringRepr(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const body = Array.from(text, (character) => {
    if (character === quote) return `\\${quote}`;
    const known = ESCAPES[character];
    if (known !== undefined) return known;
    return character === ' ' || !NOT_PRINTABLE.test(character) ? character : escaped(character.codePointAt(0) ?? 0);
  });
  return `${quote}${body.join('')}${quote}`;
}

function escaped(code: number): string {
  const hex = code.toString(16);
  if (code < 0x100) return `\\x${hex.padStart(2, '0')}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`;
}

/** How json.dumps writes. */
export interface JsonStyle {
  readonly ensureAscii: boolean;
  /** What one level is set in by; null for one line. */
  readonly indent: string | null;
  readonly itemSeparator: string;
  readonly keySeparator: string;
  readonly sortKeys: boolean;
}

/** json.dumps(value). @throws TemplateError where JSON has nothing for a value */
export function jsonText(value: Value, style: JsonStyle, level = 0): string {
  if (value === null) return 'null';
  if (typeof value === 'boolean' || typeof value === 'bigint') return String(value);
  if (typeof value === 'number') return jsonFloat(value);
  const text = textOf(value);
  if (text !== undefined) return jsonString(text, style.ensureAscii);
  if (value instanceof Map) return jsonObject(value, style, level);
  if (!Array.isArray(value) && !isKind(value, 'tuple')) {
    throw new TemplateError(`Object of type ${typeName(value)} is not JSON serializable`);
  }
  const items = Array.isArray(value) ? value : value.items;
  return wrapped(
    '[]',
    items.map((one) => jsonText(one, style, level + 1)),
    style,
    level,
  );
}

function jsonObject(dict: Dict, style: JsonStyle, level: number): string {
  const pairs = [...dict];
  if (style.sortKeys)
    pairs.sort(([a], [b]) => (typeof a === 'string' && typeof b === 'string' ? compareText(a, b) : compare(a, b)));
  const lines = pairs.map(([key, value]) => {
    return `${jsonString(keyText(key), style.ensureAscii)}${style.keySeparator}${jsonText(value, style, level + 1)}`;
  });
  return wrapped('{}', lines, style, level);
}

function keyText(key: Value): string {
  const text = textOf(key);
  if (text !== undefined) return text;
  if (key === null) return 'null';
  if (typeof key === 'boolean' || typeof key === 'bigint') return String(key);
  if (typeof key === 'number') return jsonFloat(key);
  throw new TemplateError(`keys must be str, int, float, bool or None, not ${typeName(key)}`);
}

function wrapped(
  brackets: string,
  parts: readonly string[],
  { indent, itemSeparator }: JsonStyle,
  level: number,
): string {
  const [open, close] = brackets;
  if (parts.length === 0) return brackets;
  if (indent === null) return `${open}${parts.join(itemSeparator)}${close}`;
  const line = `\n${indent.repeat(level + 1)}`;
  return `${open}${line}${parts.join(`${itemSeparator}${line}`)}\n${indent.repeat(level)}${close}`;
}

function jsonFloat(value: number): string {
  if (Number.isFinite(value)) return floatRepr(value);
  return Number.isNaN(value) ? 'NaN' : value < 0 ? '-Infinity' : 'Infinity';
}

function jsonString(text: string, ensureAscii: boolean): string {
  // JSON.stringify writes lone surrogates as escapes, which Python writes as they are; texts hold none.
  const body = JSON.stringify(text);
  if (!ensureAscii) return body;
  return body.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
