import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { chrf, rougeL, textMetric, tokenF1 } from '../../src/evaluation/text-metrics.ts';

interface Case {
  prediction: string;
  target: string;
  token_f1: number;
  rouge_l: number;
  chrf: number;
}

// scripts/fixtures/text_metrics.py: rouge-score 0.1.2, sacrebleu 2.6, SQuAD's script
const cases = JSON.parse(readFileSync('test/fixtures/text-metrics.json', 'utf8')) as Case[];

describe.each(cases)('"$prediction" against "$target"', ({ prediction, target, ...expected }) => {
  it('has the token F1 of the SQuAD script', () =>
    expect(tokenF1(prediction, target)).toBeCloseTo(expected.token_f1, 12));
  it('has the ROUGE-L of rouge-score', () => expect(rougeL(prediction, target)).toBeCloseTo(expected.rouge_l, 12));
  it('has the chrF of sacrebleu', () => expect(chrf(prediction, target)).toBeCloseTo(expected.chrf, 12));
});

it('each metric is found by its name, and exact match only forgives white space at the ends', () => {
  expect(cases.length).toBeGreaterThan(15);
  expect(textMetric('exact_match', ' Thorn\n', 'Thorn')).toBe(1);
  expect(textMetric('exact_match', 'thorn', 'Thorn')).toBe(0);
  expect(textMetric('token_f1', 'the cat', 'a cat')).toBe(1);
  expect(textMetric('rouge_l', 'the cat', 'a cat')).toBe(0.5);
  expect(textMetric('chrf', 'a b', 'ab')).toBe(1);
});
