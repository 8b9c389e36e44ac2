/** Reads every row of a source, for tests of readers. */

import { listFiles } from '../../src/import/files.ts';
import type { ReadOptions } from '../../src/import/open-reader.ts';
import { openReader } from '../../src/import/open-reader.ts';
import { type BadRow, isBad, type SourceRow } from '../../src/import/source-row.ts';

export const readDefaults: ReadOptions = {
  encoding: 'utf-8',
  delimiter: null,
  quote: null,
  header: true,
  maximumField: 1_000_000,
};

/** Good and bad rows of a file or folder. */
export async function readAll(
  path: string,
  options: Partial<ReadOptions> = {},
): Promise<{ rows: SourceRow[]; bad: BadRow[]; notes: string[] }> {
  const rows: SourceRow[] = [];
  const bad: BadRow[] = [];
  const notes: string[] = [];
  for (const file of listFiles([{ path }]).files) {
    for await (const group of openReader(file, { ...readDefaults, ...options }, (line) => notes.push(line))) {
      for (const row of group) {
        if (isBad(row)) bad.push(row);
        else rows.push(row);
      }
    }
  }
  return { rows, bad, notes };
}
