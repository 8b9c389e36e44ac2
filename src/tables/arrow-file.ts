/** Tables as files: Arrow IPC in `file` format, written whole or not at all, checked column by column when read. */
import { readFileSync } from 'node:fs';
import { type Data, type RecordBatch, RecordBatchReader, StructRow, Table, tableToIPC, Vector } from 'apache-arrow';
import { DataError, errorMessage, hasCode } from '../errors.ts';
import { atomicWrite } from '../files/atomic-write.ts';
import { arrowBatch, arrowSchema, batchRows, rowProblems, type TableMetadata } from './arrow-batch.ts';
import { decodeColumn, isReadableAs } from './arrow-columns.ts';
import type { Columns, Row } from './columns.ts';

export type { TableMetadata };

/** A table read from a file. */
export interface ReadTable<C extends Columns> {
  rows: Row<C>[];
  metadata: TableMetadata;
}

/** One column as found in a file, for showing. */
export interface FoundColumn {
  name: string;
  type: string;
  description: string;
}

const magic = 'ARROW1';

/**
 * Writes rows to an `.arrow` file, replacing what is there in one step.
 *
 * @throws DataError naming row and column of every value that does not fit (the first ten)
 */
export async function writeTable<C extends Columns>(
  path: string,
  columns: C,
  rows: readonly Row<C>[],
  metadata: TableMetadata = {},
): Promise<void> {
  await atomicWrite(path, encodeTable(path, columns, rows, metadata));
}

/**
 * The bytes of an `.arrow` file.
 *
 * @param where the file's name, for errors
 * @throws DataError as `writeTable`
 */
export function encodeTable<C extends Columns>(
  where: string,
  columns: C,
  rows: readonly Row<C>[],
  metadata: TableMetadata = {},
): Uint8Array {
  checkRows(where, columns, rows);
  const schema = arrowSchema(columns, metadata);
  const batches: RecordBatch[] = [];
  for (let start = 0; start === 0 || start < rows.length; start += batchRows) {
    batches.push(arrowBatch(schema, columns, rows.slice(start, start + batchRows)));
  }
  return tableToIPC(new Table(schema, batches), 'file');
}

function checkRows<C extends Columns>(where: string, columns: C, rows: readonly Row<C>[]): void {
  const problems: string[] = [];
  for (const [index, row] of rows.entries()) {
    problems.push(...rowProblems(where, columns, row, index));
    if (problems.length >= 10) break;
  }
  if (problems.length > 0) throw new DataError(problems);
}

/**
 * Reads the named columns of an `.arrow` file; other columns are passed over. Integer widths and string layouts of
 * other writers (pandas, polars) are converted.
 *
 * @param writtenBy the command that makes such a file, for errors
 * @throws DataError when the file is missing, empty, cut off, damaged or in stream format; or for all columns that are
 *   missing or of another type, at once
 */
export function readTable<C extends Columns>(path: string, columns: C, writtenBy: string): ReadTable<C> {
  const table = openTable(path, writtenBy);
  const problems: string[] = [];
  const found = table.schema.fields.map((field) => field.name).join(', ') || 'none';
  for (const [name, column] of Object.entries(columns)) {
    const { kind } = column;
    const field = table.schema.fields.find((candidate) => candidate.name === name);
    if (field === undefined) {
      problems.push(
        `${path}: column "${name}" is missing; expected ${kind}, found the columns ${found}. Run ${writtenBy}.`,
      );
    } else if (!isReadableAs(column, field.type)) {
      problems.push(
        `${path}: column "${name}" has another type; expected ${kind}, received ${field.type}. Run ${writtenBy}.`,
      );
    }
  }
  if (problems.length > 0) throw new DataError(problems);

  const decoded = Object.entries(columns).map(([name, column]): [string, unknown[]] => {
    const vector = table.getChild(name);
    try {
      return [name, vector === null ? [] : decodeColumn(column, vector)];
    } catch (error) {
      problems.push(`${path}: column "${name}": ${errorMessage(error)}; expected ${column.kind}. Run ${writtenBy}.`);
      return [name, []];
    }
  });
  if (problems.length > 0) throw new DataError(problems);
  const rows = Array.from({ length: table.numRows }, (_, index) => {
    return Object.fromEntries(decoded.map(([name, values]) => [name, values[index]])) as Row<C>;
  });
  return { rows, metadata: Object.fromEntries(table.schema.metadata) };
}

