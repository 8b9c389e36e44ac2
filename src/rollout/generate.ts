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
import { type DrawnToken, type Sampling, sampleToken } from './sample-token.ts';

/** How responses are drawn. */
export interface GenerateOptions extends Sampling {
  /** Longest response, EOS included. */
  readonly maxNewTokens: number;
  /** Prompts decoded side by side. */
  readonly batchSize: number;
}

/** One response. */
export interface Response {
  /** Token ids, EOS (or another stop id) included where it was drawn. */
  readonly ids: Int32Array;
  /** True where EOS (or another stop id) was drawn. */
  readonly ended: boolean;
  /** log-probability of each token when it was drawn, at the sampling temperature, before penalty and filters. */
  readonly logProbs: Float32Array;
}

/** The ids generation needs. */
export interface StopIds {
  readonly padId: number;
  readonly eosId: number;
  /** Other ids that end a response, such as the end of a turn of a chat format. */
  readonly stopIds?: readonly number[];
}

/** What one step of a batch has drawn. */
export interface DecodeStep {
  /** The token of each row; null where the row had ended before. */
  readonly drawn: readonly (DrawnToken | null)[];
  /** Ends a row: nothing more is drawn for it. Call it before the next step is asked for. */
  end(row: number): void;
}

/** True where an id ends a response. */
export function isStop(id: number, { eosId, stopIds = [] }: StopIds): boolean {
  return id === eosId || stopIds.includes(id);
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
  checkContext(model, prompts, options.maxNewTokens);
  const responses: Response[] = [];
  for (let at = 0; at < prompts.length; at += options.batchSize) {
    responses.push(...generateBatch(model, prompts.slice(at, at + options.batchSize), options, stop, random));
  }
  return responses;
}

/** @throws ConfigError where the longest prompt and its response do not fit the model's context */
function checkContext(model: Model, prompts: readonly Int32Array[], maxNewTokens: number): void {
  const longest = prompts.reduce((most, ids) => Math.max(most, ids.length), 0);
  const { context } = model.dimensions;
  if (longest + maxNewTokens > context) {
    throw new ConfigError(
      `generation: a prompt of ${longest} tokens and ${maxNewTokens} new ones do not fit the model's context of ${context}. ` +
        'Lower sampling.maxNewTokens, or shorten the prompt.',
    );
  }
}

function generateBatch(
  model: Model,
  prompts: readonly Int32Array[],
  options: GenerateOptions,
  stop: StopIds,
  random: Random,
): Response[] {
  const tokens = prompts.map((): DrawnToken[] => []);
  for (const { drawn } of decodeSteps(model, prompts, options, stop, random)) {
    drawn.forEach((token, row) => {
      if (token !== null) tokens[row]?.push(token);
    });
  }
  return tokens.map((row) => ({
    ids: Int32Array.from(row, ({ id }) => id),
    ended: row.slice(-1).some(({ id }) => isStop(id, stop)),
    logProbs: Float32Array.from(row, ({ logProb }) => logProb),
  }));
}

/** What a batch holds while it is decoded. */
interface Decoding {
  readonly past: KeyValues[];
  /** [batch · vocab] */
  readonly logits: Float32Array;
}

/**
 * Decodes one batch step by step: all rows draw their next token together, until all have ended or `maxNewTokens` are
 * drawn. A consumer that stops early (break, return) frees the cache.
 * @param prompts token ids of each prompt; `options.batchSize` is not looked at
 * @throws ConfigError where a prompt and its response do not fit the model's context
 */
export function* decodeSteps(
  model: Model,
  prompts: readonly Int32Array[],
  options: Omit<GenerateOptions, 'batchSize'>,
  stop: StopIds,
  random: Random,
): Generator<DecodeStep, void> {
  checkContext(model, prompts, options.maxNewTokens);
  const batch = prompts.length;
  const { vocab } = model.dimensions;
  const padded = padLeft(prompts, stop.padId);
  const ids: number[][] = prompts.map(() => []);
  const ended = new Uint8Array(batch);
  // 1 where a cached key may be attended to, one list a row, growing by one column a step.
  const visible = prompts.map((_, row) =>
    Array.from(padded.attentionMask.subarray(row * padded.length, (row + 1) * padded.length)),
  );
  const end = (row: number): void => {
    ended[row] = 1;
  };

  let state = prefill(model, padded.ids, padded.attentionMask, padded.positionIds, batch);
  try {
    for (let step = 0; step < options.maxNewTokens; step++) {
      const next = new Int32Array(batch).fill(stop.padId);
      const drawn = prompts.map((prompt, row) => {
        if (ended[row]) return null;
        const logits = state.logits.subarray(row * vocab, (row + 1) * vocab);
        const token = sampleToken(logits, options, random, seenBefore(prompt, ids[row] ?? []));
        next[row] = token.id;
        ids[row]?.push(token.id);
        if (isStop(token.id, stop)) ended[row] = 1;
        return token;
      });
      yield { drawn, end };
      const isLast = step + 1 === options.maxNewTokens || ended.every((flag) => flag === 1);
      if (isLast) return;
      // A row that has ended must still see its own column, or its softmax would have nothing to sum over.
      for (const row of visible) row.push(1);
      const positions = Int32Array.from(prompts, (prompt, row) => prompt.length + (ids[row]?.length ?? 1) - 1);
      state = advance(model, state.past, { ids: next, positions, visible: Uint8Array.from(visible.flat()) });
    }
  } finally {
    disposeCache(state.past);
  }
}

/** Read only where there is a repetition penalty. */
function* seenBefore(prompt: Int32Array, ids: readonly number[]): Generator<number, void> {
  yield* prompt;
  yield* ids;
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
