/** What an import did: rows in, out and skipped, what of them was not used, with the first places of each. */
import { DataError } from '../errors.ts';
import type { BadRow } from './source-row.ts';

/** How often something was met, and where first. */
export interface Counted {
  count: number;
  first: string[];
}

/** Counts of one import; also stored in the table's metadata as JSON. */
export interface ImportReport {
  /** Rows and places of bad rows in the source. */
  rowsIn: number;
  /** Rows written. */
  rowsOut: number;
  /** Rows left out by reason, with the first problems of each. */
  skipped: Record<string, Counted>;
  /** What rows that were written lost, or had changed, by what it was. */
  notes: Record<string, Counted>;
  /** Fields that no column uses, with the written rows that have a value there. */
  unused: Record<string, Counted>;
  /** Fields that columns are mapped to and that stand in no row. */
  absent: string[];
  /** Rows written, by split. */
  splits: Record<string, number>;
  /** What a reader should know of the source, a line each: where splits come from, which files were passed over. */
  source: string[];
}

const placesKept = 3;
const problemsKept = 20;
/** Sources may name keys without end (ids as keys); beyond this many they are counted together. */
const namesKept = 100;
const others = 'others';

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
  /** Raises what `skip` has collected, at the end of the source. */
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
  const finish = (): void => {
    if (isFatal && problems.length > 0) throw new DataError(problems);
  };
  return {
    report,
    wrote: (split) => {
      report.rowsOut++;
      report.splits[split] = (report.splits[split] ?? 0) + 1;
    },
    noted: (what, where) => count(entryOf(report.notes, what), where),
    unused: (name, isVoid, where) => {
      const entry = entryOf(report.unused, name);
      if (!isVoid) count(entry, where);
    },
    skip: ({ where, reason, problem }) => {
      count(entryOf(report.skipped, reason), `${where}: ${problem}`);
      const line = `${where}: ${problem}. Mend the row, or set badRows: skip.`;
      if (isFatal) problems.push(line);
      if (problems.length >= problemsKept) finish();
    },
    finish,
  };
}

function entryOf(entries: Record<string, Counted>, name: string): Counted {
  const key = Object.hasOwn(entries, name) || Object.keys(entries).length < namesKept ? name : others;
  if (Object.hasOwn(entries, key)) return entries[key] as Counted;
  const entry: Counted = { count: 0, first: [] };
  // A plain assignment would take "__proto__" for something else.
  Object.defineProperty(entries, key, { value: entry, enumerable: true, configurable: true, writable: true });
  return entry;
}

function count(entry: Counted, place: string): void {
  entry.count++;
  if (entry.first.length < placesKept) entry.first.push(place);
}
