/** One file of the safetensors format: an 8-byte length, a JSON header, raw tensors. https://github.com/huggingface/safetensors */
import { closeSync, fstatSync, openSync, writeSync } from 'node:fs';
import { CheckpointError, errorMessage } from '../errors.ts';
import { bfloat16Values, halfValues, toBfloat16 } from '../tensor/half-precision.ts';
import { CHUNK_BYTES, openRegularFile, readBytes } from './file-bytes.ts';
import { duplicateKeys } from './json-keys.ts';

/** Element types that are read as numbers, F64 rounded; F32 and BF16 can be written. */
export const BYTES = { F32: 4, BF16: 2, F16: 2, F64: 8 } as const;
export type FileType = keyof typeof BYTES;

export const READABLE = Object.keys(BYTES);

/** Whether tensors of a type can be read as numbers. */
export function isReadable(dtype: string): boolean {
  return Object.hasOwn(BYTES, dtype);
}

/** Types that may stand in a file (GPT-2 files hold masks) but not be read. */
const OTHER_BYTES: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I16: 2,
  U16: 2,
  I32: 4,
  U32: 4,
  I64: 8,
  U64: 8,
};

/** The format's own limit on the header. */
const MAX_HEADER_BYTES = 100_000_000;

const REMEDY = 'The file is damaged or was cut short: copy or make it again.';

/** A tensor of a file. */
export interface TensorEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** First and last byte (exclusive) in the file. */
  readonly from: number;
  readonly to: number;
}

/** An open file. */
export interface SafetensorsFile {
  readonly entries: ReadonlyMap<string, TensorEntry>;
  /** The `__metadata__` of the header. */
  readonly metadata: Readonly<Record<string, string>>;
  /**
   * The values of a tensor as float32, in a fresh array.
   * @throws CheckpointError where its type is none of these
   */
  read(name: string): Float32Array;
  close(): void;
}

/**
 * Opens a file and checks its header; tensors are read when they are asked for.
 * @throws CheckpointError listing everything that is wrong with it
 */
