/** The decoder with weights of transformers' GPT-2 and Llama: logits, loss, gradients, packing, greedy text and scores. */
import { beforeAll, describe, expect, it } from 'vitest';
import { loadModelFolder } from '../../src/checkpoint/model-folder.ts';
import { generate } from '../../src/decoding/generate.ts';
import { lossAndGradient } from '../../src/execution/gradient.ts';
import { decoderInputs, disposeInputs } from '../../src/model/inputs.ts';
import type { Model } from '../../src/model/model.ts';
import { disposeModel, modelWeights } from '../../src/model/model.ts';
import { seededRandom } from '../../src/random.ts';
import { tf } from '../../src/tensor/tf.ts';
import { tolerance } from '../helpers/allclose.ts';
import type { FixtureTensor } from '../helpers/fixtures.ts';
import { fixture, fixturePath, take } from '../helpers/fixtures.ts';
import { readTensors, toHuggingFace } from '../helpers/tensors.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import type { LanguageModel } from './batches.ts';
import {
  disposeTensors,
  everyLogit,
  languageModels,
  lastTokens,
  paddedInputs,
  scoresAt,
  targetLoss,
  targetsOf,
} from './batches.ts';

const sides = ['right', 'left'] as const;
type Padded = Record<'inputIds' | 'attentionMask' | 'positionIds' | 'lossMask' | 'logits', FixtureTensor> & {
  loss: number;
};
interface Expected {
  padded: Record<(typeof sides)[number], Padded>;
  packed: Record<'inputIds' | 'segmentIds' | 'positionIds' | 'logits' | 'firstLogits' | 'secondLogits', FixtureTensor>;
  greedy: Record<'promptIds' | 'attentionMask' | 'tokens', FixtureTensor>;
}
interface ExpectedScores {
  padded: Record<
    (typeof sides)[number],
    Record<'inputIds' | 'attentionMask' | 'scores' | 'scoresAtEveryToken', FixtureTensor>
  >;
}

const expectedOf = (name: LanguageModel): Expected => fixture<Expected>(`expected/${name}.json`);
const load = (name: string): Model => loadModelFolder(fixturePath(`models/${name}`), { tokenizer: null }).model;

/** Numbers with 0 wherever the mask of their row is 0. */
function masked(values: Float32Array, mask: FixtureTensor): Float32Array {
  const width = values.length / mask.data.length;
  return values.map((value, i) => (mask.data[Math.floor(i / width)] ? value : 0));
}

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  describe.each(languageModels)('%s', (name) => {
    it.each(sides)('gives transformers’ logits on rows padded on the %s', (side) => {
      const { inputIds, attentionMask, logits } = expectedOf(name).padded[side];
      const model = load(name);
      const inputs = paddedInputs(model.dimensions, inputIds, attentionMask);
      const found = take(tf.tidy(() => everyLogit(model.dimensions, modelWeights(model), inputs)));
      expect(masked(found, attentionMask)).toBeAllclose(logits.data, tolerance.forward);
      disposeInputs(inputs);
      disposeModel(model);
    });

    it.each(sides)('gives PyTorch’s loss and every gradient on rows padded on the %s', (side) => {
      const { inputIds, attentionMask, lossMask, loss } = expectedOf(name).padded[side];
      const model = load(name);
      const { dimensions, head, parameters } = model;
      const inputs = paddedInputs(dimensions, inputIds, attentionMask);
      const targets = targetsOf(inputIds, lossMask);
      const found = lossAndGradient(parameters, (weights) => {
        return { loss: targetLoss(dimensions, weights, inputs, targets), stats: {} };
      });
      expect([found.loss]).toBeAllclose([loss], tolerance.forward);
      const gradients = toHuggingFace(dimensions, head, take(found.gradient));
      const expected = readTensors(fixturePath(`expected/${name}.gradients.safetensors`));
      expect([...gradients.keys()].sort()).toEqual([...expected.keys()].sort());
      for (const [parameter, { shape, values }] of expected) {
        expect(gradients.get(parameter)!.shape, parameter).toEqual(shape);
        expect(gradients.get(parameter)!.values, parameter).toBeAllclose(values, tolerance.gradient);
      }
      disposeTensors(targets);
      disposeInputs(inputs);
      disposeModel(model);
    });

    it('keeps two packed examples apart: the logits are those of the separate rows', () => {
      const { inputIds, segmentIds, positionIds, logits, firstLogits, secondLogits } = expectedOf(name).packed;
      const model = load(name);
      const [batch, seq] = inputIds.shape as [number, number];
      const inputs = decoderInputs(model.dimensions, {
        batch,
        seq,
        ids: Int32Array.from(inputIds.data),
        segments: Int32Array.from(segmentIds.data),
        positions: Int32Array.from(positionIds.data),
      });
      const found = take(tf.tidy(() => everyLogit(model.dimensions, modelWeights(model), inputs)));
      expect(masked(found, segmentIds)).toBeAllclose(logits.data, tolerance.forward);
      const separate = [...firstLogits.data, ...secondLogits.data];
      expect(found.slice(0, separate.length)).toBeAllclose(separate, tolerance.forward);
      disposeInputs(inputs);
      disposeModel(model);
    });

    it('writes transformers’ greedy text after two prompts of unequal length, with the key/value cache', async () => {
      const { promptIds, attentionMask, tokens } = expectedOf(name).greedy;
      const model = load(name);
      const [batch, width] = promptIds.shape as [number, number];
      const prompts = Array.from({ length: batch }, (_, row) => {
        return Int32Array.from(promptIds.data.slice(row * width, (row + 1) * width)).filter(
          (_, t) => attentionMask.data[row * width + t] === 1,
        );
      });
      const options = { temperature: 0, topK: 0, topP: 1, maxNewTokens: tokens.shape[1]!, batchSize: batch };
      // The fixture does not stop at the end token, so neither does this.
      const responses = await generate(model, prompts, options, { padId: 0, eosId: -1 }, seededRandom(1));
      expect(responses.flatMap(({ ids }) => [...ids])).toEqual(tokens.data);
      disposeModel(model);
    });
  });

  it.each(sides)('gives the scores of LlamaForSequenceClassification on rows padded on the %s', (side) => {
    const expected = fixture<ExpectedScores>('expected/llama-scores.json').padded[side];
    const { inputIds, attentionMask } = expected;
    const model = load('llama-scores');
    expect(model.head).toBe('score');
    const inputs = paddedInputs(model.dimensions, inputIds, attentionMask);
    const last = lastTokens(attentionMask);
    const everywhere = tf.range(0, inputIds.data.length, 1, 'int32');
    const [atLast, atEvery] = tf.tidy(() => {
      const weights = modelWeights(model);
      const read = (at: typeof last) => scoresAt(model.dimensions, weights, inputs, at);
      return [read(last), read(everywhere)];
    }) as [typeof last, typeof last];
    expect(take(atLast)).toBeAllclose(expected.scores.data, tolerance.forward);
    expect(masked(take(atEvery), attentionMask)).toBeAllclose(expected.scoresAtEveryToken.data, tolerance.forward);
    tf.dispose([last, everywhere]);
    disposeInputs(inputs);
    disposeModel(model);
  });
});
