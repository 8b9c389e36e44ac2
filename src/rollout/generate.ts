/** Batched generation with a key/value cache. */
import { padLeft } from '../data/batch.ts';
import { ConfigError } from '../errors.ts';
import type { KeyValues } from '../model/decoder.ts';
import { decode, selectPositions } from '../model/decoder.ts';
import { tokenLogits } from '../model/heads.ts';
import type { DecoderInputs } from '../model/inputs.ts';
import { decoderInputs, disposeInputs, stepInputs } from '../model/inputs.ts';
import type { Model } from '../model/model.ts';
import { modelWeights } from '../model/model.ts';
import type { Random } from '../random.ts';
import type { Tensor2D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { Sampling } from './sample-token.ts';
import { sampleToken } from './sample-token.ts';

/** How responses are drawn. */
export interface GenerateOptions extends Sampling {
  /** Longest response, EOS included. */
  readonly maxNewTokens: number;
  /** Prompts decoded side by side. */
  readonly batchSize: number;
}

/** One response. */
export interface Response {
  /** Token ids, EOS included where it was drawn. */
  readonly ids: Int32Array;
  /** True where EOS was drawn. */
  readonly ended: boolean;
  /** log-probability of each token when it was drawn, at the sampling temperature, before top-k and top-p. */
  readonly logProbs: Float32Array;
}

/** The ids generation needs. */
export interface StopIds {
  readonly padId: number;
  readonly eosId: number;
}

/**
 * Answers every prompt. Prompts are padded on the left, so all rows draw their next token in the same column; rows
 * that ended go on as padding that nothing attends to, and a batch stops when all have ended.
 * @param prompts token ids of each prompt
 */
export function generate(
  model: Model,
  prompts: readonly Int32Array[],
  options: GenerateOptions,
  stop: StopIds,
  random: Random,
): Response[] {
  const longest = prompts.reduce((most, ids) => Math.max(most, ids.length), 0);
  const { context } = model.dimensions;
  if (longest + options.maxNewTokens > context) {
    throw new ConfigError(
      `generation: a prompt of ${longest} tokens and ${options.maxNewTokens} new ones do not fit the model's context of ${context}. ` +
        'Lower sampling.maxNewTokens, or shorten the prompt.',
    );
  }
  const responses: Response[] = [];
  for (let at = 0; at < prompts.length; at += options.batchSize) {
    responses.push(...generateBatch(model, prompts.slice(at, at + options.batchSize), options, stop, random));
  }
  return responses;
}

/** What a batch holds while it is decoded. */
interface Decoding {
  readonly past: KeyValues[];
  /** [batch · vocab] */
  readonly logits: Float32Array;
}

function generateBatch(
  model: Model,
  prompts: readonly Int32Array[],
  options: GenerateOptions,
  { padId, eosId }: StopIds,
  random: Random,
): Response[] {
  const batch = prompts.length;
  const { vocab } = model.dimensions;
  const padded = padLeft(prompts, padId);
  const ids: number[][] = prompts.map(() => []);
  const logProbs: number[][] = prompts.map(() => []);
  const ended = new Uint8Array(batch);
  // 1 where a cached key may be attended to, one list a row, growing by one column a step.
  const visible = prompts.map((_, row) =>
    Array.from(padded.attentionMask.subarray(row * padded.length, (row + 1) * padded.length)),
  );

  let state = prefill(model, padded.ids, padded.attentionMask, padded.positionIds, batch);
  for (let step = 0; step < options.maxNewTokens; step++) {
    const next = new Int32Array(batch).fill(padId);
    for (let row = 0; row < batch; row++) {
      if (ended[row]) continue;
      const drawn = sampleToken(state.logits.subarray(row * vocab, (row + 1) * vocab), options, random);
      next[row] = drawn.id;
      ids[row]?.push(drawn.id);
      logProbs[row]?.push(drawn.logProb);
      if (drawn.id === eosId) ended[row] = 1;
    }
    const isLast = step + 1 === options.maxNewTokens || ended.every((flag) => flag === 1);
    if (isLast) break;
    // A row that has ended must still see its own column, or its softmax would have nothing to sum over.
    for (const row of visible) row.push(1);
    const positions = Int32Array.from(prompts, (prompt, row) => prompt.length + (ids[row]?.length ?? 1) - 1);
    state = advance(model, state.past, { ids: next, positions, visible: Uint8Array.from(visible.flat()) });
  }
  disposeCache(state.past);
  return prompts.map((_, row) => ({
    ids: Int32Array.from(ids[row] ?? []),
    ended: ended[row] === 1,
    logProbs: Float32Array.from(logProbs[row] ?? []),
  }));
}

function prefill(
  model: Model,
  ids: Int32Array,
  attentionMask: Int32Array,
  positions: Int32Array,
  batch: number,
): Decoding {
  const seq = ids.length / batch;
  const inputs = decoderInputs(model.dimensions, { batch, seq, ids, segments: attentionMask, positions });
  const last = Int32Array.from({ length: batch }, (_, row) => (row + 1) * seq - 1);
  return forward(model, inputs, [], last);
}

function advance(
  model: Model,
  past: readonly KeyValues[],
  step: { ids: Int32Array; positions: Int32Array; visible: Uint8Array },
): Decoding {
  const next = forward(model, stepInputs(model.dimensions, step), past, null);
  disposeCache(past);
  return next;
}

/** Runs the decoder, keeps the cache and reads the logits of the last column. */
function forward(model: Model, inputs: DecoderInputs, past: readonly KeyValues[], rows: Int32Array | null): Decoding {
  let logits = new Float32Array();
  const kept = tf.tidy(() => {
    const weights = modelWeights(model);
    const { hidden, present } = decode(model.dimensions, weights, inputs, past);
    const read: Tensor2D = rows === null ? hidden : selectPositions(hidden, tf.tensor1d(rows, 'int32'));
    logits = tokenLogits(model.dimensions, weights, read).dataSync() as Float32Array<ArrayBuffer>;
    return present.flatMap(({ keys, values }) => [keys, values]);
  });
  disposeInputs(inputs);
  const cache: KeyValues[] = [];
  for (let i = 0; i < kept.length; i += 2) {
    cache.push({ keys: kept[i] as KeyValues['keys'], values: kept[i + 1] as KeyValues['values'] });
  }
  return { past: cache, logits };
}

function disposeCache(cache: readonly KeyValues[]): void {
  for (const { keys, values } of cache) tf.dispose([keys, values]);
}
