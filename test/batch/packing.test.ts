import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { packSequences, planPacking } from '../../src/batch/packing.ts';
import type { TokenSequence } from '../../src/batch/token-batch.ts';
import { learnedTokens } from '../../src/batch/token-batch.ts';

const sequence = (ids: number[], mask = ids.map(() => 1)): TokenSequence => ({
  ids: Int32Array.from(ids),
  learned: Int32Array.from(mask),
});
const lengths = fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 60 });

// google/seqio, feature_converters.py, docstring of PrefixLMFeatureConverter: inputs [7,8,5,1] and [8,4,9,3,1],
// targets [3,9,1] and [4,1], packed to length 15.
const seqioExamples = [
  sequence([7, 8, 5, 1, 3, 9, 1], [0, 0, 0, 0, 1, 1, 1]),
  sequence([8, 4, 9, 3, 1, 4, 1], [0, 0, 0, 0, 0, 1, 1]),
];

describe('packSequences', () => {
  it("reproduces seqio's packing example", () => {
    const packed = packSequences(seqioExamples, 15, 0);
    expect([...packed.ids]).toEqual([7, 8, 5, 1, 3, 9, 1, 8, 4, 9, 3, 1, 4, 1, 0]);
    expect([...packed.learned]).toEqual([0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 0]);
    expect([...packed.segments]).toEqual([1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 0]);
    expect([...packed.positions]).toEqual([0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6, 0]);
  });

  it('keeps every token, in order, in one segment of its own', () => {
    fc.assert(
      fc.property(lengths, (sizes) => {
        const sequences = sizes.map((size, i) => sequence(Array.from({ length: size }, (_, t) => 100 * (i + 1) + t)));
        const packed = packSequences(sequences, 12, 0);
        const found: number[][] = [];
        for (let at = 0; at < packed.ids.length; at++) {
          if (packed.segments[at] === 0) {
            expect([packed.ids[at], packed.learned[at], packed.positions[at]]).toEqual([0, 0, 0]);
            continue;
          }
          if (packed.positions[at] === 0) found.push([]);
          expect(packed.positions[at]).toBe(found.at(-1)!.length);
          found.at(-1)!.push(packed.ids[at]!);
        }
        const byFirst = (a: number[], b: number[]) => a[0]! - b[0]!;
        expect(found.sort(byFirst)).toEqual(sequences.map(({ ids }) => [...ids]).sort(byFirst));
      }),
      { seed: 1 },
    );
  });
});

describe('planPacking', () => {
  it('puts each sequence into the fullest row with room', () => {
    expect(planPacking([4, 3, 2, 1], 5)).toEqual([
      [0, 3],
      [1, 2],
    ]);
  });

  it('uses every sequence once, fills no row over, and needs few rows more than the ideal', () => {
    fc.assert(
      fc.property(lengths, (sizes) => {
        const plan = planPacking(sizes, 12);
        expect(plan.flat().sort((a, b) => a - b)).toEqual(sizes.map((_, i) => i));
        for (const row of plan) expect(row.reduce((sum, i) => sum + sizes[i]!, 0)).toBeLessThanOrEqual(12);
        // A bound from below on the fewest rows: total tokens, and sequences too long to share.
        const ideal = Math.max(
          Math.ceil(sizes.reduce((a, b) => a + b, 0) / 12),
          sizes.filter((size) => size > 6).length,
        );
        expect(plan.length).toBeLessThanOrEqual(Math.ceil((11 / 9) * ideal) + 4);
      }),
      { seed: 2 },
    );
  });

  it('is quick on many sequences', () => {
    const sizes = Array.from({ length: 50_000 }, (_, i) => 1 + ((i * 7919) % 250));
    const tokens = sizes.reduce((a, b) => a + b, 0);
    expect(tokens / (planPacking(sizes, 256).length * 256)).toBeGreaterThan(0.98);
  });

  it('refuses sequences that are empty or too long', () => {
    expect(() => planPacking([3, 0, 9], 8)).toThrowErrorMatchingInlineSnapshot(`
      [DataError: packing: sequence 1: expected 1 to 8 tokens, received 0. Raise the sequence length or drop it.
      packing: sequence 2: expected 1 to 8 tokens, received 9. Raise the sequence length or drop it.]
    `);
  });
});

describe('learnedTokens', () => {
  it("pairs each learned token with the one before it in its own segment, as seqio's shifted inputs do", () => {
    // seqio shifts right within each segment and starts it with 0; with that 0 written as a token, its (input, target)
    // pairs of weight 1 are ours.
    const withStart = seqioExamples.map(({ ids, learned }) => sequence([0, ...ids], [0, ...learned]));
    const packed = packSequences(withStart, 17, -1);
    const { predictors, targets } = learnedTokens(packed);
    const seqioInputs = [0, 7, 8, 5, 1, 3, 9, 0, 8, 4, 9, 3, 1, 4];
    const seqioTargets = [7, 8, 5, 1, 3, 9, 1, 8, 4, 9, 3, 1, 4, 1];
    const seqioWeights = [0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1];
    const expected = seqioInputs.flatMap((input, t) => (seqioWeights[t] === 1 ? [[input, seqioTargets[t]]] : []));
    expect(predictors.map((at, i) => [packed.ids[at], targets[i]])).toEqual(expected);
  });

  it('lets no token be predicted across a segment or a row, and loses no learned token but a first one', () => {
    fc.assert(
      fc.property(lengths, (sizes) => {
        const sequences = sizes.map((size, i) => sequence(Array(size).fill(i + 1), Array(size).fill(1)));
        const packed = packSequences(sequences, 12, 0);
        const { predictors, targets } = learnedTokens(packed);
        predictors.forEach((at, i) => {
          expect(targets[i]).toBe(packed.ids[at]);
        });
        expect(targets.length).toBe(sizes.reduce((sum, size) => sum + size - 1, 0));
      }),
      { seed: 3 },
    );
  });
});
