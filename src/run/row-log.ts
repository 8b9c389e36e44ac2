/** A growing Arrow table on disk: rows are kept in memory and the file is rewritten in one step every few seconds. */

import { existsSync } from 'node:fs';
import { readTable, type TableMetadata, writeTable } from '../tables/arrow-file.ts';
import type { Columns, Row } from '../tables/columns.ts';

/** Rows of one run, in order of steps. */
export interface RowLog<R> {
  /** Adds a row, and saves all rows where the last save was a while ago. */
  add(row: R): Promise<void>;
  /** Saves all rows now. Call it before a checkpoint is saved and at the end. */
  flush(): Promise<void>;
}

export interface RowLogOptions {
  /** Continue the file that is there and drop the rows after this step, which are made again. Left out: start anew. */
  readonly resumeFromStep?: number | undefined;
  readonly metadata?: TableMetadata;
  /** Shortest time between two saves by `add`. */
  readonly saveEverySeconds?: number;
}

// Rewriting a table of a few thousand rows takes about 10 ms, so this costs well under one percent.
const SAVE_EVERY_SECONDS = 3;

/**
 * Opens a table whose rows carry the step they belong to.
 * @throws DataError where the file to continue is damaged or has other columns
 */
export function openRowLog<C extends Columns>(path: string, columns: C, options: RowLogOptions = {}): RowLog<Row<C>> {
  const { resumeFromStep, metadata = {}, saveEverySeconds = SAVE_EVERY_SECONDS } = options;
  const rows: Row<C>[] = [];
  if (resumeFromStep !== undefined && existsSync(path)) {
    const found = readTable(path, columns, 'the stage again with another run.folder').rows;
    rows.push(...found.filter((row) => Number((row as { step?: unknown }).step) <= resumeFromStep));
  }
  let savedAt = performance.now();
  const flush = async (): Promise<void> => {
    // Adding goes on while the file is written; a copy keeps what is saved whole.
    await writeTable(path, columns, [...rows], metadata);
    savedAt = performance.now();
  };
  return {
    add: async (row) => {
      rows.push(row);
      if (performance.now() - savedAt >= saveEverySeconds * 1000) await flush();
    },
    flush,
  };
}
