/** Texts to ids, by the parts of a tokenizer.json: added tokens, normalisers, pre-tokenisers, the model. */
import { DataError, errorMessage } from '../errors.ts';
import { type Section, sectionCutter } from './added-tokens.ts';
import { bpeModel } from './bpe.ts';
import { textNormalizer } from './normalizers.ts';
import { type Place, wordSplitter } from './pre-tokenizers.ts';
import type { AddedToken, TokenizerJson, TokenModel } from './tokenizer-json.ts';
import { unigramModel } from './unigram.ts';
import type { WordModel } from './word-model.ts';
import { wordLevelModel, wordPieceModel } from './wordpiece.ts';

/** How a text is encoded depends on where it stands: some tokenizers put a space in front of it. */
export interface TextEncoders {
  /** Ids of a text that stands at the beginning. */
  readonly encode: (text: string) => Int32Array;
  /** Ids of a text that follows a special token. */
  readonly encodeSection: (text: string) => Int32Array;
  /** Ids of a text that goes on where other text ended. */
  readonly encodeOn: (text: string) => Int32Array;
  /** The id of what the vocabulary lacks; null where the tokenizer has none and where no text can have any. */
  readonly unkId: number | null;
  /** Added tokens by their ids as a normalised text has them, which is what Python decodes them to. */
  readonly spellings: ReadonlyMap<number, string>;
}

/** Words that are remembered with their ids: so many, each up to so long. */
const KNOWN_WORDS = 100_000;
const KNOWN_LENGTH = 256;

/**
 * The encoders of a tokenizer; they never give a special id but the unknown one, as no text may end a sequence.
 *
 * @param special ids of special tokens
 * @param path names the file in errors of texts that cannot be encoded
 * @throws Error where a part is damaged: a pattern, a map of characters, merges
 */
export function textEncoders(json: TokenizerJson, special: ReadonlySet<number>, path: string): TextEncoders {
  const model = wordModel(json.model, special);
  const words = wordSplitter(json.preTokenizers);
  const normalize = textNormalizer(json.normalizers);
  const isNormalized = ({ normalized }: AddedToken): boolean => normalized;
  const cutRaw = sectionCutter(
    json.added.filter((token) => !isNormalized(token)).map((token) => [token.content, token]),
  );
  const normalized = json.added
    .filter(isNormalized)
    .map((token) => [normalize(token.content, 'start'), token] as const);
  const cutNormalized = sectionCutter(normalized);
  const wordIds = remembered((word) => model.encode(words.spell(word)));
  const encodeAt = (text: string, place: Place): Int32Array => {
    const ids: number[] = [];
    try {
      for (const raw of placed(cutRaw(wellFormed(text)), place)) {
        if (raw.id !== undefined) ids.push(raw.id);
        else {
          for (const section of placed(cutNormalized(normalize(raw.text, raw.place)), raw.place)) {
            if (section.id !== undefined) ids.push(section.id);
            else
              for (const word of words.split(section.text, section.place)) for (const id of wordIds(word)) ids.push(id);
          }
        }
      }
    } catch (error) {
      throw new DataError(
        `${path}: a text cannot be encoded (${errorMessage(error)}). Mend the file, or take that character out of the texts.`,
        { cause: error },
      );
    }
    return new Int32Array(ids);
  };
  return {
    encode: (text) => encodeAt(text, 'start'),
    encodeSection: (text) => encodeAt(text, 'section'),
    encodeOn: (text) => encodeAt(text, 'on'),
    unkId: model.unkId ?? null,
    spellings: new Map(normalized.map(([spelling, { id }]) => [id, spelling])),
  };
}

/** Sections with their places: only the first stands where the text stands. */
function placed(sections: readonly Section[], place: Place): (Section & { readonly place: Place })[] {
  // Written out: every text comes by twice, and a spread costs more than all else in it.
  return sections
    .map(({ text, id }, i) => ({ text, id, place: i === 0 ? place : ('section' as const) }))
    .filter(({ text }) => text !== '');
}

/** Half surrogate pairs become U+FFFD, as they do in UTF-8. */
function wellFormed(text: string): string {
  return /[\ud800-\udfff]/.test(text) ? text.replace(/\p{Surrogate}/gu, '\ufffd') : text;
}

function wordModel(model: TokenModel, special: ReadonlySet<number>): WordModel {
  const plain = new Map([...model.vocab].filter(([, id]) => !special.has(id)));
  const { settings } = model;
  switch (settings.type) {
    case 'BPE':
      return bpeModel(model, settings, plain);
    case 'Unigram':
      return unigramModel(model, settings, plain);
    case 'WordLevel':
      return wordLevelModel(model, settings, plain);
    case 'WordPiece':
      return wordPieceModel(model, settings, plain);
  }
}

function remembered(encode: (word: string) => readonly number[]): (word: string) => readonly number[] {
  const known = new Map<string, readonly number[]>();
  return (word) => {
    const found = known.get(word);
    if (found !== undefined) return found;
    const ids = encode(word);
    if (known.size >= KNOWN_WORDS) known.clear();
    if (word.length < KNOWN_LENGTH) known.set(word, ids);
    return ids;
  };
}
