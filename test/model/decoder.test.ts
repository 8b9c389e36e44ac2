/** What must hold of any decoder: causality, padding, packing, the cache, and gradients of the whole loss. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { TokenBatch } from '../../src/batch/token-batch.ts';
import { layOut } from '../../src/batch/token-batch.ts';
import type { KeyValues } from '../../src/model/decoder.ts';
import { behind, decode, selectPositions } from '../../src/model/decoder.ts';
import { tokenLogits } from '../../src/model/heads.ts';
import { decoderInputs, disposeInputs, stepInputs } from '../../src/model/inputs.ts';
import type { Model } from '../../src/model/model.ts';
import { disposeModel, modelWeights } from '../../src/model/model.ts';
import { maskedCrossEntropy } from '../../src/objectives/cross-entropy.ts';
import { seededRandom } from '../../src/random.ts';
import { tensorCount } from '../../src/tensor/lane.ts';
import { unflatten } from '../../src/tensor/parameters.ts';
import type { Tensor, Tensor1D } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import { tolerance } from '../helpers/allclose.ts';
import { take } from '../helpers/fixtures.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { expectGradient } from '../tensor/gradient-check.ts';
import { expectNeutral } from '../tensor/neutral.ts';
import { tinyIds, tinyModel, tinyStyles } from './tiny-model.ts';

/** Sequences as a batch padded on one side. */
function padded(sequences: Int32Array[], side: 'left' | 'right', length: number): TokenBatch {
  const rows = sequences.map((ids) => [{ ids, learned: new Int32Array(ids.length) }]);
  return layOut(rows, length, 0, side);
}

/** Hidden states of every position, a list of numbers each. */
function hiddenStates(model: Model, tokens: Omit<TokenBatch, 'learned'>): Float32Array[] {
  const inputs = decoderInputs(model.dimensions, tokens);
  const flat = take(tf.tidy(() => decode(model.dimensions, modelWeights(model), inputs).hidden));
  disposeInputs(inputs);
  const width = model.dimensions.dModel;
  return Array.from({ length: tokens.batch * tokens.seq }, (_, i) => flat.slice(i * width, (i + 1) * width));
}

