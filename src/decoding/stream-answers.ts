/** Answers to prompts, text piece by text piece while they are drawn. */
import { decodeResponse } from '../examples/instruction.ts';
import type { Model } from '../model/model.ts';
import type { Random } from '../random.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { decodeSteps, type GenerateOptions, isStop, type StopIds } from './decode-steps.ts';
import { openTextStream } from './stream-text.ts';

/** Prompts that are answered at a time; what is drawn for one does not depend on the others. */
const SIDE_BY_SIDE = 32;

/** How answers are drawn and where they stop. */
export interface StreamOptions extends Omit<GenerateOptions, 'batchSize'> {
  /** Texts that end an answer; the answer is what comes before. */
  readonly stops: readonly string[];
  /** Ids that end an answer beside the tokenizer's own. */
  readonly stopIds?: readonly number[];
  /** Text as it is, with the space it starts with, instead of a response. */
  readonly raw?: boolean;
}

/** New text of one row; several rows take turns. */
export interface TextPiece {
  readonly row: number;
  /** Empty where the new tokens do not make certain text yet. */
  readonly text: string;
  /** The whole answer, with its last piece. */
  readonly answer: StreamedAnswer | undefined;
}

/** Why an answer ended: its end token, a stop sequence, or the limit of tokens. */
export type StopReason = 'end' | 'stop' | 'length';

/** One finished answer. */
export interface StreamedAnswer {
  readonly text: string;
  readonly reason: StopReason;
  /** The stop sequence, where one was found. */
  readonly stop: string | undefined;
  /** Everything drawn, end token and stop sequence included. */
  readonly ids: readonly number[];
  /** log-probability of each token, in nats, at the temperature, before penalty and filters. */
  readonly logProbs: readonly number[];
}

/**
 * Answers prompts, some of them side by side, as `generate` does with the same random numbers; yields after every token of every row.
 * @throws ConfigError where a prompt and its answer do not fit the model's context
 */
export async function* streamAnswers(
  model: Model,
  tokenizer: Tokenizer,
  prompts: readonly Int32Array[],
  options: StreamOptions,
  random: Random,
): AsyncGenerator<TextPiece, StreamedAnswer[]> {
  const own: StopIds = tokenizer;
  const stop: StopIds = { ...tokenizer, stopIds: [...(own.stopIds ?? []), ...(options.stopIds ?? [])] };
  const rows = prompts.map(() => openRow(tokenizer, options));
  const answers: StreamedAnswer[] = [];
  const all = { ...options, batchSize: SIDE_BY_SIDE };
  for await (const { drawn, end } of decodeSteps(model, prompts, all, stop, random)) {
    for (const { prompt: row, token } of drawn) {
      const piece = (rows[row] as (typeof rows)[number]).push(token, isStop(token.id, stop));
      if (piece.answer !== undefined) {
        answers[row] = piece.answer;
        end(row);
      }
      yield { row, ...piece };
    }
  }
  return answers;
}

/** One row's ids and text. */
function openRow(tokenizer: Tokenizer, options: StreamOptions) {
  const ids: number[] = [];
  const logProbs: number[] = [];
  const stream = openTextStream(options.stops, options.raw === true ? '' : tokenizer.chat?.after);
  // Decoded anew each time: a decoder may read a token differently beside its neighbours (first space, split bytes).
  const decoded = (): string => (options.raw === true ? tokenizer.decode(ids) : decodeResponse(ids, tokenizer));
  return {
    push: (token: { id: number; logProb: number }, isEnd: boolean): Omit<TextPiece, 'row'> => {
      ids.push(token.id);
      logProbs.push(token.logProb);
      let text = stream.push(decoded());
      const isLast = isEnd || stream.stop() !== undefined || ids.length >= options.maxNewTokens;
      if (!isLast) return { text, answer: undefined };
      text += stream.finish();
      const stop = stream.stop();
      const reason = stop !== undefined ? 'stop' : isEnd ? 'end' : 'length';
      return { text, answer: { text: stream.text(), reason, stop, ids: [...ids], logProbs: [...logProbs] } };
    },
  };
}