export function openSafetensors(path: string): SafetensorsFile {
  const file = openRegularFile(path, 'the weights of a checkpoint');
  try {
    const { entries, metadata } = readHeader(file, path);
    return {
      entries,
      metadata,
      read: (name) => readTensor(file, path, name, entries.get(name)),
      close: () => closeSync(file),
    };
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

type Header = Readonly<Record<string, unknown>>;

function readHeader(
  file: number,
  path: string,
): { entries: Map<string, TensorEntry>; metadata: Record<string, string> } {
  const fail = (problem: string): never => {
    throw new CheckpointError(`${path}: ${problem} ${REMEDY}`);
  };
  const { size } = fstatSync(file);
  if (size < 8) fail(`expected a safetensors file, received ${size} bytes.`);
  const headerBytes = Number(readBytes(file, 0, 8, path).readBigUInt64LE(0));
  if (headerBytes > MAX_HEADER_BYTES)
    fail(`its header would take ${headerBytes} bytes; the format allows ${MAX_HEADER_BYTES}.`);
  if (8 + headerBytes > size) fail(`the header should take ${headerBytes} bytes and the file has ${size}.`);
  const text = readBytes(file, 8, headerBytes, path).toString('utf8');
  let header: Header = {};
  try {
    header = JSON.parse(text) as Header;
    if (typeof header !== 'object' || header === null || Array.isArray(header))
      throw new TypeError('it holds no object');
  } catch (error) {
    fail(`the header is not JSON (${errorMessage(error)}).`);
  }
  const twice = duplicateKeys(text);
  if (twice.length > 0) fail(`the header names ${twice.map((name) => JSON.stringify(name)).join(', ')} twice.`);
  const start = 8 + headerBytes;
  const entries = new Map<string, TensorEntry>();
  const problems: string[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const entry = readEntry(value, start);
    if (typeof entry === 'string') problems.push(`${path}: tensor ${JSON.stringify(name)}: ${entry}`);
    else entries.set(name, entry);
  }
  if (problems.length === 0) problems.push(...layoutProblems(entries, start, size, path));
  if (problems.length === 1) throw new CheckpointError(`${problems[0]} ${REMEDY}`);
  if (problems.length > 1) throw new CheckpointError([...problems.slice(0, 10), REMEDY]);
  const metadata = (header.__metadata__ ?? {}) as Record<string, string>;
  return { entries, metadata };
}

/** An entry of the header, or what is wrong with it. */
function readEntry(value: unknown, start: number): TensorEntry | string {
  const { dtype, shape, data_offsets: offsets } = (value ?? {}) as Record<string, unknown>;
  const isCount = (number: unknown): number is number => Number.isSafeInteger(number) && (number as number) >= 0;
  if (
    !Array.isArray(shape) ||
    !shape.every(isCount) ||
    !Array.isArray(offsets) ||
    offsets.length !== 2 ||
    !offsets.every(isCount)
  ) {
    return 'shape or data_offsets are not lists of whole numbers.';
  }
  const known: Readonly<Record<string, number>> = { ...OTHER_BYTES, ...BYTES };
  const bytes = Object.hasOwn(known, String(dtype)) ? known[String(dtype)] : undefined;
  if (bytes === undefined || typeof dtype !== 'string') {
    return `element type ${String(dtype)} is not known; expected ${[...Object.keys(BYTES), ...Object.keys(OTHER_BYTES)].join(', ')}.`;
  }
  const [from, to] = offsets as [number, number];
  const needed = shape.reduce((product, length) => product * length, bytes);
  if (to - from !== needed) return `has ${to - from} bytes; its shape [${shape.join(', ')}] needs ${needed}.`;
  return { dtype, shape, from: start + from, to: start + to };
}

/** Tensors must follow one another from the header to the end of the file. */
function layoutProblems(
  entries: ReadonlyMap<string, TensorEntry>,
  start: number,
  size: number,
  path: string,
): string[] {
  // By start, then by end: an empty tensor may share its start with its neighbour.
  const sorted = [...entries].sort(([, a], [, b]) => a.from - b.from || a.to - b.to);
  let end = start;
  for (const [name, { from, to }] of sorted) {
    if (from !== end) {
      const places = `starts at byte ${from - start}; expected ${end - start}`;
      return [`${path}: tensor "${name}": ${places} (tensors may not overlap or leave holes).`];
    }
    if (to > size) {
      return [`${path}: tensor "${name}": ends at byte ${to - start}, after the end of the data (${size - start}).`];
    }
    end = to;
  }
  return end === size ? [] : [`${path}: the tensors end at byte ${end - start} of ${size - start}.`];
}

function readTensor(file: number, path: string, name: string, entry: TensorEntry | undefined): Float32Array {
  if (entry === undefined) throw new CheckpointError(`${path}: tensor "${name}" is missing.`);
  const { dtype, from, to } = entry;
  if (!isReadable(dtype)) {
    throw new CheckpointError(`${path}: tensor "${name}" is of type ${dtype}; expected ${READABLE.join(', ')}.`);
  }
  const bytes = readBytes(file, from, to - from, path);
  if (dtype === 'F32') return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  if (dtype === 'F64') return Float32Array.from(new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8));
  const words = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  return dtype === 'BF16' ? bfloat16Values(words) : halfValues(words);
}

/** A tensor to write; its values are asked for when it is its turn. */
export interface WrittenTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: () => Float32Array;
}

/** Writes a file, a tensor at a time, in the order given; the header is padded to 8 bytes as the format asks. */
export function writeSafetensors(
  path: string,
  tensors: readonly WrittenTensor[],
  type: 'F32' | 'BF16',
  metadata: Readonly<Record<string, string>> = { format: 'pt' },
): void {
  // Without a prototype, so that a tensor may have any name.
  const header: Record<string, unknown> = Object.create(null);
  header.__metadata__ = metadata;
  let offset = 0;
  for (const { name, shape } of tensors) {
    const size = shape.reduce((product, length) => product * length, BYTES[type]);
    header[name] = { dtype: type, shape, data_offsets: [offset, offset + size] };
    offset += size;
  }
  const json = Buffer.from(JSON.stringify(header));
  const headerBytes = Math.ceil(json.length / 8) * 8;
  const start = Buffer.alloc(8 + headerBytes, ' ');
  start.writeBigUInt64LE(BigInt(headerBytes), 0);
  json.copy(start, 8);
  const file = openSync(path, 'w');
  try {
    writeAll(file, start);
    for (const { values } of tensors) {
      const given = values();
      const part = type === 'F32' ? given : toBfloat16(given);
      writeAll(file, Buffer.from(part.buffer, part.byteOffset, part.byteLength));
    }
  } finally {
    closeSync(file);
  }
}

function writeAll(file: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at, Math.min(CHUNK_BYTES, bytes.length - at));
}
