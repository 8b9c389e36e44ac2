/** Batched generation with a key/value cache. */
import { compiledOr } from '../compile/mode.ts';
import { padLeft } from '../data/batch.ts';
import { ConfigError } from '../errors.ts';
import type { Model } from '../model/model.ts';
import type { Random } from '../random.ts';
import { compiledDecoding } from './compiled-decoding.ts';
import type { Decoding, DecodingOptions } from './decoding.ts';
import { eagerDecoding } from './eager-decoding.ts';
import type { DrawnToken, Sampling } from './sample-token.ts';

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
  const padded = padLeft(prompts, stop.padId);
  const ids: number[][] = prompts.map(() => []);
  const ended = new Uint8Array(batch);
  const end = (row: number): void => {
    ended[row] = 1;
  };
  const decoding = openDecoding({
    model,
    prompts: {
      batch,
      seq: padded.length,
      ids: padded.ids,
      attentionMask: padded.attentionMask,
      positions: padded.positionIds,
    },
    maxNewTokens: options.maxNewTokens,
    drawing: {
      sampling: options,
      random,
      draws: (row) => ended[row] === 0,
      seen: (row) => seenBefore(prompts[row] as Int32Array, ids[row] as number[]),
    },
  });
  try {
    let drawn = decoding.start();
    for (let step = 0; step < options.maxNewTokens; step++) {
      const next = new Int32Array(batch).fill(stop.padId);
      for (const [row, token] of drawn.entries()) {
        if (token === null) continue;
        next[row] = token.id;
        ids[row]?.push(token.id);
        if (isStop(token.id, stop)) ended[row] = 1;
      }
      yield { drawn, end };
      const isLast = step + 1 === options.maxNewTokens || ended.every((flag) => flag === 1);
      if (isLast) return;
      const positions = Int32Array.from(prompts, (prompt, row) => prompt.length + (ids[row]?.length ?? 1) - 1);
      drawn = decoding.advance(next, positions);
    }
  } finally {
    decoding.dispose();
  }
}

/** A batch that is decoded as graphs, or op by op. */
function openDecoding(options: DecodingOptions): Decoding {
  return compiledOr(
    (engine) => compiledDecoding(engine, options),
    () => eagerDecoding(options),
  );
}

/** Read only where there is a repetition penalty. */
function* seenBefore(prompt: Int32Array, ids: readonly number[]): Generator<number, void> {
  yield* prompt;
  yield* ids;
}
