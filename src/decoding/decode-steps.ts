/** Decoding of many prompts, some of them side by side, step by step. */

import { ConfigError } from '../errors.ts';
import { compiledOrAsync } from '../graph/mode.ts';
import type { Model } from '../model/model.ts';
import type { Random } from '../random.ts';
import { usesNativeOps } from '../tensor/native-ops.ts';
import { compiledDecoding } from './compiled-decoding.ts';
import type { Decoding, DecodingOptions, RowPrompt } from './decoding.ts';
import { refillRows } from './decoding.ts';
import { eagerDecoding } from './eager-decoding.ts';
import { nativeDecoding } from './native-decoding.ts';
import type { DrawnToken, Sampling } from './sample-token.ts';
import { takeTurn } from './turns.ts';

/** How responses are drawn. */
export interface GenerateOptions extends Sampling {
  /** Longest response, EOS included. */
  readonly maxNewTokens: number;
  /** Prompts decoded side by side. */
  readonly batchSize: number;
}

/** The ids generation needs. */
export interface StopIds {
  readonly padId: number;
  readonly eosId: number;
  /** Other ids that end a response, such as the end of a turn of a chat format. */
  readonly stopIds?: readonly number[];
}

/** Tokens that were drawn together. */
export interface DecodeStep {
  /** The prompts that drew, each by its index, with their tokens. */
  readonly drawn: readonly { readonly prompt: number; readonly token: DrawnToken }[];
  /** Ends a response: nothing more is drawn for it. Call it before the next step is asked for. */
  end(prompt: number): void;
}

/** True where an id ends a response. */
export function isStop(id: number, { eosId, stopIds = [] }: StopIds): boolean {
  return id === eosId || stopIds.includes(id);
}

/** A prompt that is being answered in some row. */
interface Open {
  readonly prompt: number;
  readonly row: number;
  readonly ids: number[];
  hasEnded: boolean;
}

/**
 * Decodes up to `batchSize` prompts side by side. Where responses have ended the next prompts take their rows: some at a
 * time as graphs; eagerly when all have ended. Every prompt has random numbers of its own, so what is drawn for it does
 * not depend on the others. A consumer that stops early (break, return) frees the cache. Between steps everything else in
 * the process has its turn.
 * @param prompts token ids of each prompt
 * @throws ConfigError where a prompt and its response do not fit the model's context
 */
export async function* decodeSteps(
  model: Model,
  prompts: readonly Int32Array[],
  options: GenerateOptions,
  stop: StopIds,
  random: Random,
): AsyncGenerator<DecodeStep, void> {
  const longestPrompt = checkContext(model, prompts, options.maxNewTokens);
  if (prompts.length === 0) return;
  const rows = Math.min(options.batchSize, prompts.length);
  const randoms = options.temperature === 0 ? [] : prompts.map((_, prompt) => random.fork(`response ${prompt}`));
  const open: (Open | null)[] = new Array(rows).fill(null);
  const at = (row: number): Open => open[row] as Open;
  const promptOf = (row: number): Int32Array => prompts[at(row).prompt] as Int32Array;
  const drawing = {
    sampling: options,
    random: (row: number): Random => randoms[at(row).prompt] as Random,
    seen: (row: number): Iterable<number> => seenBefore(promptOf(row), at(row).ids),
  };
  let next = 0;
  const begin = (row: number): RowPrompt => {
    open[row] = { prompt: next++, row, ids: [], hasEnded: false };
    return { row, ids: promptOf(row) };
  };
  const first = open.map((_, row) => begin(row));
  const settings = { model, rows, longestPrompt, maxNewTokens: options.maxNewTokens, drawing };
  const { decoding, drawn } = await beginDecoding(settings, first);
  try {
    yield stepOf(open as Open[], drawn, options, stop);
    for (;;) {
      await takeTurn();
      for (const [row, one] of open.entries()) if (one?.hasEnded) open[row] = null;
      const free = open.flatMap((one, row) => (one === null ? [row] : []));
      const count = rowsToFill({ free: free.length, waiting: prompts.length - next, rows }, decoding);
      if (count > 0) {
        const filled = free.slice(0, count).map(begin);
        yield stepOf(
          filled.map(({ row }) => at(row)),
          await decoding.fill(filled),
          options,
          stop,
        );
        continue;
      }
      const going = open.flatMap((one) => one ?? []);
      if (going.length === 0) return;
      const tokens = going.map(({ row, ids }) => ({ row, id: ids.at(-1) as number }));
      yield stepOf(going, await decoding.advance(tokens), options, stop);
    }
  } finally {
    decoding.dispose();
  }
}

/** Writes tokens down, and which responses they end. */
function stepOf(
  rows: readonly Open[],
  tokens: readonly DrawnToken[],
  { maxNewTokens }: GenerateOptions,
  stop: StopIds,
): DecodeStep {
  const drawn = rows.map((one, i) => {
    const token = tokens[i] as DrawnToken;
    one.ids.push(token.id);
    one.hasEnded = isStop(token.id, stop) || one.ids.length === maxNewTokens;
    return { prompt: one.prompt, token };
  });
  const end = (prompt: number): void => {
    for (const one of rows) if (one.prompt === prompt) one.hasEnded = true;
  };
  return { drawn, end };
}

/** How many free rows take the next prompts now; 0 where decoding goes on first. */
function rowsToFill(
  { free, waiting, rows }: { free: number; waiting: number; rows: number },
  { refills }: Decoding,
): number {
  if (free === rows) return Math.min(free, waiting);
  const wanted = Math.min(refillRows(rows), waiting);
  return refills && free >= wanted ? wanted : 0;
}

/** Rows that are decoded as graphs, or op by op, with the first tokens of their prompts. */
function beginDecoding(options: DecodingOptions, prompts: readonly RowPrompt[]) {
  const begin = async (decoding: Decoding): Promise<{ decoding: Decoding; drawn: DrawnToken[] }> => {
    try {
      return { decoding, drawn: await decoding.fill(prompts) };
    } catch (error) {
      decoding.dispose();
      throw error;
    }
  };
  return compiledOrAsync(
    async (engine) => begin(usesNativeOps() ? nativeDecoding(options) : compiledDecoding(engine, options)),
    () => begin(eagerDecoding(options)),
  );
}

/** Read only where there is a repetition penalty. */
function* seenBefore(prompt: Int32Array, ids: readonly number[]): Generator<number, void> {
  yield* prompt;
  yield* ids;
}

/**
 * @returns the length of the longest prompt
 * @throws ConfigError where it does not fit the model's context together with its response
 */
function checkContext(model: Model, prompts: readonly Int32Array[], maxNewTokens: number): number {
  const longest = prompts.reduce((most, ids) => Math.max(most, ids.length), 0);
  const { context } = model.dimensions;
  if (longest + maxNewTokens <= context) return longest;
  throw new ConfigError(
    `generation: a prompt of ${longest} tokens and ${maxNewTokens} new ones do not fit the model's context of ${context}. ` +
      'Lower sampling.maxNewTokens, or shorten the prompt.',
  );
}
