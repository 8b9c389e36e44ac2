/** Log-probabilities, entropies, values and scores of responses against a full pass over each sequence alone. */
import { beforeAll, describe, expect, it } from 'vitest';
import {
  responseLogProbs,
  responseLogProbsAndEntropy,
  responseScores,
  responseValues,
} from '../../src/alignment/score-responses.ts';
import type { ResponseBatch } from '../../src/batch/response-batch.ts';
import { packedResponseBatch, promptAndResponse, responseBatch } from '../../src/batch/response-batch.ts';
import type { Model } from '../../src/model/model.ts';
import { disposeModel } from '../../src/model/model.ts';
import { tolerance } from '../helpers/allclose.ts';
import { logSoftmax, readAlone } from '../helpers/read-alone.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { tinyIds, tinyModel, tinyStyles } from '../model/tiny-model.ts';
import { expectNeutral } from '../tensor/neutral.ts';

const parts = [
  { promptIds: tinyIds(5, 1), responseIds: tinyIds(3, 2) },
  { promptIds: tinyIds(2, 3), responseIds: tinyIds(6, 4) },
  { promptIds: tinyIds(4, 5), responseIds: tinyIds(1, 6) },
];
const sequences = parts.map(({ promptIds, responseIds }) => promptAndResponse(promptIds, responseIds));
/** One sequence a row, and packed: 16 columns hold two of them. */
const layouts = [
  responseBatch(sequences, 0, { seq: 14, response: 7 }),
  packedResponseBatch(sequences, 0, { grid: { sequences: 3, response: 7 }, lines: [0, 1, 2] }),
];
const [batch] = layouts as [ResponseBatch];
const temperature = 0.7;

const alone = (model: Model, { promptIds, responseIds }: (typeof parts)[number]): Float32Array[] =>
  readAlone(model, Int32Array.of(...promptIds, ...responseIds));

/** A [sequences · response] array with one number for each response token, 0 elsewhere. */
function perToken(model: Model, read: (before: Float32Array, token: number) => number): number[] {
  return parts.flatMap((sequence) => {
    const states = alone(model, sequence);
    const { promptIds, responseIds } = sequence;
    return Array.from({ length: 7 }, (_, t) => {
      return t < responseIds.length ? read(states[promptIds.length + t - 1]!, responseIds[t]!) : 0;
    });
  });
}

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it.each(tinyStyles)('%s: log-probabilities and entropies are those of each sequence alone', (style) => {
    const model = tinyModel(style);
    const logProbs = perToken(model, (logits, token) => logSoftmax(logits, temperature)[token]!);
    const entropy = perToken(
      model,
      (logits) => -logSoftmax(logits, temperature).reduce((sum, x) => sum + Math.exp(x) * x, 0),
    );
    for (const layout of layouts) {
      expect(responseLogProbs(model, layout, temperature)).toBeAllclose(logProbs, tolerance.forward);
      const both = responseLogProbsAndEntropy(model, layout, temperature);
      expect(both.logProbs).toEqual(responseLogProbs(model, layout, temperature));
      expect(both.entropy).toBeAllclose(entropy, tolerance.forward);
    }
    disposeModel(model);
  });

  it.each(tinyStyles)('%s: values stand before each token, scores on the last, whatever the padding', (style) => {
    const model = tinyModel(style, 'score');
    const values = perToken(model, (value) => value[0]!);
    const shifted = perToken(model, (value) => value[0]! - 3);
    const last = parts.map((sequence) => alone(model, sequence).at(-1)![0]!);
    for (const layout of layouts) {
      expect(responseValues(model, layout)).toBeAllclose(values, tolerance.forward);
      expect(responseValues(model, layout, 3)).toBeAllclose(shifted, tolerance.forward);
      expect(responseScores(model, layout)).toBeAllclose(last, tolerance.forward);
    }
    expect(responseScores(model, responseBatch(sequences, 0))).toBeAllclose(last, tolerance.forward);
    disposeModel(model);
  });

  it('leaves no tensors behind', () => {
    const [policy, critic] = [tinyModel(), tinyModel('llama', 'score')];
    expectNeutral(() => {
      responseLogProbs(policy, batch, temperature);
      responseLogProbsAndEntropy(policy, batch, temperature);
      responseValues(critic, batch);
      responseScores(critic, batch);
    });
    disposeModel(policy);
    disposeModel(critic);
  });
});
