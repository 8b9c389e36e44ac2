/** Tensors of a GGUF file as float32: the block layouts of ggml (ggml-common.h, ggml-quants.c: dequantize_row_*). */
import { bfloat16Values, halfValues } from '../tensor/half-precision.ts';
import { TENSOR_TYPES } from './gguf-types.ts';
import { readQ2K, readQ3K, readQ4K, readQ5K, readQ6K } from './k-quants.ts';

/** Writes the values of a block. `half` gives the 16-bit float at a byte. */
export type BlockReader = (block: Uint8Array, half: (byte: number) => number, values: Float32Array) => void;

/** Types that are read as they lie, by number in the file. */
export const READ_TYPES = {
  ...TENSOR_TYPES,
  Q4_0: { id: 2, block: 32, bytes: 18 },
  Q4_1: { id: 3, block: 32, bytes: 20 },
  Q5_0: { id: 6, block: 32, bytes: 22 },
  Q5_1: { id: 7, block: 32, bytes: 24 },
  Q2_K: { id: 10, block: 256, bytes: 84 },
  Q3_K: { id: 11, block: 256, bytes: 110 },
  Q4_K: { id: 12, block: 256, bytes: 144 },
  Q5_K: { id: 13, block: 256, bytes: 176 },
  Q6_K: { id: 14, block: 256, bytes: 210 },
} as const;
export type ReadType = keyof typeof READ_TYPES;

/** Names of the other types, so that they can be refused by them. */
const OTHER_TYPES = new Map(
  Object.entries({
    Q8_1: 9,
    Q8_K: 15,
    IQ2_XXS: 16,
    IQ2_XS: 17,
    IQ3_XXS: 18,
    IQ1_S: 19,
    IQ4_NL: 20,
    IQ3_S: 21,
    IQ2_S: 22,
    IQ4_XS: 23,
    I8: 24,
    I16: 25,
    I32: 26,
    I64: 27,
    F64: 28,
    IQ1_M: 29,
    TQ1_0: 34,
    TQ2_0: 35,
    MXFP4: 39,
    NVFP4: 40,
  }).map(([name, id]) => [id, name]),
);

/** The type with a number; undefined where it is none that is read. */
export function readTypeOf(id: number): ReadType | undefined {
  return (Object.keys(READ_TYPES) as ReadType[]).find((name) => READ_TYPES[name].id === id);
}

/** What a number of a type means, for errors. */
export function typeName(id: number): string {
  return readTypeOf(id) ?? OTHER_TYPES.get(id) ?? `number ${id}`;
}

const BLOCK_READERS: Readonly<Record<Exclude<ReadType, 'F32' | 'F16' | 'BF16'>, BlockReader>> = {
  Q8_0: readQ8,
  Q4_0: (block, half, values) => readFours(block, 2, half(0), -8 * half(0), values),
  Q4_1: (block, half, values) => readFours(block, 4, half(0), half(2), values),
  Q5_0: (block, half, values) => readFives(block, 2, half(0), -16 * half(0), values),
  Q5_1: (block, half, values) => readFives(block, 4, half(0), half(2), values),
  Q2_K: readQ2K,
  Q3_K: readQ3K,
  Q4_K: readQ4K,
  Q5_K: readQ5K,
  Q6_K: readQ6K,
};

/**
 * The values of a tensor, in a fresh array or on the bytes themselves. Products of a scale and a code are exact in double
 * precision and rounded once, so the result is that of ggml's float32 arithmetic to the bit.
 * @param bytes whole blocks, at an offset that float32 may lie at
 */
export function dequantize(bytes: Uint8Array, type: ReadType): Float32Array {
  const { buffer, byteOffset, byteLength } = bytes;
  if (type === 'F32') return new Float32Array(buffer, byteOffset, byteLength / 4);
  const words = new Uint16Array(buffer, byteOffset, byteLength / 2);
  if (type === 'F16') return halfValues(words);
  if (type === 'BF16') return bfloat16Values(words);
  const { block, bytes: size } = READ_TYPES[type];
  const read = BLOCK_READERS[type];
  const blocks = byteLength / size;
  const values = new Float32Array(blocks * block);
  const halves = halfTable();
  let from = 0;
  const half = (byte: number): number => halves[words[(from + byte) / 2] as number] as number;
  for (let i = 0; i < blocks; i++, from += size) {
    read(bytes.subarray(from, from + size), half, values.subarray(i * block, (i + 1) * block));
  }
  return values;
}

let table: Float32Array | undefined;

/** Values of all 65,536 halves. */
function halfTable(): Float32Array {
  table ??= halfValues(Uint16Array.from({ length: 65_536 }, (_, bits) => bits));
  return table;
}

function readQ8(block: Uint8Array, half: (byte: number) => number, values: Float32Array): void {
  const scale = half(0);
  for (let i = 0; i < 32; i++) values[i] = scale * (((block[2 + i] as number) << 24) >> 24);
}

/** 16 bytes of two codes each: the low four bits are values 0 … 15, the high ones 16 … 31. */
function readFours(block: Uint8Array, from: number, scale: number, least: number, values: Float32Array): void {
  for (let i = 0; i < 16; i++) {
    const byte = block[from + i] as number;
    values[i] = scale * (byte & 15) + least;
    values[16 + i] = scale * (byte >> 4) + least;
  }
}

/** Likewise, with a fifth bit of every code in the four bytes before. */
function readFives(block: Uint8Array, from: number, scale: number, least: number, values: Float32Array): void {
  const fifth = (i: number): number => (((block[from + (i >> 3)] as number) >> (i & 7)) & 1) << 4;
  for (let i = 0; i < 16; i++) {
    const byte = block[from + 4 + i] as number;
    values[i] = scale * ((byte & 15) | fifth(i)) + least;
    values[16 + i] = scale * ((byte >> 4) | fifth(16 + i)) + least;
  }
}
