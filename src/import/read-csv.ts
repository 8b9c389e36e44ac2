/** Reads CSV and TSV: with quotes or without, with a header line or none. */
import { pipeline, Readable } from 'node:stream';
import { type CsvError, parse } from 'csv-parse';
import { errorMessage } from '../errors.ts';
import type { Encoding } from './encodings.ts';
import { endsEarly } from './read-json-lines.ts';
import type { BadRow, SourceRow, SourceRows } from './source-row.ts';
import { nameOf, openText, readBlocks } from './text-source.ts';

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

/** The fields of a row, its first and its last line. */
type Parsed = string[] & { first: number; last: number };

const groupLength = 1000;
// A line holds several fields.
const lineFactor = 8;

/**
 * The rows of a CSV or TSV file, blank lines passed over. A row with another number of fields than the first line, an
 * unclosed quote, or bytes that are not in its encoding make a bad row.
 */
export async function* readCsvRows(path: string, options: CsvOptions): SourceRows {
  let rows: (SourceRow | BadRow)[] = [];
  let names: readonly string[] | null = null;
  let line = 1;
  const faults = new Map<number, string>();
  const faultBefore = (end: number): BadRow | null => {
    for (const [at, problem] of faults) {
      if (at >= end) return null;
      faults.delete(at);
      if (at >= line) return { where: `${path}:${at}`, reason: `not ${nameOf(options.encoding)}`, problem };
    }
    return null;
  };
  try {
    for await (const parsed of parseFile(path, options, { faults, onBad: (bad) => rows.push(bad) })) {
      const record = parsed as Parsed;
      const { first, last } = record;
      line = first;
      const where = `${path}:${line}`;
      const row = line;
      const fault = faultBefore(last + 1);
      line = last + 1;
      if (names === null) {
        names = options.header ? record.map((name) => name.trim()) : record.map((_, i) => String(i));
        const twice = names.find((name, i) => names?.indexOf(name) !== i);
        if (twice !== undefined) {
          yield [{ where, reason: 'doubled column', problem: `column "${twice}" stands twice; expected it once` }];
          return;
        }
        if (options.header) {
          if (fault !== null) rows.push(fault);
          continue;
        }
      }
      if (fault !== null) rows.push(fault);
      else if (record.length === names.length) {
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

function parseFile(
  path: string,
  options: CsvOptions,
  { faults, onBad }: { faults: Map<number, string>; onBad: (bad: BadRow) => void },
): AsyncIterable<unknown> {
  const lines = lineCounter();
  // The parser counts CRLF within quotes twice.
  let excess = 0;
  let lastBad = '';
  const parser = parse({
    delimiter: options.delimiter,
    quote: options.quote,
    escape: options.quote,
    relax_column_count: true,
    skip_empty_lines: true,
    on_record: (record, { bytes, lines: counted }): Parsed => {
      const last = lines.at(bytes - 1);
      excess = counted - last;
      const within = record.reduce((count, field) => count + field.split(lines.sign()).length - 1, 0);
      return Object.assign(record, { first: last - within, last });
    },
    skip_records_with_error: true,
    on_skip: (error) => {
      const where = `${path}:${Number(error?.lines) - excess}`;
      // A row with several such quotes is one bad row.
      if (where !== lastBad) onBad({ where, reason: 'broken quotes', problem: describe(error) });
      lastBad = where;
      return undefined;
    },
    // A quote that is never closed swallows the rest of the file; memory stays bounded all the same.
    max_record_size: lineFactor * options.maximumField,
  });
  const text = Readable.from(readText(path, options, faults, lines), { objectMode: true });
  return pipeline(text, parser, () => undefined);
}

/** Text in blocks of whole lines; lines that are not in their encoding are told of before the parser sees them. */
async function* readText(
  path: string,
  { encoding, maximumField }: CsvOptions,
  faults: Map<number, string>,
  lines: LineCounter,
) {
  const source = await openText(path, encoding);
  for await (const block of readBlocks(source, lineFactor * maximumField)) {
    for (const { line, problem } of block.faults) faults.set(line, problem);
    const bytes = Buffer.from(block.text, 'utf8');
    lines.add(bytes);
    yield bytes;
  }
}

/** Lines of a text, by the places of its bytes. */
interface LineCounter {
  add(bytes: Buffer): void;
  /** The line of a byte, from 1 on; no byte in front of it is asked for later. */
  at(place: number): number;
  /** What ends lines: LF, or CR in a text without LF. */
  sign(): string;
}

function lineCounter(): LineCounter {
  let breaks: number[] = [];
  let sign = '';
  let length = 0;
  let next = 0;
  let line = 1;
  return {
    add: (bytes) => {
      if (sign === '') sign = bytes.includes('\n') ? '\n' : '\r';
      breaks = breaks.slice(next);
      next = 0;
      for (let at = bytes.indexOf(sign); at !== -1; at = bytes.indexOf(sign, at + 1)) breaks.push(length + at);
      length += bytes.length;
    },
    at: (place) => {
      for (; (breaks[next] ?? Number.POSITIVE_INFINITY) < place; next++) line++;
      return line;
    },
    sign: () => sign,
  };
}
