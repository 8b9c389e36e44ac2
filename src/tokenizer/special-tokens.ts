/** The special tokens of every tokenizer trained here: distinct ids, so that padding can never be taken for an ending. */
import { DataError } from '../errors.ts';

/** Special tokens in id order: PAD fills, BOS opens every sequence, EOS closes every target, response and document. */
export const specialTokens = { pad: '<|pad|>', bos: '<|bos|>', eos: '<|eos|>' } as const;

/** Ids of the special tokens of one tokenizer. `bos` is null for tokenizers that have none. */
export interface SpecialIds {
  pad: number;
  bos: number | null;
  eos: number;
}

/**
 * Checks the special tokens found in a tokenizer folder and returns their ids.
 * A model trained with EOS = PAD never learns to stop, because the padding mask hides every EOS from the loss.
 *
 * @throws DataError when PAD or EOS is missing, or EOS = PAD; all problems at once
 */
export function checkSpecialIds(where: string, found: { pad?: number; bos?: number; eos?: number }): SpecialIds {
  const problems: string[] = [];
  const { pad, bos, eos } = found;
  for (const [name, id] of [
    ['pad_token', pad],
    ['eos_token', eos],
  ] as const) {
    if (id === undefined) {
      problems.push(
        `${where}: no ${name}; expected the text of a token of the vocabulary, received none. ` +
          `Add "${name}" to tokenizer_config.json and its token to tokenizer.json.`,
      );
    }
  }
  if (eos !== undefined && eos === pad) {
    problems.push(
      `${where}: EOS = PAD; expected two different tokens, received id ${eos} for both. ` +
        `Give "pad_token" a token of its own: with one token for both the model never learns where to stop.`,
    );
  }
  if (pad === undefined || eos === undefined || problems.length > 0) throw new DataError(problems);
  return { pad, bos: bos ?? null, eos };
}
