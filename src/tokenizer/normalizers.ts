/** What is done to a text before it is cut: the normalisers of tokenizer.json, as Python's `tokenizers` applies them. */
import { toByteCharacters } from './bytes.ts';
import { findAll } from './patterns.ts';
import type { Place } from './pre-tokenizers.ts';
import { precompiledMap } from './precompiled-map.ts';
import type { Normalizer } from './tokenizer-parts.ts';
import { controls, marks, nonspacingMarks, normalizerTo } from './unicode.ts';

type Change = (text: string, place: Place) => string;

/**
 * All normalisers one after the other. Nothing is put in front of a text that goes on where other text ended.
 * @throws Error where one of them is damaged
 */
export function textNormalizer(parts: readonly Normalizer[]): Change {
  const changes = parts.map(change);
  return (text, place) => changes.reduce((sofar, one) => (sofar === '' ? '' : one(sofar, place)), text);
}

function change(part: Normalizer): Change {
  switch (part.type) {
    case 'BertNormalizer':
      return bertNormalizer(part);
    case 'ByteLevel':
      return toByteCharacters;
    case 'Lowercase':
      return lowercase;
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD':
      return normalizerTo(part.type);
    case 'Nmt':
      return (text) => text.replace(NMT_REMOVED, '').replace(NMT_SPACES, ' ');
    case 'Precompiled':
      return part.precompiled_charsmap ? precompiledMap(part.precompiled_charsmap) : (text) => text;
    case 'Prepend':
      return (text, place) => (place === 'on' ? text : part.prepend + text);
    case 'Replace': {
      const find = findAll(part.pattern);
      return (text) => replaceMatches(text, find(text), part.content);
    }
    case 'Strip':
      return (text) => {
        const start = part.strip_left ? text.replace(/^\p{White_Space}+/u, '') : text;
        return part.strip_right ? trimEnd(start) : start;
      };
    case 'StripAccents':
      return (text) => text.replace(marks, '');
  }
}

/** Every match replaced by a content that is taken as it stands. */
export function replaceMatches(text: string, matches: readonly (readonly [number, number])[], content: string): string {
  let result = '';
  let end = 0;
  for (const [from, to] of matches) {
    result += text.slice(end, from) + content;
    end = to;
  }
  return result + text.slice(end);
}

/** Without white space at the end. A regular expression would try every space of the text as the last. */
function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && /\p{White_Space}/u.test(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}

/** Character by character: JavaScript writes a Σ at the end of a word as ς, Python's `tokenizers` never does. */
function lowercase(text: string): string {
  const lower = text.toLowerCase();
  return text.includes('Σ') ? Array.from(text, (character) => character.toLowerCase()).join('') : lower;
}

/** Characters that SentencePiece's nmt rules remove, and those they read as a space. */
const NMT_REMOVED = /(?![\0\t\n\f\r\u0080-\u008e\u0090-\u009e])\p{Cc}/gu;
const NMT_SPACES = /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/g;

/** The blocks that BERT calls Chinese characters, with the gap that its own list has. */
const CHINESE =
  /[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{2a6df}\u{2a700}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/gu;

function bertNormalizer(part: Normalizer & { type: 'BertNormalizer' }): (text: string) => string {
  const stripsAccents = part.strip_accents ?? part.lowercase;
  const nfd = normalizerTo('NFD');
  return (text) => {
    let changed = text;
    if (part.clean_text) changed = changed.replace(controls, '').replace(/\p{White_Space}/gu, ' ');
    if (part.handle_chinese_chars) changed = changed.replace(CHINESE, ' $& ');
    if (stripsAccents) changed = nfd(changed).replace(nonspacingMarks, '');
    return part.lowercase ? lowercase(changed) : changed;
  };
}
