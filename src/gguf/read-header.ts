/**
 * The header of a GGUF file: version, metadata, the list of tensors. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 *
 * Nothing the file says is believed before it fits into the bytes that are there: counts and lengths are compared with what
 * is left of the file, so that a damaged or hostile header costs neither memory nor time. (The npm package
 * @huggingface/gguf 0.4.6 reads zeros after the end of a file that was cut short, and cuts the last string of a list where
 * it crosses the end of a piece of 2 MB.)
 */
import { fstatSync } from 'node:fs';
import { readBytes } from '../checkpoint/file-bytes.ts';
import { CheckpointError } from '../errors.ts';
import { GGUF_ALIGNMENT, GGUF_MAGIC, VALUE_TYPES } from './gguf-types.ts';

type Scalar = number | boolean | string;

/** A value of the metadata; whole numbers of 64 bits are plain numbers. */
export type MetadataValue = Scalar | readonly Scalar[];

/** A tensor as the header has it. */
export interface ListedTensor {
  readonly name: string;
  /** Number of its type in the file. */
  readonly type: number;
  /** Slowest dimension first; the file has them the other way round. */
  readonly shape: readonly number[];
  /** From the start of the data. */
  readonly offset: number;
}

/** What stands before the data. */
export interface GgufHeader {
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  readonly tensors: readonly ListedTensor[];
  /** Multiples of this many bytes are where tensors begin. */
  readonly alignment: number;
  /** First byte of the data. */
  readonly dataStart: number;
}

/** Far above what published files have: 262,144 tokens with scores, kinds and 600,000 merges are a million values, 20 MB. */
const MOST_VALUES = 2 ** 23;
const MOST_HEADER_BYTES = 2 ** 28;
const MOST_DIMENSIONS = 4;

/** Bytes of one read. */
const WINDOW_BYTES = 2 ** 18;

/** Takes values one after the other from the start of a file. */
interface Cursor {
  readonly at: () => number;
  /** The next bytes; valid until the next call. */
  take(bytes: number, what: string): Buffer;
  uint32(what: string): number;
  uint64(what: string): number;
  text(what: string): string;
  /** @throws CheckpointError always */
  fail(problem: string): never;
}

/**
 * Reads the header of an open file.
 * @param path names the file in errors
 * @throws CheckpointError where it is no GGUF file of version 2 or 3, is cut short, or says what cannot be
 */
export function readHeader(file: number, path: string): GgufHeader {
  const cursor: Cursor = cursorOf(file, path);
  checkVersion(cursor);
  const tensorCount = cursor.uint64('the number of tensors');
  const keyCount = cursor.uint64('the number of metadata keys');
  const budget = { left: MOST_VALUES };
  const spend = (values: number, least: number, what: string): void => {
    budget.left -= values;
    if (budget.left < 0) cursor.fail(`${what} would be more than the ${MOST_VALUES} values that are read of a header.`);
    const rest = fstatSync(file).size - cursor.at();
    if (values * least > rest) cursor.fail(`${what} should be ${values}, and ${rest} bytes of the file are left.`);
  };
  // A key is at least a length, a type and a byte; a tensor a length, three numbers and an offset.
  spend(keyCount, 13, 'the number of metadata keys');
  spend(tensorCount, 24, 'the number of tensors');
  const metadata = new Map<string, MetadataValue>();
  for (let i = 0; i < keyCount; i++) {
    const key = cursor.text(`metadata key ${i + 1} of ${keyCount}`);
    if (metadata.has(key)) cursor.fail(`metadata key ${JSON.stringify(key)} stands there twice.`);
    metadata.set(key, readValue(cursor, spend, `metadata key ${JSON.stringify(key)}`));
  }
  const tensors = Array.from({ length: tensorCount }, (_, i) =>
    readTensor(cursor, `tensor ${i + 1} of ${tensorCount}`),
  );
  const alignment = metadata.get('general.alignment') ?? GGUF_ALIGNMENT;
  if (typeof alignment !== 'number' || !isPowerOfTwo(alignment) || alignment < 8 || alignment > 2 ** 20) {
    cursor.fail(`general.alignment: expected a power of two from 8 to 1048576, received ${JSON.stringify(alignment)}.`);
  }
  return { metadata, tensors, alignment, dataStart: Math.ceil(cursor.at() / alignment) * alignment };
}

function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(value) && value > 0 && Number.isInteger(Math.log2(value));
}

function checkVersion(cursor: Cursor): void {
  const magic = cursor.take(4, 'the first four bytes').toString('latin1');
  if (magic !== GGUF_MAGIC) {
    const old = ['ggml', 'ggmf', 'ggjt'].includes([...magic].reverse().join('').toLowerCase());
    const shown = JSON.stringify(magic);
    cursor.fail(`begins with ${shown}${old ? ' (a format before GGUF)' : ''}; expected "${GGUF_MAGIC}".`);
  }
  const version = cursor.uint32('the version');
  if (version === 2 || version === 3) return;
  const swapped = version > 0xffff;
  cursor.fail(
    swapped
      ? 'is written for machines that store the highest byte first; expected the lowest first.'
      : `has version ${version}; expected 2 or 3.`,
  );
}