/** Name, type and description of every column of a file, its metadata and row count, and its rows as plain values. */
export function inspectTable(path: string): {
  columns: FoundColumn[];
  metadata: TableMetadata;
  rowCount: number;
  row: (index: number) => Record<string, unknown>;
} {
  const table = openTable(path, 'the program that wrote it again');
  return {
    columns: table.schema.fields.map((field) => ({
      name: field.name,
      type: String(field.type),
      description: field.metadata.get('description') ?? '',
    })),
    metadata: Object.fromEntries(table.schema.metadata),
    rowCount: table.numRows,
    row: (index) => {
      const values = table.schema.fields.map(({ name }) => [name, plain(table.getChild(name)?.get(index))]);
      return Object.fromEntries(values);
    },
  };
}

/** Arrow's lists and structs as lists and objects. */
function plain(value: unknown): unknown {
  if (value instanceof Vector) return [...(value as Iterable<unknown>)].map(plain);
  if (!(value instanceof StructRow)) return value;
  return Object.fromEntries(Object.entries(value.toJSON()).map(([name, entry]) => [name, plain(entry)]));
}

function openTable(path: string, writtenBy: string): Table {
  const bytes = readBytes(path, writtenBy);
  const text = (start: number, end: number): string => String.fromCharCode(...bytes.subarray(start, end));
  const fail = (what: string): DataError => new DataError(`${path}: ${what}. Run ${writtenBy}.`);
  if (bytes.length === 0) throw fail('the file is empty; expected an Arrow file, received 0 bytes');
  if (bytes.length >= 4 && bytes.subarray(0, 4).every((byte) => byte === 0xff)) {
    throw new DataError(
      `${path}: the file is in Arrow's stream format; expected its file format. Convert it, in Python: ` +
        'pyarrow.feather.write_feather(pyarrow.ipc.open_stream(source).read_all(), target, compression="uncompressed").',
    );
  }
  if (text(0, 6) !== magic) throw fail(`not an Arrow file; expected it to begin with ${magic}`);
  if (bytes.length < 20 || text(bytes.length - 6, bytes.length) !== magic) {
    throw fail(`the file is cut off; expected it to end with ${magic}, received ${bytes.length} bytes that do not`);
  }
  try {
    return readBatches(bytes);
  } catch (error) {
    if (/codec|compress/i.test(errorMessage(error))) {
      throw new DataError(
        `${path}: the file is compressed; expected uncompressed record batches. Write it again with compression="uncompressed".`,
        { cause: error },
      );
    }
    throw new DataError(`${path}: the file is damaged (${errorMessage(error)}). Run ${writtenBy}.`, { cause: error });
  }
}

/** The library's own `tableFromIPC` never ends on some damaged files, so each batch is asked for by its number. */
function readBatches(bytes: Uint8Array): Table {
  const reader = RecordBatchReader.from(bytes);
  if (!reader.isFile() || !reader.isSync()) throw new Error('its beginning is not that of a file');
  reader.open();
  const batches = Array.from({ length: reader.numRecordBatches }, (_, index) => {
    const batch = reader.readRecordBatch(index);
    if (batch === null || claimsMoreThan(8 * bytes.length, batch.data)) {
      throw new Error(`record batch ${index} is not readable`);
    }
    return batch;
  });
  return new Table(reader.schema, batches);
}

/** True where a column claims more values than the file has bits: a damaged length, and hours of counting. */
function claimsMoreThan(limit: number, data: Data): boolean {
  return data.length > limit || data.children.some((child) => child !== undefined && claimsMoreThan(limit, child));
}

function readBytes(path: string, writtenBy: string): Uint8Array {
  try {
    return new Uint8Array(readFileSync(path));
  } catch (error) {
    if (hasCode(error, 'ENOENT')) {
      throw new DataError(`${path}: the file is missing; expected an Arrow file. Run ${writtenBy}.`, { cause: error });
    }
    if (hasCode(error, 'EISDIR')) {
      throw new DataError(`${path}: a folder; expected an Arrow file. Name the .arrow file in it.`, { cause: error });
    }
    throw error;
  }
}
