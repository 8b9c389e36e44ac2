import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bucketLength, groupByBucket, padLeft, padRight, unpad } from '../../src/batch/padding.ts';

const sequences = [Int32Array.of(5, 6, 7), Int32Array.of(8)];

describe('padding', () => {
  it('stands after the tokens for training', () => {
    const { batch, length, ids, attentionMask, positionIds } = padRight(sequences, 0, 4);
    expect([batch, length]).toEqual([2, 4]);
    expect([...ids]).toEqual([5, 6, 7, 0, 8, 0, 0, 0]);
    expect([...attentionMask]).toEqual([1, 1, 1, 0, 1, 0, 0, 0]);
    expect([...positionIds]).toEqual([0, 1, 2, 0, 0, 0, 0, 0]);
  });

  it('stands before the tokens for generation', () => {
    const { ids, attentionMask, positionIds } = padLeft(sequences, 0);
    expect([...ids]).toEqual([5, 6, 7, 0, 0, 8]);
    expect([...attentionMask]).toEqual([1, 1, 1, 0, 0, 1]);
    expect([...positionIds]).toEqual([0, 1, 2, 0, 0, 0]);
  });

  it('comes off again, even where the pad id is also a token', () => {
    const list = fc.array(fc.int32Array({ min: 0, max: 3, maxLength: 9 }), { maxLength: 6 });
    fc.assert(
      fc.property(list, fc.nat(4), (items, extra) => {
        const length = Math.max(0, ...items.map((item) => item.length)) + extra;
        expect(unpad(padRight(items, 0, length))).toEqual(items);
        expect(unpad(padLeft(items, 0, length))).toEqual(items);
      }),
      { seed: 1 },
    );
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
