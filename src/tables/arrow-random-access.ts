/** Reading single rows of an Arrow file where they stand, without loading the file. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { DataType, Message, type Schema } from 'apache-arrow';
import { Footer } from 'apache-arrow/ipc/metadata/file';
import { DataError, errorMessage, hasCode } from '../errors.ts';
import { verifyFooter, verifyMessage } from './arrow-verify.ts';

/** A column of whole-number lists; token ids and masks. */
export interface ListColumn {
  /** Number of entries of each row, [rows]. */
  readonly lengths: Int32Array;
  /** The entries of one row. */
  read(row: number): Int32Array;
}

/** An open file. Reads are synchronous and touch only the bytes of the rows asked for. */
export interface RandomAccessTable {
  readonly rows: number;
  readonly metadata: Readonly<Record<string, string>>;
  /** @throws DataError where there is no such column of the type list<int32> */
  listColumn(name: string): ListColumn;
  close(): void;
}

/** Where one record batch keeps a column: byte positions in the file. */
interface BatchPlace {
  /** Index of its first row in the table. */
  readonly first: number;
  readonly rows: number;
  /** [offset, length] in bytes of every buffer of the batch, in Arrow's order. */
  readonly buffers: readonly (readonly [number, number])[];
}

const magic = 'ARROW1';

/**
 * Opens an uncompressed Arrow IPC file: the footer and the description of each record batch are read, nothing else.
 * Format: https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format
 *
 * @param writtenBy the command that makes such a file, for errors
 * @throws DataError where it is missing, not an Arrow file, compressed or damaged
 */
export function openRandomAccess(path: string, writtenBy: string): RandomAccessTable {
  const fail = (what: string, cause?: unknown): DataError =>
    new DataError(`${path}: ${what}. Run ${writtenBy}.`, { cause });
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) throw fail('the file is missing; expected an Arrow file', error);
    throw error;
  }
  try {
    const size = fstatSync(file).size;
    const schemaAndBatches = readLayout(file, size);
    return openTable(path, file, size, schemaAndBatches, fail);
  } catch (error) {
    closeSync(file);
    if (error instanceof DataError) throw error;
    throw fail(`the file is damaged or not an uncompressed Arrow file (${errorMessage(error)})`, error);
  }
}

interface Layout {
  readonly schema: Schema;
  readonly batches: readonly BatchPlace[];
}

function readLayout(file: number, size: number): Layout {
  const bytes = (at: number, length: number): Buffer => readBytes(file, at, length, size);
  if (size < 18 || bytes(0, 6).toString('latin1') !== magic || bytes(size - 6, 6).toString('latin1') !== magic) {
    throw new RangeError(`it does not begin and end with ${magic}`);
  }
  const footerLength = bytes(size - 10, 4).readInt32LE();
  const footerBytes = bytes(size - 10 - footerLength, footerLength);
  verifyFooter(footerBytes);
  const footer = Footer.decode(footerBytes);
  const batches: BatchPlace[] = [];
  let first = 0;
  for (const block of footer.recordBatches()) {
    const description = bytes(block.offset, block.metaDataLength);
    // A continuation mark of four bytes 0xff stands before the length since Arrow 0.15.
    const prefix = description.readInt32LE(0) === -1 ? 8 : 4;
    verifyMessage(description.subarray(prefix));
    const message = Message.decode(description.subarray(prefix));
    if (!message.isRecordBatch()) throw new RangeError('a record batch is not where the footer says');
    const header = message.header() as RecordBatchHeader;
    if (header.compression !== null && header.compression !== undefined) throw new RangeError('it is compressed');
    const body = block.offset + block.metaDataLength;
    const buffers = header.buffers.map(({ offset, length }) => [body + Number(offset), Number(length)] as const);
    for (const [at, length] of buffers)
      if (at < 0 || length < 0 || at + length > size) throw new RangeError('a buffer ends after the file');
    const rows = Number(header.length);
    // A row takes at least a few bits in every column: more rows than bits is a damaged number.
    if (!(rows >= 0 && rows <= 8 * size)) throw new RangeError(`a record batch claims ${rows} rows`);
    // A damaged count would ask for memory without end; a list column takes at least four bytes a row.
    if (rows < 0 || 4 * rows > size) throw new RangeError(`a record batch claims ${rows} rows`);
    batches.push({ first, rows, buffers });
    first += rows;
  }
  return { schema: footer.schema, batches };
}

