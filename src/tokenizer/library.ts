/** Hugging Face's library for texts to ids, with the places mended where it cuts texts otherwise than Python's does. */
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { GPT2_WORDS, splitWords } from './bytes.ts';
import { type Part, partsOf, type TokenizerConfig, type TokenizerJson, withoutPrefix } from './tokenizer-json.ts';

/** How a text is encoded depends on where it stands: some tokenizers put a space in front of it. */
export interface TextEncoders {
  /** Ids of a text that stands at the beginning. */
  readonly encode: (text: string) => Int32Array;
  /** Ids of a text that follows a special token. */
  readonly encodeSection: (text: string) => Int32Array;
  /** Ids of a text that goes on where other text ended. */
  readonly encodeOn: (text: string) => Int32Array;
}

/**
 * The encoders of a tokenizer; they never give a special id, as the library is not told of special tokens.
 * @throws Error where the library knows no such tokenizer
 */
export function textEncoders(json: TokenizerJson, config: TokenizerConfig): TextEncoders {
  const encode = encoder(json, config);
  const parts = [...partsOf(json.normalizer), ...partsOf(json.pre_tokenizer)];
  let on = parts.some(isPrefix) ? undefined : encode;
  // Made when it is first asked for: a vocabulary is large.
  const encodeOn = (text: string): Int32Array => {
    on ??= encoder(withoutPrefix(json), config);
    return on(text);
  };
  const isOnlyFirst = parts.some(({ prepend_scheme: scheme }) => scheme === 'first');
  return { encode, encodeSection: isOnlyFirst ? encodeOn : encode, encodeOn };
}

function isPrefix({ type, add_prefix_space: prefix }: Part): boolean {
  return type === 'Prepend' || type === 'Metaspace' || prefix === true;
}

/**
 * With GPT-2's byte-level splitting each word is encoded alone, so words are looked up in a cache
 * (3 times faster than asking the library on first reading, 17 times once the words are known). Other tokenizers go
 * through the library whole.
 */
function encoder(json: TokenizerJson, config: TokenizerConfig): (text: string) => Int32Array {
  const { pre_tokenizer: pre, normalizer, added_tokens: added } = json;
  const library = new HuggingFaceTokenizer(
    {
      ...{ ...json, pre_tokenizer: mended(pre), added_tokens: added.filter((token) => !token.special) },
      ...{ post_processor: null, decoder: null },
    },
    // Old settings that change texts before they are cut; Python's fast tokenizers do not know them.
    { ...config, remove_space: false, do_lowercase_and_remove_accent: false },
  );
  const encode = (text: string): number[] => library.encode(text, { add_special_tokens: false }).ids;
  const isWordwise =
    pre?.type === 'ByteLevel' &&
    !pre.add_prefix_space &&
    pre.use_regex !== false &&
    !normalizer &&
    added.every((token) => token.special);
  if (!isWordwise) return (text) => Int32Array.from(encode(text));
  const cache = new Map<string, number[]>();
  return (text) => {
    const ids: number[] = [];
    for (const word of splitWords(text)) {
      let known = cache.get(word);
      if (known === undefined) {
        known = encode(word);
        if (cache.size >= 100_000) cache.clear();
        cache.set(word, known);
      }
      for (const id of known) ids.push(id);
    }
    return Int32Array.from(ids);
  };
}

const isolated = (regex: string): Part => ({
  type: 'Split',
  pattern: { Regex: regex },
  behavior: 'Isolated',
  invert: false,
});

/**
 * A pre-tokeniser that the library reads as Python's does. Seen in @huggingface/tokenizers 0.2.0:
 * - ByteLevel takes JavaScript's white space (with U+FEFF, without U+0085) for Unicode's, which only Split does right;
 * - Digits knows 0 to 9 only, Python's every number of Unicode;
 * - Split compares letters of `(?i:…)` within ASCII, Python's with ſ (U+017F) for s and the Kelvin sign for k;
 * - Metaspace never splits.
 * What stays: JavaScript's letters and numbers are those of its own Unicode, Python's those of Unicode 16. Node 20.20 knows
 * 4,657 characters of Unicode 17 that Python takes for signs (compared over all code points; white space and NFC agree).
 */
export function mended(part: Part | null): Part | null {
  if (part === null) return null;
  const { type } = part;
  if (type === 'Sequence') {
    return { ...part, pretokenizers: (part.pretokenizers ?? []).flatMap((one) => mended(one) ?? []) };
  }
  if (type === 'Digits') return isolated(part.individual_digits === true ? '\\p{N}' : '\\p{N}+');
  if (type === 'ByteLevel' && part.use_regex !== false && part.add_prefix_space !== true) {
    return { type: 'Sequence', pretokenizers: [isolated(GPT2_WORDS), { ...part, use_regex: false }] };
  }
  if (type === 'Metaspace' && part.split !== false) {
    const mark = part.replacement ?? '▁';
    return { type: 'Sequence', pretokenizers: [part, isolated(`${mark}?[^${mark}]+|${mark}`)] };
  }
  if (type === 'Split' && part.pattern?.Regex !== undefined) {
    return { ...part, pattern: { Regex: foldedLetters(part.pattern.Regex) } };
  }
  return part;
}

function foldedLetters(regex: string): string {
  return regex.replace(/\(\?i:([^()[\]\\]*)\)/g, (_, group: string) => {
    return `(?i:${group.replace(/s/gi, '[sSſ]').replace(/k/gi, '[kK\u212a]')})`;
  });
}
