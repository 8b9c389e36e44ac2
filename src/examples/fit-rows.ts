/** Rows of files as a model reads them: those that do not fit it are left out and counted, up to a share of them. */
import { DataError } from '../errors.ts';
import { type Counted, countAt } from '../tables/tally.ts';

/** Where the rows are from. */
export interface RowSource {
  /** The path, as it was asked for. */
  readonly path: string;
  /** Key of the largest share of them that may be unusable, for errors: "data.badRows". */
  readonly limitKey: string;
  readonly badRows: number;
}

/** Rows that fit, and what is said of the others: one line, or none. */
export interface FittedRows<Fitted> {
  readonly fitted: readonly Fitted[];
  readonly lines: readonly string[];
}

/**
 * Writes rows as a model reads them.
 *
 * @param write throws DataError for one that cannot be written
 * @throws DataError where none can be written, or more cannot than `badRows` allows, with the first of them
 */
export function fitRows<Row extends { readonly where: string }, Fitted>(
  rows: readonly Row[],
  write: (row: Row) => Fitted,
  { path, limitKey, badRows }: RowSource,
): FittedRows<Fitted> {
  const fitted: Fitted[] = [];
  const bad: Counted = { count: 0, first: [] };
  for (const row of rows) {
    try {
      fitted.push(write(row));
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      const [problem = ''] = error.problems;
      // What a template itself refuses names the template alone.
      countAt(bad, problem.startsWith(row.where) ? problem : `${row.where}: ${problem}`);
    }
  }
  if (bad.count === 0) return { fitted, lines: [] };
  const what = `${bad.count} of ${rows.length} rows do not fit the model`;
  if (fitted.length > 0 && bad.count <= badRows * rows.length) {
    return { fitted, lines: [`  left out: ${what}, first ${bad.first.join('; ')}`] };
  }
  const expected = fitted.length === 0 ? 'one at least that does' : `no more than ${limitKey} ${badRows} allows`;
  throw new DataError([`${path}: ${what}; expected ${expected}.`, ...bad.first.map((problem) => `  ${problem}`)]);
}
