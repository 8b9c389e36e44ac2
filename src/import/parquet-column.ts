/** One column of a row group of a Parquet file, decoded a page at a time and each page once. */

import type { ColumnMetaData, Compressors, DecodedArray, PageHeader, SchemaTree } from 'hyparquet';
import { parquetHeader, readPage } from 'hyparquet/src/column.js';
import { convert, DEFAULT_PARSERS } from 'hyparquet/src/convert.js';
import { isFlatColumn } from 'hyparquet/src/schema.js';
import { momentText } from './date-text.ts';
import { exactDecimal, signedInteger } from './decimal-text.ts';

/** Bytes of a file. Throws RangeError where they are not inside it. */
export type ReadBytes = (start: number, length: number) => Uint8Array;

/** The values of a column, in order: what a row has under it, lists and their parts as nested lists. */
export interface ColumnCursor {
  /** The values of the next rows. @throws Error where fewer are left, or the column is damaged */
  take(rows: number): unknown[];
}

/** The library's, but for moments, whose digits beyond the milliseconds they lose. */
export const parsers: typeof DEFAULT_PARSERS = {
  ...DEFAULT_PARSERS,
  timestampFromMicroseconds: (count: bigint) => momentText(BigInt(count) * 1000n),
  timestampFromNanoseconds: (count: bigint) => momentText(BigInt(count)),
};

// Most headers are shorter; some hold statistics of any length.
const headerLength = 1 << 12;

/**
 * Opens a column. In memory are one page and the values that have not been taken: rows of a nested column may go on in
 * the next page, so its last value is kept back until that is known.
 *
 * @param schemaPath from the root of the schema to the column
 */
export function openColumn(
  read: ReadBytes,
  chunk: ColumnMetaData,
  schemaPath: SchemaTree[],
  compressors: Compressors,
): ColumnCursor {
  const element = schemaPath.at(-1)?.element;
  if (element === undefined) throw new Error('a column without type');
  const isDecimal = element.converted_type === 'DECIMAL' || element.logical_type?.type === 'DECIMAL';
  const isFlat = isFlatColumn(schemaPath);
  const decoder = {
    ...chunk,
    pathInSchema: chunk.path_in_schema,
    schemaPath,
    compressors,
    parsers,
    // The library turns decimals into float64; their bytes are decoded here.
    element: isDecimal ? withoutMeaning(element) : element,
    utf8: !isDecimal,
  };
  let at = Number(chunk.dictionary_page_offset || chunk.data_page_offset);
  const end = at + Number(chunk.total_compressed_size);
  let left = Number(chunk.num_values);
  let dictionary: DecodedArray | undefined;
  let values: unknown[] = [];
  let taken = 0;

  const readNext = (): void => {
    const { header, length } = readHeader(read, at, end);
    const reader = { view: viewOf(read(at + length, header.compressed_page_size)), offset: 0 };
    at += length + header.compressed_page_size;
    if (header.type === 'DICTIONARY_PAGE') {
      const { data } = readPage(reader, header, decoder, undefined, undefined, 0);
      if (data !== undefined) dictionary = convert(data, decoder);
      return;
    }
    const count = (header.data_page_header ?? header.data_page_header_v2)?.num_values ?? 0;
    if (!(count >= 0 && count <= left)) throw new Error('a page claims more values than its column');
    left -= count;
    if (count === 0) return;
    values = values.slice(taken);
    taken = 0;
    const { data = [] } = readPage(reader, header, decoder, dictionary, isFlat ? undefined : values, 0);
    // A nested column goes on in the list that it was given.
    if (data !== values) values = values.concat(Array.from(data as ArrayLike<unknown>));
  };
  return {
    take: (rows) => {
      const isThere = (): boolean => values.length - taken >= rows + (isFlat || left === 0 ? 0 : 1);
      while (!isThere() && left > 0 && at < end) readNext();
      if (values.length - taken < rows) throw new Error(`${rows} rows announced, ${values.length - taken} there`);
      const part = values.slice(taken, taken + rows);
      taken += rows;
      return isDecimal ? part.map((value) => decimalsOf(value, element.scale ?? 0)) : part;
    },
  };
}

/** A type without what its bytes mean. */
function withoutMeaning(element: SchemaTree['element']): SchemaTree['element'] {
  const { converted_type: _, logical_type: __, ...plain } = element;
  return plain;
}

function decimalsOf(value: unknown, scale: number): unknown {
  if (Array.isArray(value)) return value.map((entry) => decimalsOf(entry, scale));
  if (value instanceof Uint8Array) return exactDecimal(signedInteger(value), scale);
  return typeof value === 'number' || typeof value === 'bigint' ? exactDecimal(BigInt(value), scale) : value;
}

/** The header of the page at a place, and its length. */
function readHeader(read: ReadBytes, at: number, end: number): { header: PageHeader; length: number } {
  for (let length = headerLength; ; length *= 16) {
    const most = Math.min(length, end - at);
    const reader = { view: viewOf(read(at, most)), offset: 0 };
    try {
      return { header: parquetHeader(reader), length: reader.offset };
    } catch (error) {
      if (most === end - at) throw error;
    }
  }
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