type Spend = (values: number, least: number, what: string) => void;

/** Bytes of a value by the number of its type; a string has at least its length. */
const VALUE_BYTES: Readonly<Record<number, number>> = {
  [VALUE_TYPES.uint8]: 1,
  [VALUE_TYPES.int8]: 1,
  [VALUE_TYPES.uint16]: 2,
  [VALUE_TYPES.int16]: 2,
  [VALUE_TYPES.uint32]: 4,
  [VALUE_TYPES.int32]: 4,
  [VALUE_TYPES.float32]: 4,
  [VALUE_TYPES.bool]: 1,
  [VALUE_TYPES.string]: 8,
  [VALUE_TYPES.uint64]: 8,
  [VALUE_TYPES.int64]: 8,
  [VALUE_TYPES.float64]: 8,
};

function readValue(cursor: Cursor, spend: Spend, what: string): MetadataValue {
  const type = cursor.uint32(what);
  if (type !== VALUE_TYPES.array) return readScalar(cursor, type, what);
  const of = cursor.uint32(what);
  const least = VALUE_BYTES[of];
  if (least === undefined) cursor.fail(`${what}: has a list of values of type ${of}, which is not known.`);
  const length = cursor.uint64(what);
  spend(length, least, `${what}: the number of its values`);
  const values: Scalar[] = [];
  for (let i = 0; i < length; i++) values.push(readScalar(cursor, of, what));
  return values;
}

function readScalar(cursor: Cursor, type: number, what: string): Scalar {
  if (type === VALUE_TYPES.string) return cursor.text(what);
  const size = VALUE_BYTES[type];
  if (size === undefined) return cursor.fail(`${what}: has a value of type ${type}, which is not known.`);
  const bytes = cursor.take(size, what);
  switch (type) {
    case VALUE_TYPES.bool:
      return bytes[0] !== 0;
    case VALUE_TYPES.float32:
      return bytes.readFloatLE();
    case VALUE_TYPES.float64:
      return bytes.readDoubleLE();
    case VALUE_TYPES.int8:
    case VALUE_TYPES.int16:
    case VALUE_TYPES.int32:
      return bytes.readIntLE(0, size);
    case VALUE_TYPES.uint64:
    case VALUE_TYPES.int64: {
      const value = type === VALUE_TYPES.uint64 ? bytes.readBigUInt64LE() : bytes.readBigInt64LE();
      // Some writers have −1 or the largest number for "none"; neither is a size of anything.
      return Number(value);
    }
    default:
      return bytes.readUIntLE(0, size);
  }
}

function readTensor(cursor: Cursor, which: string): ListedTensor {
  const name = cursor.text(which);
  const what = `tensor ${JSON.stringify(name)}`;
  const dimensions = cursor.uint32(what);
  if (dimensions < 1 || dimensions > MOST_DIMENSIONS) {
    cursor.fail(`${what}: has ${dimensions} dimensions; expected 1 to ${MOST_DIMENSIONS}.`);
  }
  const shape = Array.from({ length: dimensions }, () => cursor.uint64(what)).reverse();
  const type = cursor.uint32(what);
  return { name, shape, type, offset: cursor.uint64(what) };
}

function cursorOf(file: number, path: string): Cursor {
  const { size } = fstatSync(file);
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let position = 0;
  let window: Buffer = Buffer.alloc(0);
  let windowAt = 0;
  const fail = (problem: string): never => {
    throw new CheckpointError(`${path}: ${problem} Copy the file again, or take another one.`);
  };
  const take = (bytes: number, what: string): Buffer => {
    if (position + bytes > size) fail(`ends at byte ${size}, within ${what}.`);
    if (position + bytes > MOST_HEADER_BYTES) {
      fail(`${what} would end after byte ${MOST_HEADER_BYTES}; the header of a model is smaller.`);
    }
    if (position < windowAt || position + bytes > windowAt + window.length) {
      window = readBytes(file, position, Math.min(Math.max(bytes, WINDOW_BYTES), size - position), path);
      windowAt = position;
    }
    const taken = window.subarray(position - windowAt, position - windowAt + bytes);
    position += bytes;
    return taken;
  };
  const uint64 = (what: string): number => {
    const value = take(8, what).readBigUInt64LE();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) fail(`${what}: ${value} is more than any file holds.`);
    return Number(value);
  };
  const text = (what: string): string => {
    const bytes = take(uint64(what), what);
    try {
      return decoder.decode(bytes);
    } catch {
      return fail(`${what}: holds text that is not UTF-8.`);
    }
  };
  return { at: () => position, take, uint32: (what) => take(4, what).readUInt32LE(), uint64, text, fail };
}