/** The part of Arrow's record batch message that is read here. */
interface RecordBatchHeader {
  readonly length: number;
  readonly buffers: readonly { readonly offset: number; readonly length: number }[];
  readonly compression?: unknown;
}

function openTable(
  path: string,
  file: number,
  size: number,
  { schema, batches }: Layout,
  fail: (what: string, cause?: unknown) => DataError,
): RandomAccessTable {
  const last = batches.at(-1);
  const rows = last === undefined ? 0 : last.first + last.rows;
  return {
    rows,
    metadata: Object.fromEntries(schema.metadata),
    listColumn: (name) => {
      const index = schema.fields.findIndex((field) => field.name === name);
      const type = schema.fields[index]?.type;
      if (type === undefined) {
        const names = schema.fields.map((field) => field.name).join(', ');
        throw new DataError(`${path}: no column "${name}"; expected it among ${names}. Name another file.`);
      }
      if (!DataType.isList(type) || !DataType.isInt(type.valueType) || type.valueType.bitWidth !== 32) {
        throw fail(`column "${name}": expected list<int32>, received ${type}`);
      }
      try {
        const firstBuffer = schema.fields.slice(0, index).reduce((sum, field) => sum + bufferCount(field.type), 0);
        return listColumn(file, size, rows, batches, firstBuffer);
      } catch (error) {
        throw fail(`column "${name}" is damaged (${errorMessage(error)})`, error);
      }
    },
    close: () => closeSync(file),
  };
}

/** Buffers that a column takes in a record batch: validity, offsets, values, and those of its children. */
function bufferCount(type: DataType): number {
  if (DataType.isList(type)) return 2 + bufferCount(type.valueType);
  if (DataType.isStruct(type)) return type.children.reduce((sum, child) => sum + bufferCount(child.type), 1);
  if (DataType.isUtf8(type) || DataType.isBinary(type)) return 3;
  if (DataType.isInt(type) || DataType.isFloat(type) || DataType.isBool(type)) return 2;
  throw new RangeError(`a column before it is ${type}`);
}

function listColumn(
  file: number,
  size: number,
  rows: number,
  batches: readonly BatchPlace[],
  firstBuffer: number,
): ListColumn {
  const lengths = new Int32Array(rows);
  // Byte position of each row's first entry: 8 bytes a row, against the hundreds that its tokens take.
  const places = new Float64Array(rows);
  for (const { first, rows: count, buffers } of batches) {
    const [offsetsAt, offsetBytes] = buffers[firstBuffer + 1] ?? [0, 0];
    const [valuesAt, valueBytes] = buffers[firstBuffer + 3] ?? [0, 0];
    if (count === 0) continue;
    if (offsetBytes < 4 * (count + 1)) throw new RangeError('its offsets end early');
    const offsets = readBytes(file, offsetsAt, 4 * (count + 1), size);
    let start = offsets.readInt32LE(0);
    for (let i = 0; i < count; i++) {
      const end = offsets.readInt32LE(4 * (i + 1));
      if (start < 0 || end < start || 4 * end > valueBytes) throw new RangeError('an offset points outside its values');
      lengths[first + i] = end - start;
      places[first + i] = valuesAt + 4 * start;
      start = end;
    }
  }
  return {
    lengths,
    read: (row) => {
      const entries = new Int32Array(lengths[row] ?? 0);
      if (entries.length === 0) return entries;
      const bytes = new Uint8Array(entries.buffer);
      if (readSync(file, bytes, 0, bytes.length, places[row] ?? 0) !== bytes.length) {
        throw new DataError(`row ${row}: the file was cut off while it was read. Run the stage again.`);
      }
      return entries;
    },
  };
}

function readBytes(file: number, at: number, length: number, size: number): Buffer {
  if (length < 0 || at < 0 || at + length > size) throw new RangeError('a part lies outside the file');
  const bytes = Buffer.alloc(length);
  if (readSync(file, bytes, 0, length, at) !== length) throw new RangeError('it ends early');
  return bytes;
}
