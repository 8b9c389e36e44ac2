/** Turns what zod found wrong in a configuration into sentences for people, one for each mistake. */

import type { z } from 'zod';
import type { Override } from './overrides.ts';
import { parseCondition } from './read-conditions.ts';
import { removedKey, renamedKey } from './renamed-keys.ts';
import { type Field, isRecord } from './schema-fields.ts';
import { closest } from './suggest.ts';
import { noEffect } from './unread-keys.ts';
import type { Source } from './yaml-source.ts';

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/** What a configuration was made of, to say where each part came from. */
export interface Origin {
  readonly source: Pick<Source, 'locate' | 'locateKey'>;
  readonly overrides: readonly Override[];
  /** The data after overrides. */
  readonly data: unknown;
  /** The keys the schema knows. */
  readonly fields: readonly Field[];
}

/** All problems, each "where path: what is wrong; what to do", in the order of the file. */
export function describeIssues(issues: readonly Issue[], origin: Origin): string[] {
  return issues.flatMap((issue) => describeIssue(issue, origin));
}

function describeIssue(issue: Issue, origin: Origin): string[] {
  const { path } = issue;
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const full = [...path, key];
      const remedy =
        ofOtherVariant(full, origin) ?? renaming(full, origin) ?? `unknown key. ${suggestion(key, path, origin)}`;
      return `${whereKey(full, origin)} ${dotted(full)}: ${remedy}`;
    });
  }
  const received = valueAt(origin.data, path);
  if (received === undefined && issue.code !== 'custom') return missing(path, origin);
  const name = path.length === 0 ? '' : ` ${dotted(path)}`;
  if (issue.code === 'custom') return [`${where(path, origin)}${name}: ${sentence(issue.message)}`];
  const isPath = received === null && origin.fields.some((field) => field.isPath && field.path === dotted(path));
  const home = isPath ? ' In YAML ~ is null; the home folder is ~/.' : '';
  const choices = choicesOf(issue);
  const wanted = choices === undefined ? expected(issue) : oneOf(choices);
  const hint = choices === undefined ? home : nearValue(received, choices);
  return [`${where(path, origin)}${name}: expected ${wanted}, received ${show(received)}.${hint}`];
}

/** What a key is called now, where this one is an old name. */
function renaming(path: Path, origin: Origin): string | undefined {
  const removed = removedKey(dotted(path));
  if (removed !== undefined) return `is gone: ${removed}`;
  const known = origin.fields.map((field) => field.path);
  const renamed = renamedKey(dotted(path), valueAt(origin.data, path), known, (key) => settingAt(key, origin));
  if (renamed === undefined) return undefined;
  const { key, value } = renamed;
  return `is now ${key}. Write ${key}${value === undefined ? '' : `: ${show(value)}`} instead.`;
}

/** Why a key is refused that only other variants of its section have. */
function ofOtherVariant(path: Path, origin: Origin): string | undefined {
  const name = dotted(path);
  const field = origin.fields.find((one) => one.path === name || one.path.startsWith(`${name}.`));
  const condition = field?.readWhen.find((text) => {
    const { path: tag, values, isRead } = parseCondition(text);
    return values.includes(String(settingAt(tag, origin) ?? null)) !== isRead;
  });
  if (condition === undefined) return undefined;
  return sentence(noEffect(name, condition, settingAt(parseCondition(condition).path, origin)));
}

/** A setting as it was given, or its default. */
function settingAt(key: string, { data, fields }: Origin): unknown {
  return valueAt(data, key.split('.')) ?? fields.find(({ path }) => path === key)?.default;
}

/** A whole missing section is reported as the required keys in it. */
function missing(path: Path, origin: Origin): string[] {
  const name = dotted(path);
  const inside = origin.fields.filter((field) => field.path.startsWith(`${name}.`));
  const required = inside.filter((field) => field.required);
  const wanted = required.length > 0 ? required : origin.fields.filter((field) => field.path === name);
  if (wanted.length === 0) return [`${where(path, origin)} ${name}: is missing. Add it.`];
  return wanted.map((field) => {
    const description = field.description === '' ? '' : ` ${sentence(field.description)}`;
    return `${where(path, origin)} ${field.path}: is missing; expected ${article(field.expects)}.${description}`;
  });
}

