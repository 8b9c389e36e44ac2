/** float32 ↔ the two 16-bit float types, on the host. */

/** Rounds to the nearest bfloat16, ties to even, as PyTorch does; NaN stays NaN. Values to bits, of equal length. */
export function toBfloat16(
  values: Float32Array,
  bits: Uint16Array<ArrayBuffer> = new Uint16Array(values.length),
): Uint16Array<ArrayBuffer> {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as number;
    const isNan = (word & 0x7fffffff) > 0x7f800000;
    bits[i] = isNan ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return bits;
}

/** The values of bfloat16 bits: exact. */
export function bfloat16Values(bits: Uint16Array): Float32Array {
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) words[i] = (bits[i] as number) << 16;
  return new Float32Array(words.buffer);
}

/**
 * Rounds to the nearest binary16, ties to even, as PyTorch and numpy do; beyond 65,504 it is infinite, NaN stays NaN.
 * Values to bits, of equal length.
 */
export function toHalf(values: Float32Array): Uint16Array<ArrayBuffer> {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const bits = new Uint16Array(words.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as number;
    const size = word & 0x7fffffff;
    bits[i] =
      ((word >>> 16) & 0x8000) | (size < 0x38800000 ? smallHalf(Math.abs(values[i] as number)) : largeHalf(size));
  }
  return bits;
}

/** Below 2^-14 a half is a multiple of 2^-24, whose number is its bits. */
function smallHalf(value: number): number {
  const scaled = value * 2 ** 24;
  const whole = Math.floor(scaled);
  const rest = scaled - whole;
  return rest > 0.5 || (rest === 0.5 && whole % 2 === 1) ? whole + 1 : whole;
}

/** From 2^-14 on: 13 bits of the fraction are rounded away, and a carry goes into the exponent. */
function largeHalf(size: number): number {
  if (size > 0x7f800000) return 0x7e00;
  // 65,520, half way to what would come after 65,504.
  if (size >= 0x477ff000) return 0x7c00;
  return (size - 0x38000000 + 0xfff + ((size >>> 13) & 1)) >>> 13;
}

let halves: Float32Array | undefined;

/** The values of IEEE 754 binary16 bits: exact, by a table of all 65,536. */
export function halfValues(bits: Uint16Array): Float32Array {
  halves ??= Float32Array.from({ length: 65_536 }, (_, half) => halfToFloat(half));
  const values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) values[i] = halves[bits[i] as number] as number;
  return values;
}

function halfToFloat(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
