/** Values of a tensor as the bytes of a GGUF type. Rounding is that of ggml's reference code (ggml-quants.c, gguf-py quants.py). */
import { toBfloat16, toHalf } from '../tensor/half-precision.ts';
import type { TensorType } from './gguf-types.ts';
import { TENSOR_TYPES } from './gguf-types.ts';

/** Bytes of a tensor of some values. */
export function tensorBytes(values: number, type: TensorType): number {
  const { block, bytes } = TENSOR_TYPES[type];
  return (values / block) * bytes;
}

/** The bytes of finite values; of Q8_0 a multiple of 32 of them. */
export function toTensorBytes(values: Float32Array, type: TensorType): Uint8Array {
  if (type === 'Q8_0') return quantizeQ8(values);
  const typed = { F32: () => values, F16: () => toHalf(values), BF16: () => toBfloat16(values) }[type]();
  return new Uint8Array(typed.buffer, typed.byteOffset, typed.byteLength);
}

/**
 * Q8_0: 32 values share a scale, the largest of them by 127, kept in half precision after the values were divided by it.
 * Every step in float32, halves away from zero.
 */
function quantizeQ8(values: Float32Array): Uint8Array {
  const { block, bytes } = TENSOR_TYPES.Q8_0;
  const blocks = values.length / block;
  const result = new Uint8Array(blocks * bytes);
  const scales = new Float32Array(blocks);
  for (let at = 0; at < blocks; at++) {
    const from = at * block;
    let largest = 0;
    for (let i = from; i < from + block; i++) largest = Math.max(largest, Math.abs(values[i] as number));
    const scale = Math.fround(largest / 127);
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    scales[at] = scale;
    for (let i = 0; i < block; i++) {
      const scaled = Math.fround((values[from + i] as number) * inverse);
      result[at * bytes + 2 + i] = Math.sign(scaled) * Math.floor(Math.abs(scaled) + 0.5);
    }
  }
  const halves = toHalf(scales);
  for (let at = 0; at < blocks; at++) {
    const half = halves[at] as number;
    result[at * bytes] = half & 0xff;
    result[at * bytes + 1] = half >>> 8;
  }
  return result;
}
