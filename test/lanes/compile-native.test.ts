import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { LaneError } from '../../src/errors.ts';
import type { ProductRatios } from '../../src/lanes/choose-products.ts';
import { nativeBuild, setUpNativeOps } from '../../src/lanes/compile-native.ts';
import { makesTest, withCompiler } from '../helpers/fake-compiler.ts';

const root = mkdtempSync(join(tmpdir(), 'plumbline-native-'));
afterAll(() => rmSync(root, { recursive: true }));
let folder = '';
let said: string[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(root, 'case-'));
  said = [];
});
const say = (line: string): number => said.push(line);

const calls = (): string[] => readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n');
const time = async (): Promise<ProductRatios> => ({ small: 2, large: 0.5 });

describe.runIf(process.platform === 'linux')('setUpNativeOps', () => {
  it('compiles the unit test, runs it, compiles the library, times it, and does it once', async () => {
    const environment = withCompiler(folder, makesTest('12 checks, 0 failed', 0));
    const made = await setUpNativeOps({ say, time, environment });
    const says = "12 checks, 0 failed; native products, 1.00 × as fast (0.50 to 2.00) as TensorFlow's";
    expect(made).toEqual({ file: made.file, says, products: 'native', ratios: { small: 2, large: 0.5 } });
    expect(readFileSync(made.file as string, 'utf8')).toBe('library\n');
    expect(said).toEqual(['compiling native ops (half a minute)', `native ops ready: ${says}`]);
    expect(calls()).toHaveLength(3);
    expect(calls()[0]).toMatch(/^-std=c\+\+17 -O3 -march=native .*unit-test\.cc -o .*unit-test$/);
    expect(await setUpNativeOps({ say, time, environment })).toEqual(made);
    expect(nativeBuild(environment)).toEqual(made);
    expect(calls()).toHaveLength(3);
    await setUpNativeOps({ say, time, environment, again: true });
    expect(calls()).toHaveLength(6);
  });

  it('takes the products of TensorFlow where ours are slower, and keeps the library for all else', async () => {
    const environment = withCompiler(folder, makesTest('12 checks, 0 failed', 0));
    const made = await setUpNativeOps({ say, environment, time: async () => ({ small: 1.28, large: 0.5 }) });
    expect(made.file).not.toBeNull();
    expect(made.products).toBe('tensorflow');
    expect(made.says).toBe("12 checks, 0 failed; TensorFlow's products, as ours are 0.80 × as fast (0.50 to 1.28)");
    expect(nativeBuild(environment)).toEqual(made);
  });

  it('times the library that it keeps, and keeps none that fails then', async () => {
    const environment = withCompiler(folder, makesTest('12 checks, 0 failed', 0));
    const timed: string[] = [];
    const made = await setUpNativeOps({
      say,
      environment,
      time: async (library) => {
        timed.push(readFileSync(library, 'utf8'));
        throw new LaneError('stopped by SIGILL');
      },
    });
    expect(timed).toEqual(['library\n']);
    expect(made).toEqual({ file: null, says: 'stopped by SIGILL', products: 'tensorflow', ratios: {} });
    expect(nativeBuild(environment)).toEqual(made);
  });

  it('builds anew for another compiler', async () => {
    const environment = withCompiler(folder, makesTest('12 checks, 0 failed', 0));
    await setUpNativeOps({ say, time, environment });
    expect(nativeBuild({ ...environment, CXX: 'clang++' })).toBeUndefined();
  });

  it('keeps no library whose kernels compute something wrong', async () => {
    const environment = withCompiler(folder, makesTest('error: attention differs', 1));
    const made = await setUpNativeOps({ say, time, environment });
    expect(made.file).toBeNull();
    expect(made.says).toMatch(/the kernels do not compute right here \(error: attention differs; exit code 1\)\.$/);
    expect(said.at(-1)).toBe(`no native ops: ${made.says}`);
    expect(calls()).toHaveLength(1);
    // Not tried again by every program.
    expect(await setUpNativeOps({ say, time, environment })).toEqual(made);
    expect(calls()).toHaveLength(1);
  });

  it('says what the compiler said', async () => {
    const environment = withCompiler(folder, 'echo "vectors.h:9: error: unknown type" >&2; exit 1');
    const made = await setUpNativeOps({ say, time, environment });
    expect(made).toEqual({
      file: null,
      products: 'tensorflow',
      ratios: {},
      says:
        `${join(folder, 'compiler')}: src/native does not compile (vectors.h:9: error: unknown type). ` +
        'Update g++ to 9 or newer, or set CXX to another compiler; then run npm run setup -- --again.',
    });
  });

  it('goes without a compiler, and leaves nothing half-made', async () => {
    const environment = { PATH: '', PLUMBLINE_CACHE: join(folder, 'cache') };
    const made = await setUpNativeOps({ say, time, environment });
    expect(made.file).toBeNull();
    expect(made.says).toContain('PATH: no C++ compiler was found');
    expect(existsSync(join(folder, 'cache', 'setup.lock'))).toBe(false);
  });

  it('says so where the cache cannot be written', async () => {
    const made = await setUpNativeOps({ say, time, environment: { PATH: '', PLUMBLINE_CACHE: '/dev/null/cache' } });
    expect(made.file).toBeNull();
    expect(made.says).toContain('/dev/null/cache: the cache folder cannot be written');
  });
});
