/** The cutting of a text into words: the pre-tokenisers of tokenizer.json, as Python's `tokenizers` applies them. */
import { splitWords, toByteCharacters } from './bytes.ts';
import { cutAt, findAll, matchesOf, type Span } from './patterns.ts';
import type { PreTokenizer, SplitBehavior } from './tokenizer-parts.ts';
import { punctuation, WORD } from './unicode.ts';

/** Where a text stands, which decides whether a space is put in front of it. */
export type Place =
  /** At the beginning. */
  | 'start'
  /** After a special token or an added one. */
  | 'section'
  /** Where other text ended, which it goes on. */
  | 'on';

/** Pieces of a text, and whether the text begins with the first of them: white space may be gone. */
interface Pieces {
  readonly texts: readonly string[];
  readonly areWhole: boolean;
}

/** Words of a text; `spell` is what the last pre-tokeniser writes them in, once a word's ids are asked for. */
export interface WordSplitter {
  split(text: string, place: Place): readonly string[];
  spell(word: string): string;
}

type Cut = (pieces: Pieces, place: Place) => Pieces;

/** @throws Error where a pattern cannot be translated */
export function wordSplitter(parts: readonly PreTokenizer[]): WordSplitter {
  const last = parts.at(-1);
  // Byte characters are written after words are looked up: most words are known.
  const spellsBytes = last?.type === 'ByteLevel';
  const cuts = parts.map((part) => cutOf(part, part === last));
  return {
    split: (text, place) => {
      let pieces: Pieces = { texts: [text], areWhole: true };
      for (const cut of cuts) pieces = cut(pieces, place);
      return pieces.texts;
    },
    spell: spellsBytes ? toByteCharacters : (word) => word,
  };
}

function cutOf(part: PreTokenizer, isLast: boolean): Cut {
  switch (part.type) {
    case 'BertPreTokenizer': {
      const words = cutting(matchesOf(/\p{White_Space}/gu), 'Removed');
      const signs = cutting(matchesOf(punctuation), 'Isolated');
      return (pieces, place) => signs(words(pieces, place), place);
    }
    case 'ByteLevel':
      return byteLevel(part, isLast);
    case 'CharDelimiterSplit':
      return cutting(findAll({ String: part.delimiter }), 'Removed');
    case 'Digits':
      return cutting(matchesOf(/\p{N}/gu), part.individual_digits ? 'Isolated' : 'Contiguous');
    case 'FixedLength':
      return cutting(matchesOf(new RegExp(`[^]{1,${part.length}}`, 'gu')), 'Isolated');
    case 'Metaspace':
      return metaspace(part);
    case 'Punctuation':
      return cutting(matchesOf(punctuation), part.behavior);
    case 'Split':
      return cutting(findAll(part.pattern), part.behavior, part.invert);
    case 'Whitespace':
      return cutting(matchesOf(new RegExp(`${WORD}+|(?:(?!${WORD})\\P{White_Space})+`, 'gu')), 'Removed', true);
    case 'WhitespaceSplit':
      return cutting(matchesOf(/\p{White_Space}/gu), 'Removed');
  }
}

function cutting(find: (text: string) => Span[], behavior: SplitBehavior, isInverted = false): Cut {
  return ({ texts, areWhole }) => {
    const cut: string[] = [];
    let isWhole = areWhole;
    for (const [i, text] of texts.entries()) {
      const spans = cutAt(text.length, find(text), behavior, isInverted);
      if (i === 0 && spans[0]?.[0] !== 0) isWhole = false;
      for (const [from, to] of spans) cut.push(text.slice(from, to));
    }
    return { texts: cut, areWhole: isWhole };
  };
}

/** Pieces with something put in front of those that it belongs to: not to one that goes on other text. */
function prefixed(
  { texts, areWhole }: Pieces,
  place: Place,
  prefix: string,
  isWanted: (isFirst: boolean) => boolean,
): Pieces {
  const begun = texts.map((text, i) => {
    const isFirst = areWhole && i === 0;
    const isBegun = text.startsWith(prefix) || (isFirst && place === 'on') || !isWanted(isFirst);
    return isBegun ? text : prefix + text;
  });
  return { texts: begun, areWhole };
}

function byteLevel(part: PreTokenizer & { type: 'ByteLevel' }, isLast: boolean): Cut {
  return (pieces, place) => {
    const { texts, areWhole } = part.add_prefix_space ? prefixed(pieces, place, ' ', () => true) : pieces;
    // Most texts are one piece, whose words need no copying together.
    const [only = ''] = texts;
    const cut = (): readonly string[] => (texts.length === 1 ? splitWords(only) : texts.flatMap(splitWords));
    const words = part.use_regex ? cut() : texts;
    return { texts: isLast ? words : words.map(toByteCharacters), areWhole };
  };
}

function metaspace(part: PreTokenizer & { type: 'Metaspace' }): Cut {
  const { replacement: mark, prepend_scheme: scheme } = part;
  const atMarks = cutting(findAll({ String: mark }), 'MergedWithNext');
  return ({ texts, areWhole }, place) => {
    const marked = { texts: texts.map((text) => text.replaceAll(' ', mark)), areWhole };
    const begun = prefixed(marked, place, mark, (isFirst) => {
      return scheme === 'always' || (scheme === 'first' && isFirst && place === 'start');
    });
    return part.split ? atMarks(begun, place) : begun;
  };
}
