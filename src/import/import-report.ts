/** What an import did: rows in, out and skipped, what of them was not used, with the first places of each. */

import { DataError } from '../errors.ts';
import { type Counted, countAt, type Tally, tallyEntry } from '../tables/tally.ts';
import { openRowRanges, type RowRanges } from './row-ranges.ts';
import type { BadRow } from './source-row.ts';

/** Counts of one import; also stored in the table's metadata as JSON. */
export interface ImportReport {
  /** Rows and places of bad rows in the source. */
  rowsIn: number;
  /** Rows written. */
  rowsOut: number;
  /** Rows left out by reason, with the first problems of each, and all their lines: "a.jsonl:2-5,9". */
  skipped: Record<string, Counted & { lines?: string[] }>;
  /** What rows that were written lost, or had changed, by what it was. */
  notes: Tally;
  /** Fields that no column uses, with the written rows that have a value there. */
  unused: Tally;
  /** Fields that columns are mapped to and that stand in no row. */
  absent: string[];
  /** Rows written, by split. */
  splits: Record<string, number>;
  /** What a reader should know of the source, a line each: where splits come from, which files were passed over. */
  source: string[];
}

const problemsKept = 20;

/** Collects the counts of an import. */
export interface ReportBuilder {
  readonly report: ImportReport;
  /** Counts a row written to a split. */
  wrote(split: string): void;
  /** Counts what a written row lost or had changed. */
  noted(what: string, where: string): void;
  /** Counts a field of a written row that nothing uses. */
  unused(name: string, isVoid: boolean, where: string): void;
  /** Counts a bad row. @throws DataError with the first twenty problems where bad rows are fatal */
  skip(bad: BadRow): void;
  /** Writes down the lines of bad rows and raises what `skip` has collected, at the end of the source. */
  finish(): void;
}

/** An empty report. @param isFatal whether bad rows end the import */
export function openReport(isFatal: boolean): ReportBuilder {
  const report: ImportReport = {
    rowsIn: 0,
    rowsOut: 0,
    skipped: {},
    notes: {},
    unused: {},
    absent: [],
    splits: {},
    source: [],
  };
  const problems: string[] = [];
  const ranges = new Map<Counted, RowRanges>();
  const finish = (): void => {
    for (const entry of Object.values(report.skipped)) entry.lines = ranges.get(entry)?.list() ?? [];
    if (isFatal && problems.length > 0) throw new DataError(problems);
  };
  return {
    report,
    wrote: (split) => {
      report.rowsOut++;
      report.splits[split] = (report.splits[split] ?? 0) + 1;
    },
    noted: (what, where) => countAt(tallyEntry(report.notes, what), where),
    unused: (name, isVoid, where) => {
      const entry = tallyEntry(report.unused, name);
      if (!isVoid) countAt(entry, where);
    },
    skip: ({ where, reason, problem }) => {
      const entry = tallyEntry(report.skipped, reason);
      countAt(entry, `${where}: ${problem}`);
      const lines = ranges.get(entry) ?? openRowRanges();
      ranges.set(entry, lines);
      lines.add(where);
      const line = `${where}: ${problem}. Mend the row, or set badRows: skip.`;
      if (isFatal) problems.push(line);
      if (problems.length >= problemsKept) finish();
    },
    finish,
  };
}
