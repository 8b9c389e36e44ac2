/** Reads Parquet files, some rows at a time, in time that grows with the rows and memory that does not. */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { type Compressors, parquetMetadata, parquetSchema, type RowGroup, type SchemaTree } from 'hyparquet';
import { assembleNested } from 'hyparquet/src/assemble.js';
import { getTreePath } from 'hyparquet/src/schema.js';
import { compressors } from 'hyparquet-compressors';
import { errorMessage } from '../errors.ts';
import { openColumn, parsers, type ReadBytes } from './parquet-column.ts';
import { toPlain } from './plain-value.ts';
import type { SourceRow, SourceRows } from './source-row.ts';

const rowsAtOnce = 1000;
/** A page without bytes, as of a column of nulls, has nothing to unpack; not every unpacker knows that. */
const unpackers: Compressors = Object.fromEntries(
  Object.entries(compressors).map(([name, unpack]) => [
    name,
    (packed: Uint8Array, length: number) => (length === 0 ? new Uint8Array(0) : unpack(packed, length)),
  ]),
);
// "PAR1", and the length of the metadata in front of it.
const footerLength = 8;

/**
 * The rows of a Parquet file. In memory are `rowsAtOnce` rows and a page of every column (a megabyte each, as most
 * writers make them), whatever the length of the row groups.
 *
 * @param codecs what unpacks pages
 */
export async function* readParquetRows(path: string, codecs: Compressors = unpackers): SourceRows {
  const descriptor = openSync(path, 'r');
  let row = 0;
  try {
    const read = byteReader(descriptor);
    const metadata = readMetadata(read, fstatSync(descriptor).size);
    const schema = parquetSchema(metadata);
    for (const group of metadata.row_groups) {
      const columns = schema.children.map((child) => openField(read, group, { root: schema, child, codecs }));
      const total = Number(group.num_rows);
      for (let start = 0; start < total; start += rowsAtOnce) {
        const count = Math.min(rowsAtOnce, total - start);
        const values = columns.map(({ name, take }) => ({ name, values: take(count) }));
        yield Array.from({ length: count }, (_, i): SourceRow => {
          row++;
          const fields = Object.fromEntries(values.map(({ name, values: column }) => [name, toPlain(column[i])]));
          return { where: `${path}: row ${row}`, row, fields };
        });
      }
    }
    const announced = Number(metadata.num_rows);
    if (row !== announced) throw new Error(`${announced} rows announced, ${row} there`);
  } catch (error) {
    const problem = `after row ${row}: not readable as Parquet (${errorMessage(error).slice(0, 120)})`;
    yield [{ where: path, reason: 'file damaged', problem }];
  } finally {
    closeSync(descriptor);
  }
}

function readMetadata(read: ReadBytes, size: number): ReturnType<typeof parquetMetadata> {
  const footer = read(size - footerLength, footerLength);
  const length = new DataView(footer.buffer, footer.byteOffset).getUint32(0, true) + footerLength;
  return parquetMetadata(read(size - length, length));
}

/** A field of the rows: its name, and its values in order. */
interface Field {
  name: string;
  take(rows: number): ArrayLike<unknown>;
}

/** Opens a field of the rows of a group: a column, or the columns that a nested field is put together from. */
function openField(
  read: ReadBytes,
  group: RowGroup,
  { root, child, codecs }: { root: SchemaTree; child: SchemaTree; codecs: Compressors },
): Field {
  const { name } = child.element;
  const columns = group.columns.flatMap(({ meta_data: chunk }) => {
    if (chunk === undefined) throw new Error('a column without description');
    if (chunk.path_in_schema[0] !== name) return [];
    const path = chunk.path_in_schema.join('.');
    return [{ path, cursor: openColumn(read, chunk, getTreePath(root, chunk.path_in_schema), codecs) }];
  });
  const [first] = columns;
  if (first === undefined) throw new Error(`no column "${name}"`);
  if (child.children.length === 0) return { name, take: (rows) => first.cursor.take(rows) };
  const take = (rows: number): ArrayLike<unknown> => {
    const parts = new Map(columns.map(({ path, cursor }) => [path, cursor.take(rows)]));
    assembleNested(parts, child, parsers);
    const whole = parts.get(name);
    if (whole?.length !== rows) throw new Error(`"${name}": ${rows} rows announced, ${whole?.length ?? 0} there`);
    return whole;
  };
  return { name, take };
}

function byteReader(descriptor: number): ReadBytes {
  const { size } = fstatSync(descriptor);
  return (start, length) => {
    if (!(start >= 0 && length >= 0 && start + length <= size))
      throw new RangeError('an offset points outside the file');
    const bytes = new Uint8Array(length);
    if (readSync(descriptor, bytes, 0, length, start) < length) throw new RangeError('the file is cut off');
    return bytes;
  };
}
