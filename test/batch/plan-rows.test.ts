import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planPacking } from '../../src/batch/packing.ts';
import { roundedLength, roundedUp } from '../../src/batch/padding.ts';
import { planRows } from '../../src/batch/plan-rows.ts';

describe('planRows', () => {
  it('gives the documented example, and rows of 64, 128 … 256 where several are needed', () => {
    expect(planRows([70, 30, 20])).toEqual({ plan: [[0, 1, 2]], rows: 1, seq: 128 });
    expect(planRows([3])).toEqual({ plan: [[0]], rows: 1, seq: 16 });
    expect(planRows(new Array(16).fill(30))).toMatchObject({ rows: 8, seq: 64 });
    expect(planRows(new Array(24).fill(40))).toMatchObject({ rows: 8, seq: 128 });
    expect(planRows(new Array(15).fill(50))).toMatchObject({ rows: 3, seq: 256 });
  });

  it('takes a length of its own where that saves an eighth', () => {
    // Three of 70 fill 210 of 256; rows of 80 waste 10 of 80.
    expect(planRows(new Array(32).fill(70))).toMatchObject({ rows: 32, seq: 80 });
  });

  it('holds all in rows, none longer than what stands in them has to be beyond 256, with no more padding than rows of the longest', () => {
    const some = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(some, (lengths) => {
        const { plan, rows, seq } = planRows(lengths);
        expect(plan.flat().sort((a, b) => a - b)).toEqual([...lengths.keys()]);
        expect(rows).toBeGreaterThanOrEqual(plan.length);
        for (const row of plan) expect(row.reduce((sum, i) => sum + lengths[i]!, 0)).toBeLessThanOrEqual(seq);
        const longest = Math.max(...lengths);
        expect(seq).toBeLessThanOrEqual(Math.max(256, roundedUp(longest, 64)));
        const plain = roundedLength(longest);
        const before = plain * roundedUp(planPacking(lengths, plain).length, 1);
        expect(rows * seq).toBeLessThan(before * (8 / 7) + 1);
      }),
      { seed: 1, numRuns: 200 },
    );
  });
});
