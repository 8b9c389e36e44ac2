/** A model's outputs on one sequence by itself: what batches, packing and padding are compared with. */
import { decode } from '../../src/model/decoder.ts';
import { scores, tokenLogits } from '../../src/model/heads.ts';
import { decoderInputs, disposeInputs } from '../../src/model/inputs.ts';
import type { Model } from '../../src/model/model.ts';
import { modelWeights } from '../../src/model/model.ts';
import { tf } from '../../src/tensor/tf.ts';
import { take } from './fixtures.ts';

/** The logits, or the score, at each position: [seq] of [vocab] or [1]. */
export function readAlone(model: Model, ids: Int32Array): Float32Array[] {
  const seq = ids.length;
  const tokens = { batch: 1, seq, ids, segments: ids.map(() => 1), positions: ids.map((_, t) => t) };
  const inputs = decoderInputs(model.dimensions, tokens);
  const flat = take(
    tf.tidy(() => {
      const weights = modelWeights(model);
      const { hidden } = decode(model.dimensions, weights, inputs);
      return model.head === 'score' ? scores(weights, hidden) : tokenLogits(model.dimensions, weights, hidden);
    }),
  );
  disposeInputs(inputs);
  const width = flat.length / seq;
  return Array.from({ length: seq }, (_, t) => flat.slice(t * width, (t + 1) * width));
}

/** log softmax of logits divided by a temperature, in float64. */
export function logSoftmax(logits: Float32Array, temperature = 1): number[] {
  const scaled = [...logits].map((x) => x / temperature);
  const top = Math.max(...scaled);
  const log = top + Math.log(scaled.reduce((sum, x) => sum + Math.exp(x - top), 0));
  return scaled.map((x) => x - log);
}
