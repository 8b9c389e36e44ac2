/** Text that a tokenizer's vocabulary lacks: counted where data are tokenized, and refused where it is much of them. */
import { DataError } from '../errors.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';

/** The share of learned tokens that may be unknown; above it the tokenizer is not one for these texts. */
const MOST_UNKNOWN = 0.1;

/** Unknown tokens among those that are learned. */
export function countUnknown(
  ids: ArrayLike<number>,
  mask: ArrayLike<number>,
  { unkId, eosId }: Pick<Tokenizer, 'unkId' | 'eosId'>,
): number {
  if (unkId === null || unkId === eosId) return 0;
  let count = 0;
  for (let i = 0; i < ids.length; i++) if (ids[i] === unkId && mask[i] === 1) count++;
  return count;
}

/**
 * @param where names the data
 * @throws DataError where more than a tenth of the learned tokens are unknown
 */
export function checkUnknown(where: string, unknown: number, learned: number, tokenizer: Tokenizer): void {
  if (unknown <= MOST_UNKNOWN * learned) return;
  const percent = Math.round((100 * unknown) / learned);
  throw new DataError(
    `${where}: ${unknown.toLocaleString('en-US')} of ${learned.toLocaleString('en-US')} learned tokens (${percent} %) are ` +
      `${JSON.stringify(tokenizer.token(tokenizer.unkId ?? -1))}, which stands for text that the vocabulary lacks; expected at ` +
      `most ${100 * MOST_UNKNOWN} %. Use a model whose tokenizer knows these texts, or one with byte fallback.`,
  );
}
