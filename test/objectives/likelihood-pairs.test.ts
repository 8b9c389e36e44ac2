/** Pairs by likelihood against every response read alone, and the sharing of responses between pairs. */
import { beforeAll, describe, expect, it } from 'vitest';
import { responseScores } from '../../src/alignment/score-responses.ts';
import { chunks } from '../../src/batch/chunks.ts';
import { promptAndResponse, responseBatch } from '../../src/batch/response-batch.ts';
import type { TokenSequence } from '../../src/batch/token-batch.ts';
import { createAdamW, disposeAdamW } from '../../src/execution/adamw.ts';
import type { Model } from '../../src/model/model.ts';
import { disposeModel } from '../../src/model/model.ts';
import { likelihoodPairs } from '../../src/objectives/likelihood-pairs.ts';
import type { PairIds } from '../../src/objectives/pair-batch.ts';
import { pairBatch } from '../../src/objectives/pair-batch.ts';
import { tolerance } from '../helpers/allclose.ts';
import { learnFrom, oneUpdate } from '../helpers/learn-from.ts';
import { logSoftmax, readAlone } from '../helpers/read-alone.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { tinyIds, tinyModel, tinyStyles } from '../model/tiny-model.ts';
import { expectNeutralAfter } from '../tensor/neutral.ts';

const adamOptions = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, epsilonStyle: 'pytorch', weightDecay: 0 } as const;
const options = { learningRate: 0.01, clipNorm: 1, where: 'reward step 1' };
const scale = 3;
const objective = likelihoodPairs({ scale, padId: 0 });

/** Four answers to one prompt, and all comparisons between them; then a pair of another prompt. */
const answers = [2, 5, 14, 3].map((length, i) => promptAndResponse(tinyIds(4, 1), tinyIds(length, 10 + i)));
const others = [4, 6].map((length, i) => promptAndResponse(tinyIds(6, 2), tinyIds(length, 20 + i)));
const pairs: PairIds[] = [
  ...answers.flatMap((chosen, i) => answers.slice(i + 1).map((rejected, j) => ({ chosen, rejected, margin: j / 4 }))),
  { chosen: others[0]!, rejected: others[1]!, margin: 0.1 },
];

/** Mean over the response of log softmax(logits)[token], of one sequence by itself, in float64. */
function meanLogProb(model: Model, { ids, learned }: TokenSequence): number {
  const states = readAlone(model, ids);
  const logProbs = [...ids.entries()].flatMap(([t, token]) =>
    learned[t] === 1 ? [logSoftmax(states[t - 1]!)[token]!] : [],
  );
  return logProbs.reduce((sum, x) => sum + x, 0) / logProbs.length;
}

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it.each(tinyStyles)('%s: a response is worth the mean log-probability of its tokens', async (style) => {
    const model = tinyModel(style);
    const adam = createAdamW(model.parameters.layout, adamOptions);
    const score = new Map([...answers, ...others].map((sequence) => [sequence, meanLogProb(model, sequence)]));
    const read = responseScores(model, responseBatch([...score.keys()], 0));
    expect(read).toBeAllclose([...score.values()], tolerance.forward);
    // Meng et al. 2024, eq. 6.
    const differences = pairs.map(({ chosen, rejected }) => scale * (score.get(chosen)! - score.get(rejected)!));
    const mean = (values: number[]): number => values.reduce((sum, x) => sum + x, 0) / values.length;
    const found = await learnFrom(model, adam, objective, [pairs], options);
    expect([found.loss, found.stats.accuracy, found.stats.margin]).toBeAllclose(
      [
        mean(differences.map((d, i) => Math.log1p(Math.exp(pairs[i]!.margin! - d)))),
        mean(differences.map((d) => (d > 0 ? 1 : 0))),
        mean(differences),
      ],
      tolerance.forward,
    );
    disposeAdamW(adam);
    disposeModel(model);
  });

  it('gives the same update in pieces, where answers are read once a piece, as in one', async () => {
    const run = (size: number) => oneUpdate(tinyModel(), adamOptions, objective, chunks(pairs, size), options);
    const [whole, alone] = [await run(pairs.length), await run(1)];
    expect(alone.numbers).toBeAllclose(whole.numbers, tolerance.forward);
    expect(alone.moved).toBeAllclose(whole.moved, tolerance.gradient);
  });

  it('learns a few pairs by heart', async () => {
    const model = tinyModel();
    const adam = createAdamW(model.parameters.layout, adamOptions);
    const losses = [];
    for (let step = 0; step < 40; step++) losses.push(await learnFrom(model, adam, objective, [pairs], options));
    expect(losses[39]!.loss).toBeLessThan(0.1 * losses[0]!.loss);
    expect(losses[39]!.stats.accuracy).toBe(1);
    disposeAdamW(adam);
    disposeModel(model);
  });

  it('leaves no tensors behind', async () => {
    const model = tinyModel();
    const adam = createAdamW(model.parameters.layout, adamOptions);
    await expectNeutralAfter(async () => {
      await learnFrom(model, adam, objective, [pairs], options);
    });
    disposeAdamW(adam);
    disposeModel(model);
  });
});

it('reads every answer once, in however many pairs it is', () => {
  const { responses } = pairBatch(tinyModel().dimensions, pairs, 0);
  expect(responses.last).toHaveLength(answers.length + others.length);
});
