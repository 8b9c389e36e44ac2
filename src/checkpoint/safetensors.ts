/** Reads and writes the safetensors format: an 8-byte length, a JSON header, raw tensors. https://github.com/huggingface/safetensors */
import { readFileSync } from 'node:fs';
import { CheckpointError, errorMessage, hasCode } from '../errors.ts';

/** A tensor on the host. */
export interface HostTensor {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** Element types that can be read; F32 and BF16 can be written. */
const BYTES = { F32: 4, BF16: 2, F16: 2 } as const;
type FileType = keyof typeof BYTES;

/** The format's own limit on the header. */
const MAX_HEADER_BYTES = 100_000_000;

interface HeaderEntry {
  readonly dtype: string;
  readonly shape: number[];
  readonly data_offsets: [number, number];
}

/**
 * Reads every tensor, converted to float32.
 * @throws CheckpointError when the file is missing, truncated or not what its header says
 */
export function readSafetensors(path: string): Map<string, HostTensor> {
  const bytes = readBytes(path);
  const fail = (problem: string): never => {
    throw new CheckpointError(`${path}: ${problem} The file is damaged or was cut short: copy or make it again.`);
  };
  if (bytes.length < 8) fail(`expected a safetensors file, received ${bytes.length} bytes.`);
  const headerBytes = Number(bytes.readBigUInt64LE(0));
  if (headerBytes > MAX_HEADER_BYTES || 8 + headerBytes > bytes.length) {
    fail(`the header should take ${headerBytes} bytes and the file has ${bytes.length}.`);
  }
  let header: Record<string, HeaderEntry> = {};
  try {
    header = JSON.parse(bytes.toString('utf8', 8, 8 + headerBytes)) as Record<string, HeaderEntry>;
    if (typeof header !== 'object' || header === null) throw new TypeError('it holds no object');
  } catch (error) {
    fail(`the header is not JSON (${errorMessage(error)}).`);
  }
  const data = bytes.subarray(8 + headerBytes);
  const tensors = new Map<string, HostTensor>();
  let end = 0;
  const entries = Object.entries(header).filter(([name]) => name !== '__metadata__');
  // By start, then by end: an empty tensor may share its start with its neighbour.
  const offset = (entry: HeaderEntry | null, end: 0 | 1): number => entry?.data_offsets?.[end] ?? 0;
  entries.sort(([, a], [, b]) => offset(a, 0) - offset(b, 0) || offset(a, 1) - offset(b, 1));
  for (const [name, entry] of entries) {
    const problem = entryProblem(entry, end, data.length);
    if (problem !== undefined) fail(`tensor "${name}": ${problem}`);
    const [from, to] = entry.data_offsets;
    tensors.set(name, { shape: entry.shape, values: decodeValues(data.subarray(from, to), entry.dtype as FileType) });
    end = to;
  }
  if (end !== data.length) fail(`the tensors end at byte ${end} of ${data.length}.`);
  return tensors;
}

function readBytes(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
    throw new CheckpointError(`${path}: there is no such file; expected the weights of a checkpoint.`);
  }
}

function entryProblem(entry: HeaderEntry, expectedStart: number, dataBytes: number): string | undefined {
  const isShape = Array.isArray(entry?.shape) && entry.shape.every((size) => Number.isSafeInteger(size) && size >= 0);
  if (!isShape || !Array.isArray(entry.data_offsets)) return 'shape or data_offsets are not lists of whole numbers.';
  if (!Object.hasOwn(BYTES, entry.dtype))
    return `element type ${entry.dtype} is not supported; expected ${Object.keys(BYTES).join(', ')}.`;
  const [from, to] = entry.data_offsets;
  const size = entry.shape.reduce((product, length) => product * length, 1) * BYTES[entry.dtype as FileType];
  if (from !== expectedStart)
    return `starts at byte ${from}; expected ${expectedStart} (tensors may not overlap or leave holes).`;
  if (to - from !== size) return `has ${to - from} bytes; its shape [${entry.shape.join(', ')}] needs ${size}.`;
  if (to > dataBytes) return `ends at byte ${to}, after the end of the data (${dataBytes}).`;
  return undefined;
}

function decodeValues(bytes: Buffer, type: FileType): Float32Array {
  const count = bytes.length / BYTES[type];
  if (type === 'F32') {
    // A copy: the offset in the file need not be a multiple of four.
    return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  }
  const values = new Float32Array(count);
  if (type === 'BF16') {
    const bits = new Uint32Array(values.buffer);
    for (let i = 0; i < count; i++) bits[i] = bytes.readUInt16LE(2 * i) << 16;
  } else {
    for (let i = 0; i < count; i++) values[i] = halfToFloat(bytes.readUInt16LE(2 * i));
  }
  return values;
}

/** IEEE 754 binary16 to a number. */
function halfToFloat(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The bytes of a safetensors file; tensors in the order given, the header padded to 8 bytes as the format asks. */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, HostTensor>,
  type: 'F32' | 'BF16',
  metadata: Readonly<Record<string, string>> = { format: 'pt' },
): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const [name, { shape, values }] of tensors) {
    const size = values.length * BYTES[type];
    header[name] = { dtype: type, shape, data_offsets: [offset, offset + size] };
    offset += size;
  }
  const json = Buffer.from(JSON.stringify(header));
  const headerBytes = Math.ceil(json.length / 8) * 8;
  const file = Buffer.alloc(8 + headerBytes + offset, ' ');
  file.writeBigUInt64LE(BigInt(headerBytes), 0);
  json.copy(file, 8);
  let at = 8 + headerBytes;
  for (const { values } of tensors.values()) {
    const part = type === 'F32' ? Buffer.from(values.buffer, values.byteOffset, values.byteLength) : toBfloat16(values);
    part.copy(file, at);
    at += part.length;
  }
  return file;
}

/** Rounds to the nearest bfloat16, ties to even, as PyTorch does; NaN stays NaN. */
function toBfloat16(values: Float32Array): Buffer {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const bytes = Buffer.alloc(2 * values.length);
  for (let i = 0; i < values.length; i++) {
    const word = bits[i] as number;
    const isNan = (word & 0x7fffffff) > 0x7f800000;
    const rounded = isNan ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
    bytes.writeUInt16LE(rounded & 0xffff, 2 * i);
  }
  return bytes;
}
