/** Prompts with their responses as one right-padded batch, and where in it the response tokens are predicted. Host only. */

import { padRight } from '../data/batch.ts';
import { DataError } from '../errors.ts';
import type { TokenBatch } from '../model/inputs.ts';

/** A prompt and what was answered, as ids; the response includes EOS where it ended. */
export interface PromptResponse {
  readonly promptIds: Int32Array;
  readonly responseIds: Int32Array;
}

/** Everything a step needs to read log-probabilities, values and scores of responses. */
export interface ResponseBatch {
  /** Whole sequences, right-padded: [batch · seq]. */
  readonly tokens: TokenBatch;
  /** Columns of the response arrays. */
  readonly response: number;
  /** [batch · response], the response tokens; `padId` where masked. */
  readonly ids: Int32Array;
  /** [batch · response], the position in batch · seq whose hidden state predicts the token; a harmless 0 where masked. */
  readonly predictors: Int32Array;
  /** [batch · response], 1 on response tokens including EOS. */
  readonly mask: Float32Array;
  /** [batch], the position in batch · seq of the last token (EOS where there is one): where a score is read. */
  readonly last: Int32Array;
}

/**
 * Lays sequences out. Fixed sizes keep the shapes of a run's steps the same.
 *
 * prompt [5, 6], response [7, 2], seq 6, response columns 3
 *   ->  tokens [5, 6, 7, 2, 0, 0], ids [7, 2, 0], predictors [1, 2, 0], mask [1, 1, 0], last [3]
 *
 * @throws DataError when a sequence is longer than the sizes given
 */
export function responseBatch(
  sequences: readonly PromptResponse[],
  padId: number,
  sizes: { seq?: number; response?: number } = {},
): ResponseBatch {
  const wholes = sequences.map(({ promptIds, responseIds }) => Int32Array.of(...promptIds, ...responseIds));
  const padded = padRight(wholes, padId, sizes.seq ?? longest(wholes));
  const { batch, length: seq } = padded;
  const response = sizes.response ?? longest(sequences.map(({ responseIds }) => responseIds));
  const longestResponse = longest(sequences.map(({ responseIds }) => responseIds));
  if (longestResponse > response) {
    throw new DataError(
      `response batch: expected responses of at most ${response} tokens, received ${longestResponse}. Raise sampling.maxNewTokens.`,
    );
  }
  const ids = new Int32Array(batch * response).fill(padId);
  const predictors = new Int32Array(batch * response);
  const mask = new Float32Array(batch * response);
  const last = new Int32Array(batch);
  sequences.forEach(({ promptIds, responseIds }, row) => {
    responseIds.forEach((id, t) => {
      ids[row * response + t] = id;
      predictors[row * response + t] = row * seq + promptIds.length + t - 1;
      mask[row * response + t] = 1;
    });
    last[row] = row * seq + promptIds.length + responseIds.length - 1;
  });
  const tokens = { batch, seq, ids: padded.ids, segments: padded.attentionMask, positions: padded.positionIds };
  return { tokens, response, ids, predictors, mask, last };
}

function longest(arrays: readonly Int32Array[]): number {
  return arrays.reduce((most, array) => Math.max(most, array.length), 0);
}
