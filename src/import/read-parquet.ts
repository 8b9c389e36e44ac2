/** Reads Parquet files, a part of a row group at a time. */

import { type FileHandle, open } from 'node:fs/promises';
import { type AsyncBuffer, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { errorMessage } from '../errors.ts';
import { toPlain } from './plain-value.ts';
import type { SourceRows } from './source-row.ts';

// A part is decoded at once; all columns of this many rows are in memory together.
const rowsAtOnce = 1000;

/** The rows of a Parquet file. */
export async function* readParquetRows(path: string): SourceRows {
  const handle = await open(path, 'r');
  let row = 0;
  try {
    const file = await asyncBuffer(handle);
    const metadata = await parquetMetadataAsync(file);
    const total = Number(metadata.num_rows);
    for (let rowStart = 0; rowStart < total; rowStart += rowsAtOnce) {
      const rowEnd = Math.min(total, rowStart + rowsAtOnce);
      const rows = await parquetReadObjects({ file, metadata, compressors, rowStart, rowEnd });
      if (rows.length !== rowEnd - rowStart)
        throw new Error(`${rowEnd - rowStart} rows announced, ${rows.length} there`);
      yield rows.map((fields) => {
        row++;
        return { where: `${path}: row ${row}`, row, fields: toPlain(fields) as Record<string, unknown> };
      });
    }
  } catch (error) {
    const problem = `after row ${row}: not readable as Parquet (${errorMessage(error).slice(0, 120)})`;
    yield [{ where: path, reason: 'file damaged', problem }];
  } finally {
    await handle.close();
  }
}

async function asyncBuffer(handle: FileHandle): Promise<AsyncBuffer> {
  const { size } = await handle.stat();
  const read = async (start: number, end: number): Promise<ArrayBuffer> => {
    const from = start < 0 ? size + start : start;
    const length = end - from;
    if (!(from >= 0 && length >= 0 && from + length <= size)) throw new Error('an offset points outside the file');
    const bytes = new Uint8Array(length);
    await handle.read(bytes, 0, length, from);
    return bytes.buffer;
  };
  return { byteLength: size, slice: (start, end = size) => quietly(read(start, end)) };
}

/**
 * The same promise; it and its followers count as handled. The library decodes columns side by side and, on some damaged
 * files, throws before it awaits them all: what the others reject with would end the program.
 */
function quietly<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return Object.defineProperty(promise, 'then', {
    value: (...handlers: Parameters<typeof promise.then>) => {
      return quietly(Promise.prototype.then.apply(promise, handlers));
    },
  });
}
