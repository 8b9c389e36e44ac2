import { describe, expect, it } from 'vitest';
import { packSequences } from '../../src/batch/packing.ts';
import type { TokenSequence } from '../../src/batch/token-batch.ts';
import { layOut, rowBatches, takeRows } from '../../src/batch/token-batch.ts';

const sequence = (...ids: number[]): TokenSequence => ({
  ids: Int32Array.from(ids),
  learned: Int32Array.from(ids, (_, t) => (t === 0 ? 0 : 1)),
});

describe('layOut', () => {
  const rows = [[sequence(7, 8, 5), sequence(4, 1)], [sequence(9)], []];

  it('puts the sequences of a row one after the other, with its padding behind them', () => {
    const laid = layOut(rows, 6, 3);
    expect([laid.batch, laid.seq]).toEqual([3, 6]);
    expect([...laid.ids]).toEqual([...[7, 8, 5, 4, 1, 3], ...[9, 3, 3, 3, 3, 3], ...[3, 3, 3, 3, 3, 3]]);
    expect([...laid.segments]).toEqual([...[1, 1, 1, 2, 2, 0], ...[1, 0, 0, 0, 0, 0], ...[0, 0, 0, 0, 0, 0]]);
    expect([...laid.positions]).toEqual([...[0, 1, 2, 0, 1, 0], ...[0, 0, 0, 0, 0, 0], ...[0, 0, 0, 0, 0, 0]]);
    expect([...laid.learned]).toEqual([...[0, 1, 1, 0, 1, 0], ...[0, 0, 0, 0, 0, 0], ...[0, 0, 0, 0, 0, 0]]);
  });

  it('or before them', () => {
    const laid = layOut(rows, 6, 3, 'left');
    expect([...laid.ids]).toEqual([...[3, 7, 8, 5, 4, 1], ...[3, 3, 3, 3, 3, 9], ...[3, 3, 3, 3, 3, 3]]);
    expect([...laid.segments]).toEqual([...[0, 1, 1, 1, 2, 2], ...[0, 0, 0, 0, 0, 1], ...[0, 0, 0, 0, 0, 0]]);
    expect([...laid.positions]).toEqual([...[0, 0, 1, 2, 0, 1], ...[0, 0, 0, 0, 0, 0], ...[0, 0, 0, 0, 0, 0]]);
  });
});

describe('rows', () => {
  const packed = packSequences([sequence(1, 2, 3), sequence(4, 5, 6), sequence(7, 8)], 3, 0);

  it('are taken in the order given', () => {
    const taken = takeRows(packed, [2, 0]);
    expect([taken.batch, taken.seq]).toEqual([2, 3]);
    expect([...taken.ids]).toEqual([7, 8, 0, 1, 2, 3]);
    expect([...taken.segments]).toEqual([1, 1, 0, 1, 1, 1]);
    expect([...taken.positions]).toEqual([0, 1, 0, 0, 1, 2]);
    expect([...taken.learned]).toEqual([0, 1, 0, 0, 1, 1]);
  });

  it('are split into batches of a size, the last with what is left', () => {
    expect(rowBatches(packed, 2)).toEqual([takeRows(packed, [0, 1]), takeRows(packed, [2])]);
    expect(rowBatches(packed, 3)).toEqual([packed]);
  });
});
