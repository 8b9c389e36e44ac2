import { describe, expect, it } from 'vitest';
import { chooseProducts, timeProducts } from '../../src/lanes/choose-products.ts';
import { setUpNativeOps } from '../../src/lanes/compile-native.ts';
import { canHaveNativeOps } from '../helpers/native-ops.ts';

describe('chooseProducts', () => {
  it('goes by the geometric mean, and lets a little slower pass', () => {
    // √(1.6 · 0.5) = 0.894, √(1.65 · 0.5) = 0.908
    expect(chooseProducts({ a: 1.6, b: 0.5 })).toEqual({
      products: 'tensorflow',
      says: "TensorFlow's products, as ours are 0.89 × as fast (0.50 to 1.60)",
    });
    expect(chooseProducts({ a: 1.65, b: 0.5 })).toEqual({
      products: 'native',
      says: "native products, 0.91 × as fast (0.50 to 1.65) as TensorFlow's",
    });
  });
});

describe.runIf(canHaveNativeOps())('timeProducts (needs a C++ compiler)', () => {
  it('times every layer, beside what it would be without own products', async () => {
    const { file, ratios } = await setUpNativeOps({ say: () => undefined });
    const timed = await timeProducts(file as string, process.env);
    expect(Object.keys(timed)).toEqual(Object.keys(ratios));
    expect(Object.keys(timed)).toContain('1024 × 1024 × 1024');
    expect(Object.values(timed).every((ratio) => ratio > 0 && Number.isFinite(ratio))).toBe(true);
  }, 400_000);

  it('says what went wrong', async () => {
    await expect(timeProducts('/nowhere/ops.so', process.env)).rejects.toThrow(
      /^\/nowhere\/ops\.so: linear layers do not run here \(.*cannot open shared object file.*; exit code 1\)\.$/,
    );
  }, 60_000);
});
