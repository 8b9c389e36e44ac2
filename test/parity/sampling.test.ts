/** Penalty and filters of sampling against transformers' logits processors. */
import { describe, expect, it } from 'vitest';
import type { Sampling } from '../../src/decoding/sample-token.ts';
import { candidates, distribution, penalizeRepetition } from '../../src/decoding/sample-token.ts';
import '../helpers/allclose.ts';
import type { FixtureTensor } from '../helpers/fixtures.ts';
import { fixture, floats } from '../helpers/fixtures.ts';

interface Case extends Required<Sampling> {
  readonly probabilities: FixtureTensor;
  readonly penalized: FixtureTensor;
}
const expected = fixture<{ logits: FixtureTensor; seen: FixtureTensor; cases: Case[] }>('sampling.json');
const [rows, vocab] = expected.logits.shape as [number, number];
const row = (from: FixtureTensor, index: number): number[] => {
  const width = from.data.length / rows;
  return from.data.slice(index * width, (index + 1) * width);
};

describe('sampling as in transformers', () => {
  it.each(
    expected.cases,
  )('temperature $temperature, top-k $topK, top-p $topP, min-p $minP, penalty $repetitionPenalty', (from) => {
    for (let index = 0; index < rows; index++) {
      const logits = floats(expected.logits).subarray(index * vocab, (index + 1) * vocab);
      const seen = row(expected.seen, index);
      const penalized = penalizeRepetition(logits, seen, from.repetitionPenalty);
      expect(penalized).toBeAllclose(row(from.penalized, index), { rtol: 1e-6, atol: 1e-6 });
      const { weights: all, total: sum } = distribution(penalized, from.temperature);
      const allowed = candidates(all, sum, from) ?? Array.from({ length: vocab }, (_, id) => id);
      const weights = allowed.map((id) => Math.exp((penalized[id] as number) / from.temperature));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      const found = new Array<number>(vocab).fill(0);
      allowed.forEach((id, i) => {
        found[id] = (weights[i] as number) / total;
      });
      expect(found).toBeAllclose(row(from.probabilities, index), { rtol: 1e-5, atol: 1e-9 });
    }
  });
});
