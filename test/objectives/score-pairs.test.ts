import { beforeAll, describe, expect, it } from 'vitest';
import { responseScores } from '../../src/alignment/score-responses.ts';
import { chunks } from '../../src/batch/chunks.ts';
import { promptAndResponse, responseBatch } from '../../src/batch/response-batch.ts';
import { createAdamW, disposeAdamW } from '../../src/execution/adamw.ts';
import { disposeModel } from '../../src/model/model.ts';
import type { PairIds } from '../../src/objectives/pair-batch.ts';
import { scorePairs } from '../../src/objectives/score-pairs.ts';
import { tolerance } from '../helpers/allclose.ts';
import { learnFrom, oneUpdate } from '../helpers/learn-from.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { tinyIds, tinyModel } from '../model/tiny-model.ts';
import { expectNeutralAfter } from '../tensor/neutral.ts';

const adamOptions = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, epsilonStyle: 'pytorch', weightDecay: 0 } as const;
const options = { learningRate: 0.01, clipNorm: 1, where: 'reward step 1' };
const plain = scorePairs({ centring: 0, padId: 0 });
const centred = scorePairs({ centring: 0.1, padId: 0 });
/** Rows of 4 + 2 to 4 + 14 tokens: the longest needs more than one bucket of 16, and the context of 24 is not reached. */
const pairs: PairIds[] = [2, 5, 14].map((length, i) => {
  const promptIds = tinyIds(4, i);
  return {
    chosen: promptAndResponse(promptIds, tinyIds(length, 10 + i)),
    rejected: promptAndResponse(promptIds, tinyIds(3, 20 + i)),
    margin: 0,
  };
});

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it('measures the Bradley–Terry loss of the scores at the last tokens, with margins and centring', async () => {
    const model = tinyModel('llama', 'score');
    const adam = createAdamW(model.parameters.layout, adamOptions);
    const withMargins = pairs.map((pair, i) => ({ ...pair, margin: i / 2 }));
    const read = (side: 'chosen' | 'rejected') =>
      responseScores(
        model,
        responseBatch(
          pairs.map((pair) => pair[side]),
          0,
        ),
      );
    const [chosen, rejected] = [read('chosen'), read('rejected')];
    const mean = (f: (i: number) => number): number => (f(0) + f(1) + f(2)) / 3;
    const expected = {
      loss:
        mean((i) => Math.log1p(Math.exp(-(chosen[i]! - rejected[i]! - i / 2)))) +
        0.1 * mean((i) => (chosen[i]! + rejected[i]!) ** 2),
      accuracy: mean((i) => (chosen[i]! > rejected[i]! ? 1 : 0)),
      margin: mean((i) => chosen[i]! - rejected[i]!),
    };
    const found = await learnFrom(model, adam, centred, [withMargins], options);
    expect([found.loss, found.stats.accuracy, found.stats.margin]).toBeAllclose(
      [expected.loss, expected.accuracy, expected.margin],
      tolerance.forward,
    );
    disposeAdamW(adam);
    disposeModel(model);
  });

  it('learns a few pairs by heart', async () => {
    const model = tinyModel('llama', 'score');
    const adam = createAdamW(model.parameters.layout, adamOptions);
    const losses = [];
    for (let step = 0; step < 30; step++) losses.push(await learnFrom(model, adam, plain, [pairs], options));
    expect(losses[29]!.loss).toBeLessThan(0.1 * Math.max(losses[0]!.loss, Math.LN2));
    expect(losses[29]!.stats.accuracy).toBe(1);
    disposeAdamW(adam);
    disposeModel(model);
  });

  it('gives the same update in pieces as in one, also where the last piece is smaller', async () => {
    const run = (size: number) =>
      oneUpdate(tinyModel('llama', 'score'), adamOptions, centred, chunks(pairs, size), options);
    const [whole, pieces] = [await run(pairs.length), await run(2)];
    expect(pieces.numbers).toBeAllclose(whole.numbers, tolerance.forward);
    expect(pieces.moved).toBeAllclose(whole.moved, tolerance.gradient);
  });

  it('leaves no tensors behind', async () => {
    const model = tinyModel('llama', 'score');
    const adam = createAdamW(model.parameters.layout, adamOptions);
    await expectNeutralAfter(async () => {
      await learnFrom(model, adam, plain, [pairs], options);
    });
    disposeAdamW(adam);
    disposeModel(model);
  });
});
