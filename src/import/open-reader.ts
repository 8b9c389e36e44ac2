/** The reader for a file's format. */

import { readArrowRows } from './arrow-source.ts';
import type { Encoding } from './encodings.ts';
import type { SourceFile } from './files.ts';
import { readCsvRows } from './read-csv.ts';
import { readJsonRows } from './read-json.ts';
import { readJsonLineRows } from './read-json-lines.ts';
import { readParquetRows } from './read-parquet.ts';
import type { SourceRows } from './source-row.ts';

/** How files are read; what a format has no use for is ignored. */
export interface ReadOptions {
  encoding: Encoding;
  /** Sign between values; a comma in .csv and a tab in .tsv where null. */
  delimiter: string | null;
  /** Quote sign, or "none"; where null, " in .csv and none in .tsv. */
  quote: string | null;
  header: boolean;
  maximumField: number;
}

/**
 * Opens a file. Faults in it are yielded as bad rows; a missing file raises DataError.
 *
 * @param note receives a line for the report on parts of the file that are not rows
 */
export function openReader(
  { path, format }: Pick<SourceFile, 'path' | 'format'>,
  options: ReadOptions,
  note: (line: string) => void,
): SourceRows {
  const { encoding, maximumField, header } = options;
  switch (format) {
    case 'jsonl':
      return readJsonLineRows(path, encoding, maximumField);
    case 'json':
      return readJsonRows(path, encoding, note);
    case 'csv':
    case 'tsv': {
      const delimiter = options.delimiter ?? (format === 'csv' ? ',' : '\t');
      const quote = options.quote ?? (format === 'csv' ? '"' : 'none');
      return readCsvRows(path, { delimiter, quote: quote === 'none' ? null : quote, header, encoding, maximumField });
    }
    case 'parquet':
      return readParquetRows(path);
    case 'arrow':
      return readArrowRows(path);
  }
}
