/** Rows that are decoded side by side with a key/value cache, and what draws their next tokens. */
import type { Model } from '../model/model.ts';
import type { Random } from '../random.ts';
import type { DrawnToken, Sampling } from './sample-token.ts';
import { sampleToken } from './sample-token.ts';

/** How rows draw. */
export interface Drawing {
  readonly sampling: Sampling;
  /** The random numbers of what a row holds now. */
  readonly random: (row: number) => Random;
  /** Ids of its prompt and response so far, for the repetition penalty. */
  readonly seen: (row: number) => Iterable<number>;
}

/** A row with the prompt it begins with. */
export interface RowPrompt {
  readonly row: number;
  readonly ids: Int32Array;
}

/** A row with the token it reads. */
export interface RowToken {
  readonly row: number;
  readonly id: number;
}

/** Rows with their cache. */
export interface Decoding {
  /** True where some rows can begin anew while others go on; else all begin together. */
  readonly refills: boolean;
  /** Reads a prompt into each given row, which forgets what it held, and draws its first token. */
  fill(prompts: readonly RowPrompt[]): Promise<DrawnToken[]>;
  /** Reads one token into each given row and draws its next; other rows rest. */
  advance(tokens: readonly RowToken[]): Promise<DrawnToken[]>;
  /** Frees the cache. */
  dispose(): void;
}

/** What a decoding is made of. */
export interface DecodingOptions {
  readonly model: Model;
  /** Rows side by side. */
  readonly rows: number;
  /** Tokens of the longest prompt that will be read. */
  readonly longestPrompt: number;
  readonly maxNewTokens: number;
  readonly drawing: Drawing;
}

/** How many of these rows are filled at once while others go on: few prompts a pass waste it, many let rows wait. */
export function refillRows(rows: number): number {
  return Math.ceil(rows / 4);
}

/** A row that draws, and its line in what a step computes. */
export interface RowLine {
  readonly row: number;
  readonly line: number;
}

/** Draws from logits [lines · vocab] on the host. */
export function drawOnHost(
  logits: Float32Array,
  vocab: number,
  rows: readonly RowLine[],
  { sampling, random, seen }: Drawing,
): DrawnToken[] {
  return rows.map(({ row, line }) => {
    return sampleToken(logits.subarray(line * vocab, (line + 1) * vocab), sampling, random(row), seen(row));
  });
}
