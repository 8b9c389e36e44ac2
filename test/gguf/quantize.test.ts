import { describe, expect, it } from 'vitest';
import { toTensorBytes } from '../../src/gguf/quantize.ts';
import { halfValues, toHalf } from '../../src/tensor/half-precision.ts';
import { fixtureBytes } from './fixture-bytes.ts';

describe('values as the bytes of a type', () => {
  const values = new Float32Array(fixtureBytes('values.f32').buffer);

  // Ties, subnormal halves, zeros of both signs, blocks of zeros and of one value: gguf-py's quantize has made the bytes.
  it.each(['F16', 'BF16', 'Q8_0'] as const)('are those of gguf-py: %s', (type) => {
    const expected = fixtureBytes(`values.${type.toLowerCase()}`);
    expect(Buffer.from(toTensorBytes(values, type)).equals(expected)).toBe(true);
  });

  it('leaves every half as it is', () => {
    const bits = Uint16Array.from({ length: 65_536 }, (_, i) => i).filter((half) => (half & 0x7fff) <= 0x7c00);
    expect(toHalf(halfValues(bits))).toEqual(bits);
  });
});
