import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { bestOption, type RankingRule, rankingRules, scoreOptions } from '../../src/evaluation/rank-options.ts';
import { decode } from '../../src/model/decoder.ts';
import { tokenLogits } from '../../src/model/heads.ts';
import { decoderInputs, disposeInputs } from '../../src/model/inputs.ts';
import type { Model } from '../../src/model/model.ts';
import { disposeModel, modelWeights } from '../../src/model/model.ts';
import { ownedParameters } from '../../src/tensor/parameters.ts';
import { tf } from '../../src/tensor/tf.ts';
import { talk } from '../helpers/messages.ts';
import '../helpers/allclose.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { expectNeutral } from '../tensor/neutral.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';
import { byteModel } from './byte-model.ts';
import { taskItem as item } from './sample-item.ts';

describe('bestOption', () => {
  it('has the highest score, the earlier of equals', () => {
    expect(bestOption(['a', 'b', 'c'], [-3, -1, -2])).toBe('b');
    expect(bestOption(['a', 'b', 'c'], [-3, -1, -1])).toBe('b');
    expect(bestOption(['a', 'b'], [Number.NEGATIVE_INFINITY, -1e9])).toBe('b');
  });

  it('is among the options and beaten by none', () => {
    const scored = fc.array(fc.tuple(fc.string(), fc.double({ noNaN: true })), { minLength: 1 });
    const law = fc.property(scored, (pairs) => {
      const names = pairs.map((_, i) => String(i));
      const best = Number(bestOption(names, pairs.map(([, score]) => score))); // biome-ignore format: short
      pairs.forEach(([, score], i) => {
        expect(score).toBeLessThanOrEqual(pairs[best]![1]);
        if (i < best) expect(score).toBeLessThan(pairs[best]![1]);
      });
    });
    fc.assert(law);
  });
});

/** Σ log p(id | ids before it) from `start` on: one sequence, one forward pass a token, softmax in float64. */
function slowLogProb(model: Model, ids: readonly number[], start: number): number {
  let sum = 0;
  for (let at = start; at < ids.length; at++) {
    const seen = ids.slice(0, at);
    const inputs = decoderInputs(model.dimensions, {
      ...{ batch: 1, seq: at, ids: Int32Array.from(seen), segments: new Int32Array(at).fill(1) },
      positions: Int32Array.from(seen.keys()),
    });
    const logits = tf.tidy(() => {
      const weights = modelWeights(model);
      const { hidden } = decode(model.dimensions, weights, inputs);
      return Array.from(tokenLogits(model.dimensions, weights, hidden).dataSync());
    });
    disposeInputs(inputs);
    const own = logits.slice(-model.dimensions.vocab);
    const most = Math.max(...own);
    const total = own.reduce((all, logit) => all + Math.exp(logit - most), 0);
    sum += own[ids[at]!]! - most - Math.log(total);
  }
  return sum;
}

describe.each(lanesToTest())('scoreOptions on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it('has the four scores of a slow oracle, by their definitions', () => {
    const tokenizer = byteTokenizer();
    const model = byteModel();
    const items = [
      item('Ada', 'baker', { options: ['baker', 'a miller', 'x'] }),
      item('Who is Bo?', 'no', { options: ['yes', 'no', 'naïve 🌾'] }),
      item('', 'no', { options: ['no', 'yes'], messages: talk('Hm', 'ah', 'So?') }),
    ];
    const bytes = (text: string): number[] => [...tokenizer.encode(text)];
    const { bosId, eosId } = tokenizer;
    scoreOptions(model, tokenizer, items).forEach((scores, i) => {
      const { messages, options } = items[i]!;
      const turns = messages.flatMap(({ role, content }) =>
        role === 'user' ? bytes(`${content}\n`) : [...bytes(` ${content}`), eosId],
      );
      const before = [bosId!, ...turns];
      const nothing = [bosId!, ...bytes('\n')];
      const own = options.map((option) => [...bytes(` ${option}`), eosId]);
      const sums = own.map((ids) => slowLogProb(model, [...before, ...ids], before.length));
      const alone = own.map((ids) => slowLogProb(model, [...nothing, ...ids], nothing.length));
      // Bytes are tokens: 5 + space + EOS and so on; characters are what a reader counts.
      const tokens = [[7, 10, 3], [5, 4, 13], [4, 5]][i]!; // biome-ignore format: one line
      const characters = [[5, 8, 1], [3, 2, 7], [2, 3]][i]!; // biome-ignore format: one line
      const expected: Record<RankingRule, number[]> = {
        sum: sums,
        per_token: sums.map((sum, k) => sum / tokens[k]!),
        per_character: sums.map((sum, k) => sum / characters[k]!),
        mutual_information: sums.map((sum, k) => sum - alone[k]!),
      };
      for (const rule of rankingRules) expect(scores[rule]).toBeAllclose(expected[rule], { rtol: 1e-4, atol: 1e-4 });
    });
    disposeModel(model);
  });

  it('does not depend on which items stand beside each other, over more than one batch', () => {
    const tokenizer = byteTokenizer();
    const model = byteModel();
    const items = Array.from({ length: 40 }, (_, i) =>
      item('q'.repeat(1 + (i % 7)), 'a', { options: ['a', 'b'.repeat(1 + (i % 3))] }),
    );
    const progress: number[] = [];
    const together = scoreOptions(model, tokenizer, items, (share) => progress.push(share));
    const alone = items.flatMap((each) => scoreOptions(model, tokenizer, [each]));
    for (const rule of rankingRules) {
      const flat = (scores: typeof alone): number[] => scores.flatMap((own) => own[rule]);
      expect(flat(together)).toBeAllclose(flat(alone), { rtol: 1e-4, atol: 1e-4 });
    }
    expect(progress.at(-1)).toBe(1);
    expect(progress).toEqual([...progress].sort((a, b) => a - b));
    disposeModel(model);
  });

  it('of nothing is nothing, and leaves no tensors behind', () => {
    const tokenizer = byteTokenizer();
    const model = byteModel();
    expect(scoreOptions(model, tokenizer, [])).toEqual([]);
    expectNeutral(() => void scoreOptions(model, tokenizer, [item('Ada', 'a', { options: ['a', 'b'] })]));
    disposeModel(model);
  });

  it('says so where the model has diverged instead of choosing the first option', () => {
    const model = byteModel();
    const { layout } = model.parameters;
    const broken = {
      ...model,
      parameters: ownedParameters(layout, new Float32Array(layout.total).fill(Number.NaN)),
    };
    expect(() => scoreOptions(broken as Model, byteTokenizer(), [item('a', 'b', { options: ['b', 'c'] })])).toThrow(
      'ranking: the log-probability of an option is NaN; expected a finite number. The model has diverged.',
    );
    broken.parameters.stored.dispose();
    disposeModel(model);
  });
});
