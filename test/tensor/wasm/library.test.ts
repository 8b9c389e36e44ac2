import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hashText } from '../../../src/files/hash.ts';
import { seededRandom } from '../../../src/random.ts';
import { shareMemory } from '../../../src/tensor/wasm/backend.ts';
import { KERNELS } from '../../../src/tensor/wasm/kernels-binary.ts';
import { type Library, openLibrary, type ProductShape, type SharedMemory } from '../../../src/tensor/wasm/library.ts';

interface WebAssemblyApi {
  readonly Memory: new (pages: { initial: number; maximum: number; shared: true }) => SharedMemory;
  readonly Module: (new (binary: Uint8Array) => object) & { imports(module: object): object[] };
}
const { Memory, Module } = (globalThis as unknown as { WebAssembly: WebAssemblyApi }).WebAssembly;

/** The kernels in a memory of their own, of 16 MiB. */
function library(threads: number): { kernels: Library; floats: Float32Array; allocate: (floats: number) => number } {
  const memory = new Memory({ initial: 256, maximum: 256, shared: true });
  let top = 64;
  const bytes = (count: number): number => {
    top += Math.ceil(count / 16) * 16;
    return top - Math.ceil(count / 16) * 16;
  };
  const kernels = openLibrary(memory, bytes, threads);
  return { kernels, floats: new Float32Array(memory.buffer), allocate: (count) => bytes(4 * count) };
}

/** a · b as float32 sums in the order of k. */
function slowProduct(a: Float32Array, b: Float32Array, { batch, m, n, k }: ProductShape, ta: boolean, tb: boolean) {
  const c = new Float32Array(batch * m * n);
  for (let at = 0; at < c.length; at++) {
    const [item, row, column] = [Math.floor(at / (m * n)), Math.floor(at / n) % m, at % n];
    let sum = 0;
    for (let p = 0; p < k; p++) {
      const left = a[item * m * k + (ta ? p * m + row : row * k + p)] as number;
      const right = b[item * k * n + (tb ? column * k + p : p * n + column)] as number;
      sum = Math.fround(sum + Math.fround(left * right));
    }
    c[at] = sum;
  }
  return c;
}

/** The product of random matrices by the library, and slowly. */
function multiplyBoth(
  { kernels, floats, allocate }: ReturnType<typeof library>,
  shape: ProductShape,
  ta: boolean,
  tb: boolean,
) {
  // biome-ignore format: one line
  const { batch, m, n, k } = shape;
  const random = seededRandom(1, `${batch} ${m} ${n} ${k}`);
  const [a, b] = [batch * m * k, batch * k * n].map((size) => Float32Array.from({ length: size }, () => random.normal())) as [Float32Array, Float32Array]; // biome-ignore format: one line
  const [atA, atB, atC] = [allocate(a.length), allocate(b.length), allocate(batch * m * n)];
  floats.set(a, atA / 4);
  floats.set(b, atB / 4);
  kernels.multiply(atA, atB, atC, shape, ta, tb);
  return { fast: floats.slice(atC / 4, atC / 4 + batch * m * n), slow: slowProduct(a, b, shape, ta, tb) };
}

describe('our kernels for wasm', () => {
  it('are compiled from kernels.c as it is, and need only a memory', () => {
    expect(hashText(readFileSync('src/tensor/wasm/kernels.c', 'utf8'))).toBe(KERNELS.source);
    const module = new Module(Buffer.from(KERNELS.binary, 'base64'));
    expect(Module.imports(module)).toEqual([{ module: 'env', name: 'memory', kind: 'memory' }]);
  });

  it('multiply matrices of any shape, transposed or not, summing in the order of k', () => {
    const size = fc.integer({ min: 1, max: 40 });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        size,
        size,
        size,
        fc.boolean(),
        fc.boolean(),
        (batch, m, n, k, ta, tb) => {
          // biome-ignore format: one line
          const { fast, slow } = multiplyBoth(library(1), { batch, m, n, k }, ta, tb);
          expect(fast).toEqual(slow);
        },
      ),
      { numRuns: 60 },
    );
  });

  it.each([
    { batch: 1, m: 70, n: 530, k: 261 },
    { batch: 1, m: 531, n: 70, k: 300 },
    { batch: 9, m: 50, n: 57, k: 32 },
  ])('give the same bytes on three threads, beyond the blocks of the caches: %o', (shape) => {
    const threaded = library(3);
    const { fast, slow } = multiplyBoth(threaded, shape, true, true);
    expect(fast).toEqual(slow);
    const { kernels, floats, allocate } = threaded;
    const [a, b, c] = [allocate(64 * 512), allocate(64 * 512), allocate(512 * 512)];
    floats.fill(1, a / 4, c / 4);
    // Job after job, so that a thread that wakes late meets the next one.
    for (let job = 1; job <= 300; job++) {
      const k = 1 + (job % 64);
      kernels.multiply(a, b, c, { batch: 1, m: 512, n: 16 + (job % 5), k }, job % 2 === 0, false);
      const product = floats.subarray(c / 4, c / 4 + 512 * (16 + (job % 5)));
      expect(product.every((sum) => sum === k)).toBe(true);
    }
  });

  it('let a process end, and say so where a thread has ended', { timeout: 600_000 }, async () => {
    const program = (scratch: string): string => `
      import { openLibrary } from './src/tensor/wasm/library.ts';
      const memory = new WebAssembly.Memory({ initial: 256, maximum: 256, shared: true });
      let top = 64, calls = 0;
      const { multiply } = openLibrary(memory, (bytes) => (++calls === 3 ? ${scratch} : (top += bytes + 64) - bytes), 2);
      const until = Date.now() + 60_000;
      do {
        multiply(8 << 20, 10 << 20, 12 << 20, { batch: 1, m: 512, n: 512, k: 512 }, false, false);
        await new Promise((resolve) => setTimeout(resolve, 1));
      } while (${scratch} > 2 ** 24 && Date.now() < until);
      console.log('ends');`;
    const run = (scratch: string) =>
      promisify(execFile)(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program(scratch)]);
    expect((await run('4 << 20')).stdout).toBe('ends\n');
    await expect(run('2 ** 31')).rejects.toThrow(/A thread of the wasm lane has ended|memory access out of bounds/);
  });
});

describe('sharing the memory of a binary', () => {
  const HEADER = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];

  it('sets one bit, whatever comes before', () => {
    const custom = [0, 3, 1, 0x61, 5];
    const binary = Uint8Array.from([...HEADER, ...custom, 5, 4, 1, 1, 2, 8]);
    expect([...shareMemory(binary)]).toEqual([...HEADER, ...custom, 5, 4, 1, 3, 2, 8]);
  });

  it('refuses a binary that it does not know', () => {
    expect(() => shareMemory(Uint8Array.from([...HEADER, 5, 3, 1, 0, 2]))).toThrow('is not the version expected');
  });
});
