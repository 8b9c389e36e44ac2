/** Writes a GGUF file: a header of metadata and tensor names, then the tensors, one at a time. */
import type { WrittenTensor } from '../checkpoint/weight-files.ts';
import { CheckpointError } from '../errors.ts';
import { openAtomicFile } from '../files/atomic-file.ts';
import type { TensorType } from './gguf-types.ts';
import { GGUF_ALIGNMENT, GGUF_MAGIC, GGUF_VERSION, TENSOR_TYPES, VALUE_TYPES } from './gguf-types.ts';
import { tensorBytes, toTensorBytes } from './quantize.ts';

/** A value of the metadata with its type; a list has values of one type. */
export type GgufValue =
  | { readonly type: 'uint32' | 'int32' | 'float32'; readonly value: number | readonly number[] }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string | readonly string[] };

/** Metadata by key, in the order of the file. */
export type GgufFields = ReadonlyMap<string, GgufValue>;

/** A tensor with the type it is written in. */
export interface GgufTensor extends WrittenTensor {
  readonly type: TensorType;
}

/**
 * Writes a file whole or not at all. Dimensions stand in the file from the fastest one on, ours the other way round.
 * @throws CheckpointError where a value is beyond what its type holds; UserError where the disk refuses
 */
export async function writeGguf(path: string, fields: GgufFields, tensors: readonly GgufTensor[]): Promise<void> {
  const file = await openAtomicFile(path);
  try {
    const header = headerBytes(fields, tensors);
    file.write(header);
    file.write(padding(header.length));
    for (const tensor of tensors) {
      const values = tensor.values();
      if (tensor.type === 'F16' || tensor.type === 'Q8_0') checkRange(values, tensor);
      const bytes = toTensorBytes(values, tensor.type);
      file.write(bytes);
      file.write(padding(bytes.length));
    }
    await file.commit();
  } finally {
    file.discard();
  }
}

function headerBytes(fields: GgufFields, tensors: readonly GgufTensor[]): Buffer {
  const parts = [Buffer.from(GGUF_MAGIC), uint32(GGUF_VERSION), uint64(tensors.length), uint64(fields.size)];
  for (const [key, value] of fields) parts.push(text(key), valueBytes(value));
  let offset = 0;
  for (const { name, shape, type } of tensors) {
    parts.push(text(name), uint32(shape.length), ...shape.toReversed().map(uint64));
    parts.push(uint32(TENSOR_TYPES[type].id), uint64(offset));
    offset += aligned(tensorBytes(sizeOf(shape), type));
  }
  return Buffer.concat(parts);
}

function valueBytes({ type, value }: GgufValue): Buffer {
  const kind = uint32(VALUE_TYPES[type]);
  if (!Array.isArray(value)) return Buffer.concat([kind, scalar(type, value as string | number | boolean)]);
  const list = value as readonly (string | number)[];
  const items = list.map((item) => scalar(type, item));
  return Buffer.concat([uint32(VALUE_TYPES.array), kind, uint64(list.length), ...items]);
}

function scalar(type: GgufValue['type'], value: string | number | boolean): Buffer {
  if (type === 'string') return text(String(value));
  if (type === 'bool') return Buffer.from([value ? 1 : 0]);
  const bytes = Buffer.alloc(4);
  if (type === 'float32') bytes.writeFloatLE(Number(value));
  else if (type === 'int32') bytes.writeInt32LE(Number(value));
  else bytes.writeUInt32LE(Number(value));
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([uint64(bytes.length), bytes]);
}

function uint32(value: number): Buffer {
  return scalar('uint32', value);
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / GGUF_ALIGNMENT) * GGUF_ALIGNMENT;
}

function padding(bytes: number): Buffer {
  return Buffer.alloc(aligned(bytes) - bytes);
}

/** Half precision, in which Q8_0 keeps its scales, ends at 65,504; what rounds to more would be infinite. */
function checkRange(values: Float32Array, { name, type }: GgufTensor): void {
  const limit = type === 'F16' ? 65_520 : 65_520 * 127;
  const at = values.findIndex((value) => Math.abs(value) >= limit);
  if (at === -1) return;
  throw new CheckpointError(
    `tensor "${name}": element ${at} is ${values[at]}; ${type} holds numbers up to ${type === 'F16' ? '65,504' : '127 times 65,504'}. ` +
      'Export with --type bf16.',
  );
}
