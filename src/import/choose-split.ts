/** Which split a row belongs to: one for all, from a column, or drawn by hash. */

import { createHash } from 'node:crypto';
import { asText, pickField } from './column-value.ts';
import { RowProblem } from './source-row.ts';

/** How splits are chosen: `name` for all, or by `column`, or by `fractions`; with both, fractions divide what is train. */
export interface SplitRule {
  name?: string | undefined;
  /** Column of the output or field of the source whose value is the split. */
  column?: string | undefined;
  /** Value of the column → split. */
  map?: Readonly<Record<string, string>> | undefined;
  /** Split of values that `map` does not name; without it they are splits themselves. */
  otherwise?: string | undefined;
  /** Split → share of the rows. */
  fractions?: Readonly<Record<string, number>> | undefined;
  /** Columns that are the key: rows with the same values get the same split. All columns where left out. */
  by?: readonly string[] | undefined;
  seed?: number | undefined;
}

/** True where splits are looked for in the source: its files' names, its keys, its field "split". */
export function splitsAreFound(rule: SplitRule): boolean {
  return rule.column === '$split';
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * The split of a row. Fractions are drawn by a hash of seed and key, so that order and number of rows do not matter: a
 * row stays where it is when others are added.
 *
 * @param values the row's columns  @param fields the fields of the source
 * @throws RowProblem where the column has no text
 */
export function chooseSplit(rule: SplitRule, values: Fields, fields: Fields): string {
  const find = (name: string): unknown => (Object.hasOwn(values, name) ? values[name] : pickField(fields, name));
  if (rule.column !== undefined) {
    const value = asText(rule.column, find(rule.column));
    if (value === '') throw new RowProblem('no split', `"${rule.column}": expected the name of a split, received none`);
    const split = rule.map?.[value] ?? rule.otherwise ?? value;
    if (rule.fractions === undefined || split !== 'train') return split;
  }
  if (rule.fractions === undefined) return rule.name ?? 'train';
  const key = (rule.by ?? Object.keys(values)).map((name) => find(name) ?? null);
  const digest = createHash('sha256')
    .update(JSON.stringify([rule.seed ?? 1, ...key]))
    .digest();
  const position = digest.readUInt32BE(0) / 2 ** 32;
  const entries = Object.entries(rule.fractions);
  const total = entries.reduce((sum, [, share]) => sum + share, 0);
  let end = 0;
  for (const [name, share] of entries) {
    end += share / total;
    if (position < end) return name;
  }
  return entries.at(-1)?.[0] ?? 'train';
}
