import { describe, expect, it } from 'vitest';
import { bucketLength, groupByBucket, padLeft } from '../../src/batch/padding.ts';

const sequences = [Int32Array.of(5, 6, 7), Int32Array.of(8)];

describe('padding', () => {
  it('stands before the tokens, so that all end in the last column', () => {
    const { batch, seq, ids, segments, positions } = padLeft(sequences, 0);
    expect([batch, seq]).toEqual([2, 3]);
    expect([...ids]).toEqual([5, 6, 7, 0, 0, 8]);
    expect([...segments]).toEqual([1, 1, 1, 0, 0, 1]);
    expect([...positions]).toEqual([0, 1, 2, 0, 0, 0]);
  });

  it('refuses sequences longer than the length', () => {
    expect(() => padLeft(sequences, 0, 2)).toThrow(
      'padding: expected sequences of at most 2 tokens, received 3. Raise the length.',
    );
  });
});

describe('buckets', () => {
  it('are the smallest that hold a sequence', () => {
    expect([1, 16, 17, 64].map((size) => bucketLength(size, [32, 16, 64]))).toEqual([16, 16, 32, 64]);
    expect(() => bucketLength(65, [32, 16, 64])).toThrow(
      'buckets: expected a sequence of at most 64 tokens, received 65. Add a larger bucket.',
    );
  });

  it('group sequences in order', () => {
    expect(groupByBucket([3, 20, 9, 16], [16, 32])).toEqual([
      { length: 16, indices: [0, 2, 3] },
      { length: 32, indices: [1] },
    ]);
  });
});