function expected(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return TYPE_NAMES[issue.expected] ?? issue.expected;
    case 'too_big':
      return limit(issue.origin, issue.inclusive === false ? 'below' : 'at most', issue.maximum);
    case 'too_small':
      return limit(issue.origin, issue.inclusive === false ? 'above' : 'at least', issue.minimum);
    case 'not_multiple_of':
      return `a multiple of ${issue.divisor}`;
    case 'invalid_value':
      return oneOf(issue.values);
    case 'invalid_format':
      return issue.format === 'regex' ? `text that matches ${issue.pattern}` : `text in the form "${issue.format}"`;
    case 'invalid_union': {
      const branches = issue.errors.map((errors) => (errors[0] === undefined ? 'another value' : expected(errors[0])));
      return [...new Set(branches)].join(' or ');
    }
    default:
      return sentence(issue.message).replace(/\.$/, '');
  }
}

/** The values a key may have, where it is one of a list or chooses among the variants of its section. */
function choicesOf(issue: Issue): readonly unknown[] | undefined {
  if (issue.code === 'invalid_value') return issue.values;
  if (issue.code !== 'invalid_union' || !('options' in issue)) return undefined;
  return issue.options?.filter((option) => option !== undefined);
}

function oneOf(values: readonly unknown[]): string {
  return values.length === 1 ? show(values[0]) : `one of ${values.map(show).join(', ')}`;
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a section with keys',
  record: 'a section with keys',
  array: 'a list',
  null: 'null',
};

function limit(origin: string, relation: string, bound: number | bigint): string {
  if (origin === 'string') return bound === 1 ? 'text that is not empty' : `text of ${relation} ${bound} characters`;
  if (origin === 'array' || origin === 'set') return `a list of ${relation} ${bound} ${bound === 1 ? 'item' : 'items'}`;
  return `a ${origin === 'int' ? 'whole number' : 'number'} ${relation === 'at least' || relation === 'at most' ? `of ${relation}` : relation} ${bound}`;
}

function suggestion(key: string, section: Path, origin: Origin): string {
  const prefix = section.length === 0 ? '' : `${dotted(section)}.`;
  const siblings = new Set<string>();
  for (const field of origin.fields) {
    if (field.path.startsWith(prefix)) siblings.add(field.path.slice(prefix.length).split('.')[0] ?? '');
  }
  // The right name in the wrong section is a commoner slip than a misspelling.
  const elsewhere = origin.fields.filter((field) => field.path.split('.').at(-1) === key);
  const near = closest(key, [...siblings]);
  if (near !== undefined) return `Did you mean ${prefix}${near}?`;
  if (elsewhere.length > 0) return `Did you mean ${elsewhere.map((field) => field.path).join(' or ')}?`;
  return `Known keys here: ${[...siblings].join(', ')}.`;
}

function nearValue(received: unknown, values: readonly unknown[]): string {
  if (typeof received !== 'string') return '';
  const near = closest(received, values.map(String));
  return near === undefined ? '' : ` Did you mean ${near}?`;
}

function where(path: Path, origin: Origin): string {
  return overrideAt(path, origin) ?? origin.source.locate(path);
}

function whereKey(path: Path, origin: Origin): string {
  return overrideAt(path, origin) ?? origin.source.locateKey(path);
}

/** An override that set this value, a part of it, or the section it stands in. The last one typed wins. */
function overrideAt(path: Path, origin: Origin): string | undefined {
  if (path.length === 0) return undefined;
  const keys = path.map(String);
  const found = origin.overrides.findLast((override) =>
    override.path.every((key, i) => i >= keys.length || keys[i] === key),
  );
  return found === undefined ? undefined : `argument "${found.text}":`;
}

function valueAt(data: unknown, path: Path): unknown {
  let value = data;
  for (const key of path) {
    if (Array.isArray(value)) value = value[Number(key)];
    else if (isRecord(value) && Object.hasOwn(value, key)) value = value[String(key)];
    else return undefined;
  }
  return value;
}

function dotted(path: Path): string {
  return path.map(String).join('.');
}

function show(value: unknown): string {
  if (isRecord(value)) return 'a section with keys';
  // JSON has neither bigint nor NaN and infinity, which it writes as null.
  const isNoJson = typeof value === 'bigint' || (typeof value === 'number' && !Number.isFinite(value));
  const text = isNoJson ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

function article(expects: string): string {
  return /^(one of|any|true)/.test(expects) ? expects : `a ${expects}`;
}
