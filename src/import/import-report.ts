/** What an import did: rows in, out and skipped, with the first places of every reason. */
import { DataError } from '../errors.ts';
import type { BadRow } from './source-row.ts';

/** Counts of one import; also stored in the table's metadata as JSON. */
export interface ImportReport {
  /** Rows and places of bad rows in the source. */
  rowsIn: number;
  /** Rows written. */
  rowsOut: number;
  /** Rows left out by reason, with the first problems of each. */
  skipped: Record<string, { count: number; first: string[] }>;
  /** Rows written, by split. */
  splits: Record<string, number>;
}

const placesKept = 3;
const problemsKept = 20;

/** Collects the counts of an import. */
export interface ReportBuilder {
  readonly report: ImportReport;
  /** Counts rows written to a split. */
  wrote(split: string, rows: number): void;
  /** Counts a bad row. @throws DataError with the first twenty problems where bad rows are fatal */
  skip(bad: BadRow): void;
  /** Raises what `skip` has collected, at the end of the source. */
  finish(): void;
}

/** An empty report. @param isFatal whether bad rows end the import */
export function openReport(isFatal: boolean): ReportBuilder {
  const report: ImportReport = { rowsIn: 0, rowsOut: 0, skipped: {}, splits: {} };
  const problems: string[] = [];
  const finish = (): void => {
    if (isFatal && problems.length > 0) throw new DataError(problems);
  };
  return {
    report,
    wrote: (split, rows) => {
      report.rowsOut += rows;
      report.splits[split] = (report.splits[split] ?? 0) + rows;
    },
    skip: ({ where, reason, problem }) => {
      const entry = report.skipped[reason] ?? { count: 0, first: [] };
      report.skipped[reason] = entry;
      entry.count++;
      const line = `${where}: ${problem}. Mend the row, or set badRows: skip.`;
      if (entry.first.length < placesKept) entry.first.push(`${where}: ${problem}`);
      if (isFatal) problems.push(line);
      if (problems.length >= problemsKept) finish();
    },
    finish,
  };
}
