/** Runs an import as a configuration describes it and reads the table back, for tests. */

import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ImportConfig } from '../../scripts/import.config.ts';
import { runImport } from '../../scripts/import.ts';
import type { ImportReport } from '../../src/import/import-report.ts';
import { inspectTable } from '../../src/tables/arrow-file.ts';

/** The report and the rows of an import of `file`, written beside it. */
export async function importRows(
  file: string,
  config: Record<string, unknown>,
): Promise<{ report: ImportReport; rows: Record<string, unknown>[]; metadata: Readonly<Record<string, string>> }> {
  const output = join(dirname(file), 'out.arrow');
  const parsed = ImportConfig.parse({
    input: { path: file },
    provenance: { source: 'a test', licence: 'none' },
    output,
    ...config,
  });
  const report = await runImport(parsed);
  if (parsed.output.endsWith('.jsonl')) {
    const lines = existsSync(parsed.output) ? readFileSync(parsed.output, 'utf8').trim().split('\n') : [];
    return { report, rows: lines.map((line) => JSON.parse(line) as Record<string, unknown>), metadata: {} };
  }
  const table = inspectTable(parsed.output);
  return { report, rows: Array.from({ length: table.rowCount }, (_, i) => table.row(i)), metadata: table.metadata };
}

/** Rows without the columns that every table has. */
export function withoutProvenance(rows: readonly Record<string, unknown>[]): Record<string, unknown>[] {
  return rows.map(({ id: _, split: __, source: ___, source_row: ____, ...row }) => row);
}
