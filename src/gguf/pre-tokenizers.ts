/** How llama.cpp cuts texts into words before byte-level BPE (`tokenizer.ggml.pre`), as the parts of tokenizer.json. */
import { isDeepStrictEqual } from 'node:util';
import type { TokenizerJson } from '../tokenizer/tokenizer-json.ts';
import type { PreTokenizer } from '../tokenizer/tokenizer-parts.ts';

/** What a name in `tokenizer.ggml.pre` stands for. */
export interface BytePreTokenizer {
  readonly parts: readonly PreTokenizer[];
  /** Words that are tokens are not merged from bytes (`ignore_merges`). */
  readonly ignoresMerges: boolean;
}

const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const rest = '| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

function bytes(useRegex: boolean): PreTokenizer {
  return { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: useRegex };
}

/** Words by a pattern. */
function byPattern(regex: string): PreTokenizer[] {
  return [{ type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false }, bytes(false)];
}

/** The pattern of which `\p{N}` takes so many digits. */
function withDigits(digits: string): PreTokenizer[] {
  return byPattern(`${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}${rest}`);
}

const upper = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const lower = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';

/** Words that begin large go on small: GPT-4o's pattern, and Tekken's, which has no contractions and cuts digits one by one. */
function byCase(ending: string, digits: string): PreTokenizer[] {
  const start = '[^\\r\\n\\p{L}\\p{N}]?';
  const words = `${start}${upper}*${lower}+${ending}|${start}${upper}+${lower}*${ending}`;
  return byPattern(`${words}|${digits}${rest.replace('[\\r\\n]*', '[\\r\\n/]*')}`);
}

/** By name; the patterns are those beside the names in llama.cpp's src/llama-vocab.cpp. */
export const bytePreTokenizers: Readonly<Record<string, BytePreTokenizer>> = {
  'gpt-2': { parts: [bytes(true)], ignoresMerges: false },
  smollm: { parts: [{ type: 'Digits', individual_digits: true }, bytes(true)], ignoresMerges: false },
  'llama-bpe': { parts: withDigits('\\p{N}{1,3}'), ignoresMerges: true },
  qwen2: { parts: withDigits('\\p{N}'), ignoresMerges: false },
};

/** Those that are read: llama.cpp has two more, whose letters it knows by "a-z" and "A-Z" and not as the published tokenizers do. */
export const publishedPreTokenizers: Readonly<Record<string, BytePreTokenizer>> = {
  ...bytePreTokenizers,
  tekken: { parts: byCase('', '\\p{N}'), ignoresMerges: true },
  'gpt-4o': { parts: byCase(`${contractions}?`, '\\p{N}{1,3}'), ignoresMerges: false },
};

/** The name of a tokenizer's way to cut; undefined where llama.cpp has none that is the same. */
export function preTokenizerName({ preTokenizers, model }: TokenizerJson): string | undefined {
  const { settings } = model;
  const ignoresMerges = settings.type === 'BPE' && settings.ignore_merges;
  const parts = preTokenizers.map(withoutOffsets);
  const found = Object.entries(bytePreTokenizers).find(
    ([, known]) => known.ignoresMerges === ignoresMerges && isDeepStrictEqual(known.parts.map(withoutOffsets), parts),
  );
  return found?.[0];
}

/** `trim_offsets` changes no token. */
function withoutOffsets(part: PreTokenizer): PreTokenizer {
  return part.type === 'ByteLevel' ? { ...part, trim_offsets: true } : part;
}
