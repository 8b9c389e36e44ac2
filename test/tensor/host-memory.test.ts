import { describe, expect, it } from 'vitest';
import { hostSlabs } from '../../src/tensor/host-memory.ts';

describe('hostSlabs', () => {
  it('cuts arrays of middle size from one block, 64 bytes apart, none over another', () => {
    const allocate = hostSlabs();
    const arrays = [16384, 20000, 16385].map(allocate);
    expect(arrays.map((x) => x.length)).toEqual([16384, 20000, 16385]);
    expect(new Set(arrays.map((x) => x.buffer)).size).toBe(1);
    arrays.forEach((x, i) => {
      x.fill(i + 1);
    });
    expect(arrays.map((x) => [Math.min(...x), Math.max(...x)])).toEqual([
      [1, 1],
      [2, 2],
      [3, 3],
    ]);
    expect(arrays.every((x) => (x.byteOffset - (arrays[0] as Float32Array).byteOffset) % 64 === 0)).toBe(true);
  });

  it('gives small and very large arrays memory of their own, so that a gain does not keep 64 MB', () => {
    const allocate = hostSlabs();
    const middle = allocate(2 ** 15);
    const others = [576, 2 ** 14 - 1, 2 ** 23].map(allocate);
    for (const array of others) {
      expect(array.buffer).not.toBe(middle.buffer);
      expect(array.buffer.byteLength).toBeLessThan(4 * array.length + 64);
    }
  });

  it('begins another block where one is full', () => {
    const allocate = hostSlabs();
    const buffers = Array.from({ length: 5 }, () => allocate(2 ** 22).buffer);
    expect(new Set(buffers).size).toBe(2);
  });
});
