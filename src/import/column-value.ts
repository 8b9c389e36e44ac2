/** From a field of a source to a value of a column: picked by name or path, then converted step by step. */
import { shortestNumber } from './exact-json.ts';
import { isRecord, RowProblem, show } from './source-row.ts';

/** How one column is made. All steps are optional and are taken in the order in which they stand here. */
export interface ColumnSource {
  /** Field of the source: a name, a number (files without header, lists), or a path such as "answers.*.text". */
  from?: string | number | undefined;
  /** The same value for every row, instead of `from`. */
  constant?: string | undefined;
  /** Stands in where the field is missing, null or empty; without it the row is bad. */
  default?: string | undefined;
  /** Regular expression; its first group (or the whole match) is kept, and without a match the row is bad. */
  match?: string | undefined;
  /** Regular expression → text put in place of every match, one after the other. */
  replace?: Readonly<Record<string, string>> | undefined;
  /** Value → value; others stay as they are. */
  map?: Readonly<Record<string, string>> | undefined;
  /** A number becomes the `is` of the first entry it lies below; the last one has no limit. */
  thresholds?: readonly { below?: number | undefined; is: string }[] | undefined;
  /** Cuts a text into a list at every delimiter. */
  split?: string | undefined;
  /** What the column holds; text where left out, or a list where there is a `split`. */
  kind?: (typeof valueKinds)[number] | undefined;
}

export const valueKinds = ['text', 'list', 'integer', 'number'] as const;

/** A source field, or how to convert one. */
export type ColumnSpec = string | number | ColumnSource;

/** Makes the value of one column from the fields of a row. */
export type Convert = (fields: Readonly<Record<string, unknown>>) => unknown;

/**
 * The function that makes a column; regular expressions are compiled once.
 *
 * columnConverter('label', {from: 'y', map: {'1': 'yes'}})({y: 1})  ->  'yes'
 *
 * @returns a function that throws RowProblem where a row has no such value
 */
export function columnConverter(name: string, spec: ColumnSpec): Convert {
  const source = typeof spec === 'object' ? spec : { from: spec };
  const { constant } = source;
  if (constant !== undefined) return () => constant;
  const from = String(source.from);
  const match = source.match === undefined ? null : new RegExp(source.match, 'su');
  const replacements = Object.entries(source.replace ?? {}).map(([pattern, text]) => {
    return [new RegExp(pattern, 'gsu'), text] as const;
  });
  return (fields) => {
    const found = pickField(fields, from);
    const value = found === undefined || found === null || found === '' ? (source.default ?? found) : found;
    if (value === null) {
      throw new RowProblem(
        'missing field',
        `"${name}": field "${from}" is null; expected a value, or columns.${name}.default`,
      );
    }
    if (value === undefined) {
      const problem = `"${name}": no field "${from}"; expected one of ${Object.keys(fields).join(', ').slice(0, 80)}`;
      throw new RowProblem('missing field', problem);
    }
    return convert(name, value, { match, replacements, source });
  };
}

interface Steps {
  match: RegExp | null;
  replacements: readonly (readonly [RegExp, string])[];
  source: ColumnSource;
}

function convert(name: string, value: unknown, steps: Steps): unknown {
  if (Array.isArray(value)) return value.map((entry) => convert(name, entry, steps));
  const { match, replacements, source } = steps;
  let result = value;
  if (match !== null) {
    const found = match.exec(asText(name, result));
    if (found === null) throw new RowProblem('no match', `"${name}": expected a text that ${match} matches`);
    result = found[1] ?? found[0];
  }
  for (const [pattern, text] of replacements) result = asText(name, result).replace(pattern, text);
  if (replacements.length > 0) result = asText(name, result).trim();
  // Text, number or truth value: anything else could only pass the map by unseen.
  if (source.map !== undefined) result = mapped(source.map, asText(name, result)) ?? result;
  if (source.thresholds !== undefined) result = classify(name, result, source.thresholds);
  if (source.split === undefined) return result;
  return asText(name, result)
    .split(source.split)
    .map((part) => part.trim());
}

/** The entry of a text, or of its shortest writing where it is a number: 1.0 finds "1". */
function mapped(map: Readonly<Record<string, string>>, text: string): string | undefined {
  for (const key of [text, shortestNumber(text)]) if (Object.hasOwn(map, key)) return map[key];
  return undefined;
}

function classify(name: string, value: unknown, classes: NonNullable<ColumnSource['thresholds']>): string {
  const number = typeof value === 'string' && value.trim() === '' ? Number.NaN : Number(value);
  const found = classes.find(({ below = Number.POSITIVE_INFINITY }) => number < below);
  if (found !== undefined) return found.is;
  throw new RowProblem('not a number', `"${name}": expected a number within the thresholds, received ${show(value)}`);
}

const isPlain = (value: unknown): boolean => ['string', 'number', 'boolean', 'bigint'].includes(typeof value);

/** A text, or a number or truth value as one. Throws RowProblem for anything else. */
export function asText(name: string, value: unknown): string {
  if (typeof value === 'string') return value;
  if (isPlain(value)) return String(value);
  throw new RowProblem('wrong type', `"${name}": expected text, received ${show(value)}`);
}

/** A field by its very name, else by its path: "a.b" looks into objects, "a.*.b" into every entry of a list. */
export function pickField(fields: Readonly<Record<string, unknown>>, path: string): unknown {
  if (Object.hasOwn(fields, path)) return fields[path];
  return path.includes('.') ? walk(fields, path.split('.')) : undefined;
}

function walk(value: unknown, path: readonly string[]): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return value;
  if (step === '*') return Array.isArray(value) ? value.map((entry) => walk(entry, rest)) : undefined;
  if (Array.isArray(value)) return walk(value[Number(step)], rest);
  return isRecord(value) && Object.hasOwn(value, step) ? walk(value[step], rest) : undefined;
}
