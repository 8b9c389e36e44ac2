/** Applies `key.path=value` arguments to configuration data. */

import { ConfigError } from '../errors.ts';
import { readArgumentValue } from './argument-value.ts';
import type { Field } from './schema-fields.ts';
import { isRecord } from './schema-fields.ts';

/** One `a.b.c=value` argument. */
export interface Override {
  /** The argument as it was typed. */
  readonly text: string;
  readonly path: readonly string[];
  /** undefined takes the key out: back to its default, or left out. */
  readonly value: unknown;
}

/** How arguments are written, for help. */
export const OVERRIDE_HELP = [
  'key.path=value sets a key, and the last one for a key wins. Text is taken as it is, with "#", spaces and colons; quotes',
  'around all of it are left out. Other values are YAML: 3, 1e-3, true, [a, b], {a: 1}. list.0=a sets one item of a list.',
  'key.path=null takes a key or a section out: it is left out, or at its default. Where null is a value, it is set to null.',
];

/** A `key.path=value` argument for a path that a program made: whatever is in it, it comes out as it was. */
export function pathArgument(key: string, path: string): string {
  return `${key}=${JSON.stringify(path)}`;
}

/**
 * Parses `key.path=value` arguments; the schema's fields tell which values are text.
 * @throws ConfigError naming every argument that is not of that form
 */
export function parseOverrides(texts: readonly string[], fields: readonly Field[]): Override[] {
  const problems: string[] = [];
  const overrides: Override[] = [];
  for (const text of texts) {
    const equals = text.indexOf('=');
    const path = text
      .slice(0, Math.max(equals, 0))
      .split('.')
      .map((key) => key.trim());
    if (equals < 1 || path.some((key) => key === '')) {
      problems.push(`argument "${text}": expected key.path=value, e.g. optimizer.learningRate=1e-3.`);
      continue;
    }
    const typed = path.join('.');
    const dotted = typed.replace(/\[(\w+)\]/g, '.$1');
    if (dotted !== typed) {
      problems.push(`argument "${text}": items of a list are counted with dots. Write ${dotted}=….`);
      continue;
    }
    const value = readArgumentValue(text.slice(equals + 1), kindAt(path, fields));
    if ('problem' in value) problems.push(`argument "${text}": ${value.problem} e.g. '${typed}="text"'.`);
    else overrides.push({ text, path, value: value.value === null ? unsetValue(path, fields) : value.value });
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return overrides;
}

function fieldAt(path: readonly string[], fields: readonly Field[]): Field | undefined {
  return fields.find((field) => field.path === path.join('.'));
}

/** What a key's value is read as; an item of a list of text is text. */
function kindAt(path: readonly string[], fields: readonly Field[]): 'text' | 'path' | 'other' {
  const field = fieldAt(path, fields);
  const parent = fieldAt(path.slice(0, -1), fields);
  const isNamedPath = parent?.kind === 'map' && parent.isPath;
  if (isNamedPath || (field?.isPath === true && field.kind === 'text')) return 'path';
  const isItem = parent?.kind === 'list of text';
  return field?.kind === 'text' || isItem ? 'text' : 'other';
}

/**
 * What null means for a key: null where the schema has that value, and undefined (take it out) for every other key that it
 * knows. An unknown key is set, so that it is named.
 */
function unsetValue(path: readonly string[], fields: readonly Field[]): null | undefined {
  const field = fieldAt(path, fields);
  if (field !== undefined) return field.isNullable ? null : undefined;
  return isSection(path, fields) || isInside(path, fields) ? undefined : null;
}

function isSection(path: readonly string[], fields: readonly Field[]): boolean {
  return fields.some((field) => field.path.startsWith(`${path.join('.')}.`));
}

/** True for a key within a map or a list, whose keys the schema's fields do not name. */
function isInside(path: readonly string[], fields: readonly Field[]): boolean {
  const isOpen = ({ kind }: Field): boolean => kind === 'map' || kind.startsWith('list');
  return fields.some((field) => isOpen(field) && path.join('.').startsWith(`${field.path}.`));
}

/** A copy of `data` with one override set; sections and lists on the way are made where they are missing. */
export function applyOverride(data: unknown, override: Override, fields: readonly Field[]): unknown {
  return setAt(data, override, 0, fields);
}

function setAt(data: unknown, override: Override, depth: number, fields: readonly Field[]): unknown {
  const { path, value } = override;
  const key = path[depth];
  if (key === undefined) return value;
  const above = path.slice(0, depth);
  const inside = (part: unknown): unknown => setAt(part, override, depth + 1, fields);
  const field = fieldAt(above, fields);
  if (Array.isArray(data) || ((data === undefined || data === null) && field?.kind.startsWith('list'))) {
    return setItem(
      (data ?? field?.default ?? []) as readonly unknown[],
      key,
      override,
      depth === path.length - 1,
      inside,
    );
  }
  if (data !== undefined && data !== null && !isRecord(data)) {
    const parent = above.join('.');
    throw new ConfigError(
      `argument "${override.text}": ${parent} is the value ${JSON.stringify(data)}, not a section. Set ${parent} itself.`,
    );
  }
  const section = data ?? {};
  const set = inside(Object.hasOwn(section, key) ? section[key] : undefined);
  if (set !== undefined) {
    // A computed key makes an own property even for "__proto__".
    return { ...section, [key]: set };
  }
  if (!Object.hasOwn(section, key) && isInside(path, fields)) {
    const names = Object.keys(section).join(', ') || 'nothing';
    throw new ConfigError(
      `argument "${override.text}": there is no "${key}" to take out; ${above.join('.')} has ${names}. Correct the name.`,
    );
  }
  const { [key]: _, ...rest } = section;
  // What only leads to a key that is taken out need not be made.
  return data === undefined && Object.keys(rest).length === 0 ? undefined : rest;
}

/** Sets, appends or takes out one item of a list. */
function setItem(
  list: readonly unknown[],
  key: string,
  { text, value }: Override,
  isLast: boolean,
  inside: (part: unknown) => unknown,
): unknown[] {
  const index = /^\d+$/.test(key) ? Number(key) : Number.NaN;
  const takesOut = isLast && value === undefined;
  if (!(index < list.length || (index === list.length && !takesOut))) {
    const end = takesOut ? '' : ` (${list.length} adds one at the end)`;
    throw new ConfigError(
      `argument "${text}": "${key}" is no position in a list of ${list.length}. Count from 0${end}, or give the whole list: key=[a, b].`,
    );
  }
  if (takesOut) return list.filter((_, position) => position !== index);
  return [...list.slice(0, index), inside(list[index]), ...list.slice(index + 1)];
}
