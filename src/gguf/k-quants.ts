/** Blocks of 256 values whose sub-blocks have scales of their own, in few bits: ggml's k-quants (ggml-common.h, ggml-quants.c). */

type Half = (byte: number) => number;

/**
 * 2 bits a value, 16 sub-blocks of 16, each with a scale and a least value of 4 bits.
 * Layout: scales[16], codes[64], half scale of scales, half scale of least values.
 */
export function readQ2K(block: Uint8Array, half: Half, values: Float32Array): void {
  const [scale, least] = [half(80), half(82)];
  for (let i = 0; i < 256; i++) {
    const sub = block[i >> 4] as number;
    values[i] = scale * (sub & 15) * twoBits(block, 16, i) - least * (sub >> 4);
  }
}

/**
 * 3 bits a value, 16 sub-blocks of 16 with signed scales of 6 bits.
 * Layout: third bits[32] (a set bit means that 4 is not subtracted), codes[64], scales[12], half.
 */
export function readQ3K(block: Uint8Array, half: Half, values: Float32Array): void {
  const scale = half(108);
  const at = (i: number): number => block[96 + i] as number;
  for (let sub = 0; sub < 16; sub++) {
    const low = (at(sub & 7) >> (sub < 8 ? 0 : 4)) & 15;
    const high = (at(8 + (sub & 3)) >> (2 * (sub >> 2))) & 3;
    const own = scale * ((low | (high << 4)) - 32);
    for (let i = 16 * sub; i < 16 * sub + 16; i++) {
      const third = ((block[i & 31] as number) >> (i >> 5)) & 1;
      values[i] = own * (twoBits(block, 32, i) - (third === 1 ? 0 : 4));
    }
  }
}

/** Codes of 2 bits: 128 values in 32 bytes, value 32 · j + i in bits 2j and 2j + 1 of byte i. */
function twoBits(block: Uint8Array, from: number, i: number): number {
  const byte = block[from + 32 * (i >> 7) + (i & 31)] as number;
  return (byte >> (2 * ((i >> 5) & 3))) & 3;
}

/** 4 bits a value. Layout: half scale of scales, half scale of least values, scales[12], codes[128]. */
export function readQ4K(block: Uint8Array, half: Half, values: Float32Array): void {
  const [scale, least] = [half(0), half(2)];
  for (let sub = 0; sub < 8; sub++) {
    const own = scale * subScale(block, sub);
    const offset = least * subLeast(block, sub);
    for (let i = 0; i < 32; i++) values[32 * sub + i] = own * fourBits(block, 16, sub, i) - offset;
  }
}

/** 5 bits a value. Layout: as Q4_K, with the fifth bits[32] before the codes. */
export function readQ5K(block: Uint8Array, half: Half, values: Float32Array): void {
  const [scale, least] = [half(0), half(2)];
  for (let sub = 0; sub < 8; sub++) {
    const own = scale * subScale(block, sub);
    const offset = least * subLeast(block, sub);
    for (let i = 0; i < 32; i++) {
      const fifth = (((block[16 + i] as number) >> sub) & 1) << 4;
      values[32 * sub + i] = own * (fourBits(block, 48, sub, i) | fifth) - offset;
    }
  }
}

/** Codes of 4 bits: sub-blocks 2j and 2j + 1 share 32 bytes, as low and high bits. */
function fourBits(block: Uint8Array, from: number, sub: number, i: number): number {
  return ((block[from + 32 * (sub >> 1) + i] as number) >> (4 * (sub & 1))) & 15;
}

/** Eight scales and eight least values of 6 bits in bytes 4 … 15: four and four whole, the high bits of the others above them. */
function subScale(block: Uint8Array, sub: number): number {
  const at = (i: number): number => block[4 + i] as number;
  return sub < 4 ? at(sub) & 63 : (at(sub + 4) & 15) | ((at(sub - 4) >> 6) << 4);
}

function subLeast(block: Uint8Array, sub: number): number {
  const at = (i: number): number => block[4 + i] as number;
  return sub < 4 ? at(sub + 4) & 63 : (at(sub + 4) >> 4) | ((at(sub) >> 6) << 4);
}

/** 6 bits a value, 16 sub-blocks of 16 with scales of a byte. Layout: low four bits[128], high two bits[64], scales[16], half. */
export function readQ6K(block: Uint8Array, half: Half, values: Float32Array): void {
  const scale = half(208);
  for (let i = 0; i < 256; i++) {
    const [part, within] = [i >> 7, i & 127];
    const low = ((block[64 * part + (within & 63)] as number) >> (within < 64 ? 0 : 4)) & 15;
    const high = ((block[128 + 32 * part + (within & 31)] as number) >> (2 * (within >> 5))) & 3;
    const own = scale * (((block[192 + (i >> 4)] as number) << 24) >> 24);
    values[i] = own * ((low | (high << 4)) - 32);
  }
}
