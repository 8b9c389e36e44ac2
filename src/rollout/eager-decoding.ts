/** Decoding op by op: the cache is a tensor that grows by a column a step. */
import type { KeyValues } from '../model/decoder.ts';
import { decode, selectPositions } from '../model/decoder.ts';
import { tokenLogits } from '../model/heads.ts';
import type { DecoderInputs } from '../model/inputs.ts';
import { decoderInputs, disposeInputs, stepInputs } from '../model/inputs.ts';
import type { Model } from '../model/model.ts';
import { modelWeights } from '../model/model.ts';
import type { Tensor2D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { Decoding, DecodingOptions } from './decoding.ts';
import { drawOnHost } from './decoding.ts';

/** Decodes on any lane. */
export function eagerDecoding({ model, prompts, drawing }: DecodingOptions): Decoding {
  const { batch, seq, ids, attentionMask, positions } = prompts;
  let cache: KeyValues[] = [];
  // 1 where a cached key may be attended to, one list a row, growing by one column a step.
  const visible = Array.from({ length: batch }, (_, row) =>
    Array.from(attentionMask.subarray(row * seq, (row + 1) * seq)),
  );
  const forward = (inputs: DecoderInputs, rows: Int32Array | null) => {
    const { logits, present } = read(model, inputs, cache, rows);
    disposeCache(cache);
    cache = present;
    return drawOnHost(logits, batch, drawing);
  };
  return {
    start: () => {
      const tokens = { batch, seq, ids, segments: attentionMask, positions };
      const last = Int32Array.from({ length: batch }, (_, row) => (row + 1) * seq - 1);
      return forward(decoderInputs(model.dimensions, tokens), last);
    },
    advance: (next, at) => {
      // A row that has ended must still see its own column, or its softmax would have nothing to sum over.
      for (const row of visible) row.push(1);
      const step = { ids: next, positions: at, visible: Uint8Array.from(visible.flat()) };
      return forward(stepInputs(model.dimensions, step), null);
    },
    dispose: () => disposeCache(cache),
  };
}

/** Runs the decoder, keeps the cache and reads the logits [batch · vocab] of the last column. */
function read(model: Model, inputs: DecoderInputs, past: readonly KeyValues[], rows: Int32Array | null) {
  let logits = new Float32Array();
  const kept = tf.tidy(() => {
    const weights = modelWeights(model);
    const { hidden, present } = decode(model.dimensions, weights, inputs, past);
    const states: Tensor2D = rows === null ? hidden : selectPositions(hidden, tf.tensor1d(rows, 'int32'));
    logits = tokenLogits(model.dimensions, weights, states).dataSync() as Float32Array<ArrayBuffer>;
    return present.flatMap(({ keys, values }) => [keys, values]);
  });
  disposeInputs(inputs);
  const present: KeyValues[] = [];
  for (let i = 0; i < kept.length; i += 2) {
    present.push({ keys: kept[i] as KeyValues['keys'], values: kept[i + 1] as KeyValues['values'] });
  }
  return { logits, present };
}

function disposeCache(cache: readonly KeyValues[]): void {
  for (const { keys, values } of cache) tf.dispose([keys, values]);
}
