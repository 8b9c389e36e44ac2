/** Reads Arrow and Feather files, in stream and file format, with LZ4 and ZSTD bodies, a record batch at a time. */
import { CompressionType, compressionRegistry, type Data, DataType, RecordBatchReader } from 'apache-arrow';
import { Decompress } from 'fzstd';
import { errorMessage } from '../errors.ts';
import { checkedOffsets } from '../tables/arrow-columns.ts';
import { arrowMessages } from './arrow-messages.ts';
import { momentText } from './date-text.ts';
import { exactDecimal, signedInteger } from './decimal-text.ts';
import { unpackLz4Frame } from './lz4.ts';
import { toPlain } from './plain-value.ts';
import { isRecord, type SourceRow, type SourceRows } from './source-row.ts';

// More values than this in one batch of a column are a damaged length, and hours of counting.
const batchLimit = 1 << 26;
const rowsAtOnce = 1000;
// Bytes of one entry of a string view column.
const viewLength = 16;

/** The rows of an Arrow file. */
export async function* readArrowRows(path: string): SourceRows {
  registerCodecs();
  let row = 0;
  try {
    const reader = RecordBatchReader.from(arrowMessages(path));
    for (const batch of reader) {
      checkData(batch.data);
      const names = batch.schema.fields.map(({ name }) => name);
      const columns = names.map((_, i) => batch.getChildAt(i));
      const plain = batch.schema.fields.map(({ type }) => converter(type as DataType));
      let rows: SourceRow[] = [];
      for (let index = 0; index < batch.numRows; index++) {
        row++;
        const fields = Object.fromEntries(names.map((name, i) => [name, plain[i]?.(columns[i]?.get(index))]));
        rows.push({ where: `${path}: row ${row}`, row, fields });
        if (rows.length === rowsAtOnce) {
          yield rows;
          rows = [];
        }
      }
      yield rows;
    }
  } catch (error) {
    const problem = `after row ${row}: not readable as Arrow (${errorMessage(error).slice(0, 120)}); expected a whole file`;
    yield [{ where: path, reason: 'file damaged', problem }];
  }
}

/** Makes values of a type plain. Decimals are words of 32 bits, the lowest first, and dates numbers, which only their type can tell. */
function converter(type: DataType): (value: unknown) => unknown {
  if (DataType.isDecimal(type)) {
    const { scale } = type;
    return (value) => {
      if (!(value instanceof Uint32Array)) return null;
      const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
      return exactDecimal(signedInteger(bytes.slice().reverse()), scale);
    };
  }
  // Milliseconds, with a fraction where the unit is a smaller one; in a float64 it is good to the microsecond.
  if (isMoment(type)) {
    return (value) => (typeof value === 'number' ? momentText(BigInt(Math.round(value * 1000)) * 1000n) : null);
  }
  if (DataType.isDictionary(type)) return converter(type.dictionary);
  if (!holdsOwn(type)) return toPlain;
  const children = type.children.map(({ name, type: child }) => ({ name, convert: converter(child as DataType) }));
  if (DataType.isStruct(type)) {
    return (value) => {
      if (!isRecord(value)) return null;
      return Object.fromEntries(children.map(({ name, convert }) => [name, convert(value[name])]));
    };
  }
  if (DataType.isList(type) || DataType.isLargeList(type) || DataType.isFixedSizeList(type)) {
    const [entry] = children;
    return (value) =>
      isRecord(value) ? Array.from(value as unknown as Iterable<unknown>, entry?.convert ?? toPlain) : null;
  }
  throw new Error(`decimal numbers or dates in a ${type} are not read; expected them in lists or structs`);
}

const isMoment = (type: DataType): boolean => DataType.isDate(type) || DataType.isTimestamp(type);

/** True where a type, or one within it, is converted here. */
function holdsOwn(type: DataType): boolean {
  if (DataType.isDecimal(type) || isMoment(type)) return true;
  return (type.children ?? []).some((child) => holdsOwn(child.type as DataType));
}

function registerCodecs(): void {
  compressionRegistry.set(CompressionType.LZ4_FRAME, { decode: unpackLz4Frame });
  compressionRegistry.set(CompressionType.ZSTD, { decode: unpackZstd });
}

/** Output is gathered in pieces, so that a damaged frame cannot ask for more memory than it fills. */
function unpackZstd(frame: Uint8Array): Uint8Array {
  const pieces: Uint8Array[] = [];
  new Decompress((piece) => pieces.push(piece)).push(frame, true);
  return new Uint8Array(Buffer.concat(pieces));
}

/** Raises RangeError where a column claims values outside its memory. */
function checkData(data: Data): void {
  const { type, length } = data;
  if (length > batchLimit) throw new RangeError('a column claims more values than a batch can hold');
  if (DataType.isUtf8(type) || DataType.isLargeUtf8(type) || DataType.isBinary(type) || DataType.isLargeBinary(type)) {
    if (length > 0) checkedOffsets(data, data.values.length);
  } else if (DataType.isList(type) || DataType.isLargeList(type)) {
    if (length > 0) checkedOffsets(data, data.children[0]?.length ?? 0);
  } else if (DataType.isStruct(type)) {
    if (data.children.some((child) => child.length < length)) throw new RangeError('its memory ends early');
  } else if (DataType.isUtf8View(type) || DataType.isBinaryView(type)) {
    if (data.values.byteLength < viewLength * length) throw new RangeError('its memory ends early');
  } else if (DataType.isBool(type)) {
    if (8 * data.values.length < length) throw new RangeError('its memory ends early');
  } else if (DataType.isInt(type) || DataType.isFloat(type) || DataType.isDictionary(type)) {
    if (data.values.length < length) throw new RangeError('its memory ends early');
  }
  for (const child of data.children) if (child !== undefined) checkData(child);
}
