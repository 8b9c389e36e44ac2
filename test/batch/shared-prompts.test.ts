/** Responses to one prompt side by side: what is put together, and that reading and learning them is as if each were alone. */
import { beforeAll, describe, expect, it } from 'vitest';
import type { ResponseBatch } from '../../src/batch/response-batch.ts';
import { packedResponseBatch, promptAndResponse, responseBatch } from '../../src/batch/response-batch.ts';
import { ownPrompt, promptLength, sharePrompts } from '../../src/batch/shared-prompts.ts';
import type { TokenSequence } from '../../src/batch/token-batch.ts';
import { createAdamW, disposeAdamW } from '../../src/execution/adamw.ts';
import type { Objective } from '../../src/execution/objective.ts';
import { tokenHead } from '../../src/model/heads.ts';
import { inputArrays } from '../../src/model/inputs.ts';
import { disposeModel } from '../../src/model/model.ts';
import { statesAt } from '../../src/model/states.ts';
import { logProbsOf } from '../../src/objectives/log-probabilities.ts';
import { pick, vector } from '../../src/tensor/host-arrays.ts';
import type { Scalar } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import { tolerance } from '../helpers/allclose.ts';
import { learnFrom } from '../helpers/learn-from.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import type { TinyStyle } from '../model/tiny-model.ts';
import { tinyIds, tinyModel, tinyStyles } from '../model/tiny-model.ts';

const i = (...ids: number[]): Int32Array => Int32Array.from(ids);
const answer = (prompt: Int32Array, ...response: number[]) => promptAndResponse(prompt, i(...response));

describe('sharePrompts', () => {
  it('puts the responses to one prompt behind it, in their order', () => {
    const all = [answer(i(5, 6), 7, 2), answer(i(5), 6), answer(i(5, 6), 8)];
    expect(sharePrompts(all, 9)).toEqual([
      { prompt: 2, indices: [0, 2], tokens: { ids: i(5, 6, 7, 2, 8), learned: i(0, 0, 1, 1, 1) } },
      { prompt: 1, indices: [1], tokens: all[1] },
    ]);
  });

  it('begins anew where a run would be too long, and leaves dialogues and what has no response as they are', () => {
    const long = [1, 2, 3].map((last) => answer(i(5, 6), 7, last));
    expect(sharePrompts(long, 6).map(({ indices }) => indices)).toEqual([[0, 1], [2]]);
    expect(sharePrompts(long, 3).map(({ indices }) => indices)).toEqual([[0], [1], [2]]);
    const dialogue = { ids: i(5, 6, 7, 8), learned: i(0, 1, 0, 1) };
    expect(sharePrompts([dialogue, dialogue], 99)).toEqual([ownPrompt(dialogue, 0), ownPrompt(dialogue, 1)]);
    expect([promptLength(dialogue), promptLength(answer(i(5, 6)))]).toEqual([1, 2]);
  });
});

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  /** −Σ log π over the response tokens, in a layout. */
  const likelihood = (
    key: string,
    layOut: (sequences: readonly TokenSequence[]) => ResponseBatch,
  ): Objective<readonly TokenSequence[], never> => ({
    key,
    unit: 'sequences',
    layOut: ({ dimensions }, sequences) => {
      const { tokens, predictors, targets, responseMask } = layOut(sequences);
      const read = { at: vector(predictors), tokens: vector(targets), mask: vector(responseMask) };
      return { arrays: { ...inputArrays(dimensions, tokens), ...read }, count: sequences.length };
    },
    terms: (model, weights, arrays) => {
      const states = statesAt(model, weights, arrays, 'at');
      const logProbs = logProbsOf(states, tokenHead(model.dimensions, weights), pick(arrays, 'tokens'), 1);
      return { loss: tf.neg(tf.sum(tf.mul(logProbs, pick(arrays, 'mask')))) as Scalar, stats: {} };
    },
  });

  /** The loss and the gradient of all parameters, but for a factor. */
  async function learned(style: TinyStyle, objective: Objective<readonly TokenSequence[], never>) {
    const model = tinyModel(style);
    const adam = createAdamW(model.parameters.layout, {
      ...({ beta1: 0.9, beta2: 0.99, epsilon: 1e-8, epsilonStyle: 'pytorch', weightDecay: 0 } as const),
    });
    const prompts = [tinyIds(6, 1), tinyIds(3, 2)];
    const all = [4, 1, 7].flatMap((length, n) =>
      prompts.map((prompt, p) => promptAndResponse(prompt, tinyIds(length, 10 * n + p))),
    );
    const settings = { learningRate: 0, clipNorm: 1e9, where: 'test' };
    const { loss } = await learnFrom(model, adam, objective, [all], settings);
    const gradient = [...adam.first.read()];
    disposeAdamW(adam);
    disposeModel(model);
    return { loss, gradient };
  }

  it.each(tinyStyles)('%s: loss and gradient are those of every sequence in a row of its own', async (style) => {
    const alone = await learned(
      style,
      likelihood('alone', (all) => responseBatch(all, 0)),
    );
    const shared = await learned(
      style,
      likelihood('shared', (all) => {
        const batch = packedResponseBatch(all, 0);
        expect(batch.tokens.branches).toBeDefined();
        return batch;
      }),
    );
    expect([shared.loss]).toBeAllclose([alone.loss], tolerance.forward);
    expect(shared.gradient).toBeAllclose(alone.gradient, tolerance.gradient);
  });
});
