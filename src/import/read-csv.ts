/** Reads CSV and TSV: with quotes or without, with a header line or none. */
import { pipeline, Readable } from 'node:stream';
import { type CsvError, type Info, parse } from 'csv-parse';
import { errorMessage } from '../errors.ts';
import { decodeText, type Encoding, readBytes } from './bytes.ts';
import { endsEarly } from './read-json-lines.ts';
import type { BadRow, SourceRow, SourceRows } from './source-row.ts';

/** How a file of separated values is written. */
export interface CsvOptions {
  delimiter: string;
  /** The quote sign, or null where quotes are letters like others. */
  quote: string | null;
  /** Whether the first line names the columns; they are named 0, 1, … otherwise. */
  header: boolean;
  encoding: Encoding;
  maximumField: number;
}

interface Parsed {
  record: readonly string[];
  info: Info;
}

const groupLength = 1000;

/**
 * The rows of a CSV or TSV file, blank lines passed over. A row with another number of fields than the first line, an
 * unclosed quote, or bytes that are not UTF-8 make a bad row.
 */
export async function* readCsvRows(path: string, options: CsvOptions): SourceRows {
  let rows: (SourceRow | BadRow)[] = [];
  let names: readonly string[] | null = null;
  let line = 1;
  try {
    for await (const parsed of parseFile(path, options, (bad) => rows.push(bad))) {
      const { record, info } = parsed as Parsed;
      const where = `${path}:${line}`;
      const row = line;
      line = info.lines + 1;
      if (names === null) {
        names = options.header ? record.map((name) => name.trim()) : record.map((_, i) => String(i));
        const twice = names.find((name, i) => names?.indexOf(name) !== i);
        if (twice !== undefined) {
          yield [{ where, reason: 'doubled column', problem: `column "${twice}" stands twice; expected it once` }];
          return;
        }
        if (options.header) continue;
      }
      if (record.length === names.length) {
        rows.push({ where, row, fields: Object.fromEntries(names.map((name, i) => [name, record[i]])) });
      } else {
        const problem = `expected ${names.length} fields, received ${record.length}`;
        rows.push({ where, reason: 'number of fields', problem });
      }
      if (rows.length < groupLength) continue;
      yield rows;
      rows = [];
    }
  } catch (error) {
    const code = (error as CsvError | undefined)?.code;
    const bad = code === undefined ? endsEarly(path, error) : null;
    rows.push(bad ?? { where: `${path}:${line}`, reason: 'broken quotes', problem: describe(error) });
  }
  yield rows;
}

const describe = (error: unknown): string => `${errorMessage(error).slice(0, 120)}; expected values with closed quotes`;

function parseFile(path: string, options: CsvOptions, onBad: (bad: BadRow) => void): AsyncIterable<unknown> {
  const parser = parse({
    bom: true,
    delimiter: options.delimiter,
    quote: options.quote,
    escape: options.quote,
    relax_column_count: true,
    skip_empty_lines: true,
    info: true,
    skip_records_with_error: true,
    on_skip: (error) => {
      const where = `${path}:${error?.lines ?? '?'}`;
      onBad({ where, reason: 'broken quotes', problem: describe(error) });
      return undefined;
    },
    // A quote that is never closed swallows the rest of the file; memory stays bounded all the same.
    max_record_size: 8 * options.maximumField,
  });
  const text = Readable.from(readText(path, options.encoding), { objectMode: true });
  return pipeline(text, parser, () => undefined);
}

/** Text in pieces, each ending where a line does, so that no character is cut apart. */
async function* readText(path: string, encoding: Encoding): AsyncGenerator<string> {
  if (encoding === 'latin-1') {
    for await (const piece of readBytes(path)) yield decodeText(piece, encoding) ?? '';
    return;
  }
  // Bytes that are not UTF-8 become U+FFFD here, and `checkText` refuses the row.
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  for await (const piece of readBytes(path)) yield decoder.decode(piece, { stream: true });
  yield decoder.decode();
}
