/** The corpora of pre-training as packed rows: what is trained on, and what is held out. */

import { packSequences } from '../batch/packing.ts';
import type { TokenBatch } from '../batch/token-batch.ts';
import { ConfigError } from '../errors.ts';
import { seededRandom } from '../random.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { cutDocument, divideCorpus, documentIds } from './corpus.ts';
import { checkUnknown, countUnknown } from './unknown-tokens.ts';

/** What of a configuration says which documents are read, and how. */
export interface CorpusSettings {
  readonly corpus: string;
  readonly heldOut: string | null;
  readonly run: { readonly seed: number };
  readonly training: { readonly length: number };
  readonly evaluation: { readonly share: number; readonly best: string };
}

/**
 * Documents as packed rows; attention never crosses from one document into another.
 * @returns `note` tells people what is held out
 * @throws DataError where documents are wrong; ConfigError where there is nothing to measure the loss on that is to choose
 *   the model
 */
export function readPackedCorpora(
  { corpus, heldOut: heldOutPath, run, training: { length }, evaluation }: CorpusSettings,
  tokenizer: Tokenizer,
): { readonly rows: TokenBatch; readonly heldOut: TokenBatch; readonly note: string } {
  const random = seededRandom(run.seed, 'held-out documents');
  const divided = divideCorpus(corpus, heldOutPath, evaluation.share, random);
  if (divided.heldOut.length === 0 && evaluation.best === 'loss') {
    throw new ConfigError(
      `evaluation.best: loss needs held-out documents, and of ${corpus} none are held out: ${divided.trained.length} documents, evaluation.share ${evaluation.share}. ` +
        'Name heldOut, raise evaluation.share, give at least two different documents, or set evaluation.best to last.',
    );
  }
  const pack = (texts: readonly string[]): TokenBatch => {
    const documents = texts.flatMap((text) => cutDocument(documentIds(text, tokenizer), length));
    const unknown = documents.reduce((sum, one) => sum + countUnknown(one.ids, one.learned, tokenizer), 0);
    const learned = documents.reduce((sum, { ids }) => sum + ids.length - 1, 0);
    checkUnknown(corpus, unknown, learned, tokenizer);
    return packSequences(documents, length, tokenizer.padId);
  };
  const heldOut = pack(divided.heldOut);
  const held = `${divided.heldOut.length} of ${divided.heldOut.length + divided.trained.length} documents`;
  const note = `held out  ${heldOut.batch} rows${heldOutPath === null ? `: ${held}, by run.seed (evaluation.share)` : ''}`;
  return { rows: pack(divided.trained), heldOut, note };
}
