/** The patterns of a template as written: the placeholders in them, and whether they use what they must. */
import { closest } from '../yaml/suggest.ts';
import type { Source } from '../yaml/yaml-source.ts';
import type { RawTemplate, RawTemplateFile } from './template-schema.ts';

/** "file:line:column" of a key in the template file. */
export type Locate = Source['locate'];

/** One pattern with its place. */
export interface Pattern {
  /** The template's id. */
  id: string;
  /** "input", "target" or "turns.0.input". */
  name: string;
  path: readonly PropertyKey[];
  pattern: string;
  isInput: boolean;
}

/** The patterns of the template at `index`, in order: the last is what is asked for in the end. */
export function patternsOf({ id, input, target, turns }: RawTemplate, index: number): Pattern[] {
  const of = (
    keys: readonly PropertyKey[],
    turn: { input?: string | undefined; target?: string | undefined },
  ): Pattern[] =>
    (['input', 'target'] as const).flatMap((part) => {
      const path = ['templates', index, ...keys, part];
      const pattern = turn[part];
      return pattern === undefined
        ? []
        : [{ id, name: [...keys, part].join('.'), path, pattern, isInput: part === 'input' }];
    });
  return turns === undefined ? of([], { input, target }) : turns.flatMap((turn, i) => of(['turns', i], turn));
}

/** The fields a pattern names, `options_` included. */
export function placeholders(pattern: string): string[] {
  return Array.from(pattern.matchAll(/\{(\w+)\}/g), (match) => match[1] ?? '');
}

/** Empty patterns, unknown placeholders, stray braces, and options blocks in the middle of a line. */
export function patternProblems(
  file: RawTemplateFile,
  { id, name, path, pattern, isInput }: Pattern,
  locate: Locate,
): string[] {
  const at = `${locate(path)} template "${id}", ${name}:`;
  if (pattern.trim() === '') return [`${at} empty; expected a pattern. Write one.`];
  const known = [...file.columns, ...(isInput && file.options !== undefined ? ['options_'] : [])];
  const found = placeholders(pattern);
  const problems = [...new Set(found)]
    .filter((placeholder) => !known.includes(placeholder))
    .map((placeholder) => `${at} unknown placeholder {${placeholder}}. ${suggestion(placeholder, known)}`);
  if (hasStrayBrace(pattern)) {
    problems.push(`${at} a brace that is no placeholder; expected {column} or {options_}. Remove it.`);
  }
  const blocks = found.filter((placeholder) => placeholder === 'options_').length;
  if (isInput && blocks > 0 && (blocks > 1 || !/^\s*\{options_\}\s*$/m.test(pattern))) {
    problems.push(`${at} {options_} is a block of lines; expected it once, on a line of its own. Move it.`);
  }
  return problems;
}

/** A prompt that shows nothing of its row cannot be answered, and a target without the answer teaches nothing. */
export function useProblems(file: RawTemplateFile, template: RawTemplate, where: string): string[] {
  const { id, kind } = template;
  const at = `${where} template "${id}":`;
  const patterns = patternsOf(template, 0);
  if (patterns.length === 0) return [];
  const answer = file.answer.column;
  const besides = [answer, file.rationale?.column, 'options_'];
  if (file.options !== undefined && 'column' in file.options) besides.push(file.options.column);
  const given = file.columns.filter((column) => !besides.includes(column));
  const inputs = patterns.filter(({ isInput }) => isInput).flatMap(({ pattern }) => placeholders(pattern));
  const last = placeholders(patterns.at(-1)?.pattern ?? '');
  const problems: string[] = [];
  const expectOne = (found: readonly string[], columns: readonly string[], part: string): void => {
    if (columns.length === 0 || found.some((name) => columns.includes(name))) return;
    problems.push(
      `${at} the ${part} uses no field that it needs; expected ${columns.map((name) => `{${name}}`).join(' or ')}. Add it.`,
    );
  };
  if (kind === 'inverted') {
    expectOne(inputs, [answer], 'input');
    expectOne(last, given, 'target');
    return problems;
  }
  expectOne(inputs, given, 'input');
  expectOne(last, [answer], 'target');
  if (inputs.includes(answer)) problems.push(`${at} the input gives {${answer}} away. Remove it.`);
  if (kind === 'chain_of_thought') {
    if (file.rationale === undefined) {
      problems.push(`${at} a chain of thought needs "rationale: {column: …}" in the file; it is missing. Add it.`);
    } else expectOne(last, [file.rationale.column], 'target');
  }
  return problems;
}

/** True where a brace is not part of a placeholder. */
export function hasStrayBrace(pattern: string): boolean {
  return /[{}]/.test(pattern.replace(/\{\w+\}/g, ''));
}

/** "Did you mean …?" where a known name is close, and all known names where none is. */
export function suggestion(name: string, known: readonly string[]): string {
  const near = closest(name, known);
  return near === undefined ? `Expected one of ${known.join(', ')}.` : `Did you mean ${near}?`;
}
