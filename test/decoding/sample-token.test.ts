import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Sampling } from '../../src/decoding/sample-token.ts';
import { drawInGraph, sampleToken } from '../../src/decoding/sample-token.ts';
import type { Random } from '../../src/random.ts';
import { seededRandom } from '../../src/random.ts';
import { tf } from '../../src/tensor/tf.ts';
import '../helpers/allclose.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';

const plain: Sampling = { temperature: 1, topK: 0, topP: 1 };
/** Logits of given probabilities. */
const logits = (...probabilities: number[]): Float32Array => Float32Array.from(probabilities, Math.log);
const anyLogits = fc
  .array(fc.float({ min: -8, max: 8, noNaN: true }), { minLength: 1, maxLength: 8 })
  .map((values) => Float32Array.from(values));

function counts(from: Float32Array, sampling: Sampling, draws: number): number[] {
  const random = seededRandom(1);
  const found = new Array<number>(from.length).fill(0);
  for (let i = 0; i < draws; i++) {
    const { id } = sampleToken(from, sampling, random);
    found[id] = found[id]! + 1;
  }
  return found;
}

/** The ids that occur in many draws. */
const drawn = (from: Float32Array, sampling: Partial<Sampling>): number[] =>
  counts(from, { ...plain, ...sampling }, 2000).flatMap((count, id) => (count > 0 ? [id] : []));

describe('sampleToken', () => {
  it('draws tokens as often as they are likely at the temperature', () => {
    // At temperature ½ probabilities are squared: 1, 4, 9, 36 of 50.
    const expected = [1, 4, 9, 36].map((share) => (10_000 * share) / 50);
    const found = counts(logits(0.1, 0.2, 0.3, 0.6), { ...plain, temperature: 0.5 }, 10_000);
    // χ² with 3 degrees of freedom exceeds 16.27 once in a thousand times.
    expect(found.reduce((sum, count, i) => sum + (count - expected[i]!) ** 2 / expected[i]!, 0)).toBeLessThan(16.27);
  });

  it('with top-k and top-p draws from what is left in the old proportions', () => {
    const found = counts(logits(0.4, 0.1, 0.3, 0.2), { ...plain, topK: 3, topP: 0.75 }, 7000);
    // The three likeliest are 0, 2, 3 with 4/9, 3/9, 2/9; two of them reach 0.75 (of all tokens they would not).
    expect([found[1], found[3]]).toEqual([0, 0]);
    // Four standard errors of a binomial count.
    expect(Math.abs(found[0]! - 4000)).toBeLessThan(4 * Math.sqrt(7000 * (4 / 7) * (3 / 7)));
  });

  it('top-k keeps the k likeliest tokens, the first of equals', () => {
    const from = logits(0.1, 0.4, 0.2, 0.2, 0.1);
    expect(drawn(from, { topK: 1 })).toEqual([1]);
    expect(drawn(from, { topK: 2 })).toEqual([1, 2]);
    expect(drawn(from, { topK: 3 })).toEqual([1, 2, 3]);
    expect(drawn(from, { topK: 0 })).toEqual([0, 1, 2, 3, 4]);
    expect(drawn(from, { topK: 99 })).toEqual([0, 1, 2, 3, 4]);
  });

  it('top-p keeps the smallest set that reaches p, and at least one token', () => {
    const from = logits(0.15, 0.45, 0.25, 0.1, 0.05);
    expect(drawn(from, { topP: 0.01 })).toEqual([1]);
    expect(drawn(from, { topP: 0.44 })).toEqual([1]);
    expect(drawn(from, { topP: 0.46 })).toEqual([1, 2]);
    expect(drawn(from, { topP: 0.8 })).toEqual([0, 1, 2]);
    expect(drawn(from, { topP: 1 })).toEqual([0, 1, 2, 3, 4]);
  });

  it('greedy takes the likeliest, reports log-probabilities at temperature 1 and uses no randomness', () => {
    fc.assert(
      fc.property(anyLogits, (from) => {
        const random = seededRandom(1);
        const { id, logProb } = sampleToken(from, { temperature: 0, topK: 3, topP: 0.5 }, random);
        expect(id).toBe(from.indexOf(Math.max(...from)));
        const sum = from.reduce((total, x) => total + Math.exp(x), 0);
        expect([logProb]).toBeAllclose([from[id]! - Math.log(sum)], { rtol: 1e-9, atol: 1e-9 });
        expect(random.state()).toEqual(seededRandom(1).state());
      }),
      { seed: 1 },
    );
  });

  it('reports the log-probability at the temperature, before top-k and top-p', () => {
    fc.assert(
      fc.property(
        anyLogits,
        fc.double({ min: 0.2, max: 3, noNaN: true }),
        fc.nat({ max: 8 }),
        fc.double({ min: 0.1, max: 1, noNaN: true }),
        fc.integer(),
        (from, temperature, topK, topP, seed) => {
          const { id, logProb } = sampleToken(from, { temperature, topK, topP }, seededRandom(seed));
          const sum = from.reduce((total, x) => total + Math.exp((x - from[id]!) / temperature), 0);
          expect([logProb]).toBeAllclose([-Math.log(sum)], { rtol: 1e-9, atol: 1e-9 });
        },
      ),
      { seed: 1 },
    );
  });

  it('never draws what is impossible, and survives logits whose exponentials overflow', () => {
    const from = Float32Array.of(Number.NEGATIVE_INFINITY, 2000, Number.NEGATIVE_INFINITY, 2000);
    expect(drawn(from, {})).toEqual([1, 3]);
    // The largest uniform number below 1 must not fall off the end onto an impossible last token.
    const almostOne = { ...seededRandom(1), uniform: () => 1 - 2 ** -53 };
    expect(sampleToken(Float32Array.of(0, 0, Number.NEGATIVE_INFINITY), plain, almostOne).id).toBe(1);
    expect(sampleToken(Float32Array.of(0, 0), plain, { ...almostOne, uniform: () => 0 }).id).toBe(0);
  });
});

describe.each(lanesToTest())('drawInGraph on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it.each([0.7, 1, 0])('draws at temperature %d what sampleToken draws with the same numbers', (temperature) => {
    const [rows, vocab] = [200, 32];
    const random = seededRandom(5, 'draws');
    const values = Float32Array.from({ length: rows * vocab }, () => 2 * random.normal());
    const uniform = Float32Array.from({ length: rows }, () => random.uniform());
    const sampling = { ...plain, temperature };
    const expected = Array.from(uniform, (value, row) => {
      const own = { uniform: () => value } as Random;
      return sampleToken(values.subarray(row * vocab, (row + 1) * vocab), sampling, own);
    });
    const found = tf.tidy(() => {
      const arrays = { uniform: tf.tensor1d(uniform), temperature: tf.scalar(temperature) };
      const { ids, logProbs } = drawInGraph(tf.tensor2d(values, [rows, vocab]), arrays, sampling);
      return { ids: [...ids!.dataSync()], logProbs: [...logProbs!.dataSync()] };
    });
    expect(found.ids).toEqual(expected.map(({ id }) => id));
    expect(found.logProbs).toBeAllclose(
      expected.map(({ logProb }) => logProb),
      // Greedy tokens are told at temperature 1 by both.
      { rtol: 1e-5, atol: 1e-5 },
    );
    expect(new Set(found.ids).size).toBeGreaterThan(20);
  });
});
