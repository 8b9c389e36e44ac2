import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { requireBackend, tf } from '../../src/tensor/tf.ts';

describe('the door to TensorFlow.js', () => {
  it('is the one CommonJS copy that backends register on', () => {
    expect(tf).toBe(createRequire(import.meta.url)('@tensorflow/tfjs'));
    expect(requireBackend('@tensorflow/tfjs')).toBe(tf);
  });

  it('gives back the two functions that Node 23 removed and TensorFlow.js 4.22 calls', () => {
    const util = createRequire(import.meta.url)('node:util') as Record<string, (value: unknown) => boolean>;
    expect([null, undefined, 0, ''].map((value) => util.isNullOrUndefined!(value))).toEqual([true, true, false, false]);
    expect([[], {}].map((value) => util.isArray!(value))).toEqual([true, false]);
  });
});
