/** What a reader yields: the rows of a source, and the places where there should have been one. */

/** One row as it stands in a source. */
export interface SourceRow {
  /** "path:line" or "path: row n", the start of every error about this row. */
  where: string;
  /** The line, or the number of the row from 1 on: stable, so that ids can be made of it. */
  row: number;
  fields: Readonly<Record<string, unknown>>;
}

/** A place in a source that is not a row. */
export interface BadRow {
  where: string;
  /** The sort of fault, a few words that are the same for all such rows: "not JSON". */
  reason: string;
  /** What is wrong here, and what was expected. */
  problem: string;
}

/** Rows come in the groups in which they were read. */
export type SourceRows = AsyncGenerator<readonly (SourceRow | BadRow)[]>;

/** True for a place that is not a row. */
export function isBad(row: SourceRow | BadRow): row is BadRow {
  return 'reason' in row;
}

/** Raised while one row is converted; becomes a BadRow with the row's place. */
export class RowProblem extends Error {
  readonly reason: string;
  constructor(reason: string, problem: string) {
    super(problem);
    this.name = 'RowProblem';
    this.reason = reason;
  }
}

/**
 * Told of what a row loses, or has changed, though it is written.
 *
 * @param what  the sort of thing, in words that are the same for all such rows
 * @param where the place within the row: "messages[2]"
 */
export type Note = (what: string, where: string) => void;

/** True where there is no value: nothing, null, an empty text, list or object. */
export function isVoid(value: unknown): boolean {
  if (value === undefined || value === null || value === '') return true;
  if (Array.isArray(value)) return value.length === 0;
  return isRecord(value) && Object.keys(value).length === 0;
}

/** True for a JSON object. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The fields of a row that may be a list: its entries are named 0, 1, …; null where it is neither object nor list. */
export function fieldsOf(value: unknown): Readonly<Record<string, unknown>> | null {
  if (Array.isArray(value)) return Object.fromEntries(value.map((entry, i) => [String(i), entry]));
  return isRecord(value) ? value : null;
}

/** A value in an error message: JSON, cut off after forty characters. */
export function show(value: unknown): string {
  const text = typeof value === 'bigint' ? String(value) : (JSON.stringify(value) ?? 'nothing');
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}
