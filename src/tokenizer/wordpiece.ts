/** WordPiece (BERT) and WordLevel: words by their longest known beginnings, or whole. */
import type { TokenModel } from './tokenizer-json.ts';
import type { ModelSettings } from './tokenizer-parts.ts';
import type { WordModel } from './word-model.ts';

/**
 * Longest match first; a word that has a part without a token, or too many characters, is one unknown token.
 *
 * @param plain ids that words may be given: those of special tokens are left out
 * @throws Error where unk_token is not in the vocabulary
 * @see Wu et al. 2016, arXiv:1609.08144
 */
export function wordPieceModel(
  { vocab }: TokenModel,
  settings: ModelSettings & { type: 'WordPiece' },
  plain: ReadonlyMap<string, number>,
): WordModel {
  const { continuing_subword_prefix: prefix, max_input_chars_per_word: most } = settings;
  const unkId = unknownId(vocab, settings.unk_token);
  const encode = (word: string): number[] => {
    const characters = [...word];
    if (characters.length > most) return [unkId];
    const ids: number[] = [];
    for (let start = 0; start < characters.length; ) {
      let end = characters.length;
      let id: number | undefined;
      for (; end > start; end--) {
        id = plain.get((start > 0 ? prefix : '') + characters.slice(start, end).join(''));
        if (id !== undefined) break;
      }
      if (id === undefined) return [unkId];
      ids.push(id);
      start = end;
    }
    return ids;
  };
  return { unkId, encode };
}

/**
 * Every word is a token or unknown.
 * @throws Error where unk_token is not in the vocabulary
 */
export function wordLevelModel(
  { vocab }: TokenModel,
  settings: ModelSettings & { type: 'WordLevel' },
  plain: ReadonlyMap<string, number>,
): WordModel {
  const unkId = unknownId(vocab, settings.unk_token);
  return { unkId, encode: (word) => [plain.get(word) ?? unkId] };
}

function unknownId(vocab: ReadonlyMap<string, number>, token: string): number {
  const id = vocab.get(token);
  if (id === undefined) throw new Error(`model.unk_token: ${JSON.stringify(token)} is not in the vocabulary`);
  return id;
}
