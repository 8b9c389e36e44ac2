/** Decoding op by op: the cache is a tensor that grows by a column a step, so all rows begin together. */
import { padLeft } from '../batch/padding.ts';
import type { KeyValues } from '../model/decoder.ts';
import { behind, decode, selectPositions } from '../model/decoder.ts';
import { tokenLogits } from '../model/heads.ts';
import type { DecoderInputs } from '../model/inputs.ts';
import { decoderInputs, disposeInputs, stepInputs } from '../model/inputs.ts';
import type { Model } from '../model/model.ts';
import { modelWeights } from '../model/model.ts';
import type { Tensor, Tensor2D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { Decoding, DecodingOptions } from './decoding.ts';
import { drawOnHost } from './decoding.ts';

/** Decodes on any lane. */
export function eagerDecoding({ model, drawing }: DecodingOptions): Decoding {
  const { dimensions } = model;
  let cache: KeyValues[] = [];
  /** 1 where a cached key may be attended to, one list a line, growing by one column a step. */
  let visible: number[][] = [];
  /** The line of the cache of each row, in the order in which they were filled. */
  let lines: number[] = [];
  const forward = async (inputs: DecoderInputs, last: Int32Array | null, rows: readonly number[]) => {
    const { logits, present } = read(model, inputs, cache, last);
    disposeCache(cache);
    cache = present;
    const values = (await logits.data().finally(() => logits.dispose())) as Float32Array;
    const drawn = rows.map((row) => ({ row, line: lines.indexOf(row) }));
    return drawOnHost(values, dimensions.vocab, drawn, drawing);
  };
  return {
    refills: false,
    fill: (prompts) => {
      disposeCache(cache);
      cache = [];
      const ids = prompts.map((prompt) => prompt.ids);
      const padded = padLeft(ids, 0);
      const { batch, seq } = padded;
      lines = prompts.map(({ row }) => row);
      visible = ids.map((own) => Array.from({ length: seq }, (_, t) => (t < seq - own.length ? 0 : 1)));
      const last = Int32Array.from({ length: batch }, (_, line) => (line + 1) * seq - 1);
      return forward(decoderInputs(dimensions, padded), last, lines);
    },
    advance: (tokens) => {
      // A row that rests must still see its own column, or its softmax would have nothing to sum over.
      for (const line of visible) line.push(1);
      const ids = new Int32Array(lines.length);
      for (const { row, id } of tokens) ids[lines.indexOf(row)] = id;
      const positions = Int32Array.from(visible, (line) => line.reduce((sum, flag) => sum + flag, -1));
      const step = { ids, positions, visible: Uint8Array.from(visible.flat()) };
      const rows = tokens.map(({ row }) => row);
      return forward(stepInputs(dimensions, step), null, rows);
    },
    dispose: () => {
      disposeCache(cache);
      cache = [];
    },
  };
}

/** Runs the decoder; keeps the cache and the logits [lines, vocab] of the last column. */
function read(model: Model, inputs: DecoderInputs, past: readonly KeyValues[], rows: Int32Array | null) {
  const [logits, ...kept] = tf.tidy((): [Tensor2D, ...Tensor[]] => {
    const weights = modelWeights(model);
    const { hidden, present } = decode(model.dimensions, weights, inputs, { join: behind(past) });
    const states: Tensor2D = rows === null ? hidden : selectPositions(hidden, tf.tensor1d(rows, 'int32'));
    return [tokenLogits(model.dimensions, weights, states), ...present.flatMap(({ keys, values }) => [keys, values])];
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
