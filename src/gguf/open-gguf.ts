/** An open GGUF file: its metadata, and tensors that are read when they are asked for. */
import { closeSync, fstatSync } from 'node:fs';
import { openRegularFile, readBytes } from '../checkpoint/file-bytes.ts';
import { CheckpointError } from '../errors.ts';
import type { ReadType } from './dequantize.ts';
import { dequantize, READ_TYPES, readTypeOf, typeName } from './dequantize.ts';
import type { GgufHeader, ListedTensor, MetadataValue } from './read-header.ts';
import { readHeader } from './read-header.ts';

/** A tensor of a file. */
export interface TensorPlace {
  readonly type: ReadType;
  /** As Hugging Face files have it: [out, in] of a linear layer. */
  readonly shape: readonly number[];
  /** First and last byte (exclusive) in the file. */
  readonly from: number;
  readonly to: number;
}

/** An open file; `close` it. */
export interface GgufFile {
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  readonly tensors: ReadonlyMap<string, TensorPlace>;
  /** The values of a tensor as float32, in a fresh array. */
  read(name: string): Float32Array;
  /** The bytes of a tensor as they lie. */
  bytes(name: string): Uint8Array;
  close(): void;
}

/**
 * Opens a file and checks its header against its size.
 * @throws CheckpointError listing what is wrong with it: no GGUF file, cut short, tensors that overlap, types that are not read
 */
export function openGguf(path: string): GgufFile {
  const file = openRegularFile(path, 'a model as GGUF');
  try {
    const header = readHeader(file, path);
    const tensors = placesOf(header, fstatSync(file).size, path);
    const bytes = (name: string): Uint8Array => {
      const place = tensors.get(name);
      if (place === undefined) throw new CheckpointError(`${path}: tensor "${name}" is missing.`);
      return readBytes(file, place.from, place.to - place.from, path);
    };
    return {
      metadata: header.metadata,
      tensors,
      bytes,
      read: (name) => dequantize(bytes(name), (tensors.get(name) as TensorPlace).type),
      close: () => closeSync(file),
    };
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

/** Every tensor in the file, by name; nothing that two of them share. */
function placesOf(header: GgufHeader, size: number, path: string): Map<string, TensorPlace> {
  const places = new Map<string, TensorPlace>();
  const problems: string[] = [];
  for (const tensor of header.tensors) {
    const place = placeOf(tensor, header, size);
    if (places.has(tensor.name)) problems.push(`tensor ${JSON.stringify(tensor.name)}: stands there twice.`);
    else if (typeof place === 'string') problems.push(`tensor ${JSON.stringify(tensor.name)}: ${place}`);
    else places.set(tensor.name, place);
  }
  const sorted = [...places].sort(([, a], [, b]) => a.from - b.from);
  for (const [i, [name, { from }]] of sorted.entries()) {
    const before = sorted[i - 1];
    if (before !== undefined && from < before[1].to) {
      problems.push(`tensor ${JSON.stringify(name)}: begins within ${JSON.stringify(before[0])}.`);
    }
  }
  if (problems.length === 0) return places;
  const more = problems.length > 10 ? [`… and ${problems.length - 10} more.`] : [];
  throw new CheckpointError([...problems.slice(0, 10).map((problem) => `${path}: ${problem}`), ...more]);
}

/** Where a tensor lies, or what is wrong with it. */
function placeOf(tensor: ListedTensor, { dataStart, alignment }: GgufHeader, size: number): TensorPlace | string {
  const type = readTypeOf(tensor.type);
  if (type === undefined) {
    return `has type ${typeName(tensor.type)}; expected one of ${Object.keys(READ_TYPES).join(', ')}. Take a file of another quantization.`;
  }
  const { block, bytes } = READ_TYPES[type];
  const { shape, offset } = tensor;
  const shown = `[${shape.join(', ')}]`;
  if (shape.some((length) => length < 1)) return `has shape ${shown}; expected lengths from 1.`;
  if ((shape.at(-1) as number) % block !== 0)
    return `has rows of ${shape.at(-1)} values; ${type} needs multiples of ${block}.`;
  const length = (shape.reduce((product, one) => product * one, 1) / block) * bytes;
  const from = dataStart + offset;
  if (offset % alignment !== 0) return `begins at byte ${offset} of the data; expected a multiple of ${alignment}.`;
  if (!(from + length <= size)) {
    return `has shape ${shown} and should end at byte ${from + length}; the file ends at ${size}. Copy it again.`;
  }
  return { type, shape, from, to: from + length };
}
