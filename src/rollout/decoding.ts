/** A batch while it is decoded with a key/value cache, and what draws its next tokens. */
import type { Model } from '../model/model.ts';
import type { Random } from '../random.ts';
import type { DrawnToken, Sampling } from './sample-token.ts';
import { sampleToken } from './sample-token.ts';

/** Prompts side by side, padded on the left; all arrays [batch · seq]. */
export interface PaddedPrompts {
  readonly batch: number;
  readonly seq: number;
  readonly ids: Int32Array;
  readonly attentionMask: Int32Array;
  readonly positions: Int32Array;
}

/** How the rows of a batch draw. */
export interface Drawing {
  readonly sampling: Sampling;
  readonly random: Random;
  /** False where a row has ended: it draws nothing. */
  readonly draws: (row: number) => boolean;
  /** Ids of prompt and response so far, for the repetition penalty. */
  readonly seen: (row: number) => Iterable<number>;
}

/** The next token of each row; null where it draws nothing. */
export type Drawn = (DrawnToken | null)[];

/** A batch with its cache. */
export interface Decoding {
  /** Reads the prompts. */
  start(): Drawn;
  /** Reads one token a row, and draws the next. */
  advance(ids: Int32Array, positions: Int32Array): Drawn;
  /** Frees the cache. */
  dispose(): void;
}

/** What a decoding is made of. */
export interface DecodingOptions {
  readonly model: Model;
  readonly prompts: PaddedPrompts;
  readonly maxNewTokens: number;
  readonly drawing: Drawing;
}

/** Draws from logits [batch · vocab] on the host. */
export function drawOnHost(logits: Float32Array, batch: number, { sampling, random, draws, seen }: Drawing): Drawn {
  const vocab = logits.length / batch;
  return Array.from({ length: batch }, (_, row) => {
    if (!draws(row)) return null;
    return sampleToken(logits.subarray(row * vocab, (row + 1) * vocab), sampling, random, seen(row));
  });
}