const one = (ids: Int32Array): TokenBatch => padded([ids], 'right', ids.length);

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  describe.each(tinyStyles)('%s', (style) => {
    it('changes nothing before a changed token, and every state from it on', () => {
      const model = tinyModel(style);
      fc.assert(
        fc.property(fc.integer(), fc.nat({ max: 7 }), (seed, at) => {
          const ids = tinyIds(8, seed);
          const other = ids.slice();
          other[at] = 3 + ((ids[at]! - 2) % 29);
          const [before, after] = [hiddenStates(model, one(ids)), hiddenStates(model, one(other))];
          for (let t = 0; t < 8; t++) {
            if (t < at) expect(after[t], `state ${t}`).toEqual(before[t]);
            else expect(after[t]!, `state ${t}`).not.toBeAllclose(before[t]!);
          }
        }),
        { seed: 1, numRuns: 6 },
      );
      disposeModel(model);
    });

    it('reads a sequence the same alone, padded on either side, and beside others', () => {
      const model = tinyModel(style);
      const [a, b] = [tinyIds(5, 1), tinyIds(3, 2)];
      const [alone, short] = [hiddenStates(model, one(a)), hiddenStates(model, one(b))];
      const right = hiddenStates(model, padded([a, b], 'right', 9));
      const left = hiddenStates(model, padded([a, b], 'left', 9));
      alone.forEach((state, t) => {
        expect(right[t]!).toBeAllclose(state, tolerance.forward);
        expect(left[4 + t]!).toBeAllclose(state, tolerance.forward);
      });
      short.forEach((state, t) => {
        expect(right[9 + t]!).toBeAllclose(state, tolerance.forward);
        expect(left[9 + 6 + t]!).toBeAllclose(state, tolerance.forward);
      });
      disposeModel(model);
    });

    it('reads packed sequences as if each were alone', () => {
      const model = tinyModel(style);
      const [a, b, c] = [tinyIds(4, 1), tinyIds(3, 2), tinyIds(2, 3)];
      const found = hiddenStates(model, {
        batch: 1,
        seq: 10,
        ids: Int32Array.of(...a, ...b, ...c, 0),
        segments: Int32Array.of(1, 1, 1, 1, 2, 2, 2, 3, 3, 0),
        positions: Int32Array.of(0, 1, 2, 3, 0, 1, 2, 0, 1, 0),
      });
      const separate = [a, b, c].flatMap((ids) => hiddenStates(model, one(ids)));
      separate.forEach((state, t) => {
        expect(found[t]!).toBeAllclose(state, tolerance.forward);
      });
      disposeModel(model);
    });

    it('needs its positions: places where they are learned, distances where they are rotary', () => {
      const model = tinyModel(style);
      const ids = tinyIds(4, 5);
      const at = (...positions: number[]): Float32Array =>
        hiddenStates(model, { ...one(ids), positions: Int32Array.from(positions) })[3]!;
      const plain = at(0, 1, 2, 3);
      if (style === 'gpt2') expect(at(3, 4, 5, 6)).not.toBeAllclose(plain, { rtol: 1e-2, atol: 1e-2 });
      else expect(at(3, 4, 5, 6)).toBeAllclose(plain, tolerance.forward);
      expect(at(0, 1, 2, 9)).not.toBeAllclose(plain, { rtol: 1e-2, atol: 1e-2 });
      disposeModel(model);
    });

    it('gives the same states token by token with the cache', () => {
      const model = tinyModel(style);
      const ids = tinyIds(7, 4);
      const whole = hiddenStates(model, one(ids));
      const before = tensorCount();
      let past: KeyValues[] = [];
      for (let t = 0; t < ids.length; t++) {
        const visible = new Uint8Array(t + 1).fill(1);
        const inputs = stepInputs(model.dimensions, { ids: ids.slice(t, t + 1), positions: Int32Array.of(t), visible });
        const { hidden, present } = tf.tidy(
          () =>
            decode(model.dimensions, modelWeights(model), inputs, { join: behind(past) }) as unknown as {
              hidden: Tensor;
              present: Tensor[];
            },
        );
        expect(take(hidden)).toBeAllclose(whole[t]!, tolerance.forward);
        disposeInputs(inputs);
        for (const { keys, values } of past) tf.dispose([keys, values]);
        past = present as unknown as KeyValues[];
      }
      expect(past.map(({ keys }) => keys.shape[2])).toEqual([7, 7]);
      for (const { keys, values } of past) tf.dispose([keys, values]);
      expect(tensorCount()).toBe(before);
      disposeModel(model);
    });

    it('has the gradient of its masked loss in every parameter', () => {
      const model = tinyModel(style);
      const { dimensions, parameters } = model;
      const inputs = decoderInputs(dimensions, padded([tinyIds(6, 1), tinyIds(4, 2)], 'right', 6));
      const at = tf.tensor1d([1, 2, 4, 6, 8], 'int32');
      const labels = tf.tensor1d([7, 3, 31, 4, 9], 'int32');
      const mask = tf.tensor1d([1, 1, 1, 1, 0]);
      expectGradient([tf.clone(parameters.flat)], (flat) => {
        const weights = unflatten(parameters.layout, flat as Tensor1D);
        const { hidden } = decode(dimensions, weights, inputs);
        return maskedCrossEntropy(tokenLogits(dimensions, weights, selectPositions(hidden, at)), labels, mask, 4);
      });
      tf.dispose([at, labels, mask]);
      disposeInputs(inputs);
      disposeModel(model);
    });

    it('leaves no tensors behind within a tidy', () => {
      const model = tinyModel(style);
      const inputs = decoderInputs(model.dimensions, one(tinyIds(4, 1)));
      expectNeutral(() => tf.tidy(() => decode(model.dimensions, modelWeights(model), inputs).hidden));
      disposeInputs(inputs);
      disposeModel(model);
    });
  });

  it('picks hidden states at chosen positions', () => {
    const random = seededRandom(1);
    const hidden = tf.tensor2d(Array.from({ length: 6 }, () => [random.normal(), random.normal()]));
    const at = tf.tensor1d([4, 0], 'int32');
    const all = hidden.dataSync();
    expect([...take(selectPositions(hidden, at))]).toEqual([all[8], all[9], all[0], all[1]]);
    tf.dispose([hidden, at]);
  });
});
