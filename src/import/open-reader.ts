/** The reader for a file's format. */

import type { Encoding } from './encodings.ts';
import type { SourceFile } from './files.ts';
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
 * Opens a file; its reader is loaded then, so that a program's help need not wait for all of them. Faults in it are yielded as bad rows; a missing file raises DataError.
 *
 * @param note receives a line for the report on parts of the file that are not rows
 */
export async function* openReader(
  { path, format }: Pick<SourceFile, 'path' | 'format'>,
  options: ReadOptions,
  note: (line: string) => void,
): SourceRows {
  const { encoding, maximumField, header } = options;
  switch (format) {
    case 'jsonl': {
      const { readJsonLineRows } = await import('./read-json-lines.ts');
      return yield* readJsonLineRows(path, encoding, maximumField);
    }
    case 'json': {
      const { readJsonRows } = await import('./read-json.ts');
      return yield* readJsonRows(path, encoding, note);
    }
    case 'csv':
    case 'tsv': {
      const delimiter = options.delimiter ?? (format === 'csv' ? ',' : '\t');
      const quote = options.quote ?? (format === 'csv' ? '"' : 'none');
      const { readCsvRows } = await import('./read-csv.ts');
      return yield* readCsvRows(path, {
        delimiter,
        quote: quote === 'none' ? null : quote,
        header,
        encoding,
        maximumField,
      });
    }
    case 'parquet': {
      const { readParquetRows } = await import('./read-parquet.ts');
      return yield* readParquetRows(path);
    }
    case 'arrow': {
      const { readArrowRows } = await import('./arrow-source.ts');
      return yield* readArrowRows(path);
    }
  }
}
