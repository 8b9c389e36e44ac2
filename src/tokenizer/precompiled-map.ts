/** SentencePiece's map of characters (`precompiled_charsmap`): a double array of what is replaced, and the replacements. */

const encoder = new TextEncoder();
const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });
/** A grapheme is looked up whole where it has fewer bytes than this; the number is that of the `tokenizers` library. */
const WHOLE_BELOW = 6;

/** Two characters of ASCII are two graphemes, but for "\r\n"; so a text can be cut between them. */
const RUNS = /\r\n|(?:(?!\r)\p{ASCII})?(?:\P{ASCII}+(?:(?!\r)\p{ASCII})?)+|\p{ASCII}/gu;
/**
 * Marks, and what else makes one short grapheme with its neighbour (Prepend and the vowels am of Thai and Lao); segmenting
 * is slow. Jamo, flags and emoji have six bytes and more, so they are never looked up whole.
 */
const JOINING =
  /[\p{M}\p{Cf}\p{Grapheme_Extend}\u0d4e\u0e33\u0eb3\u{111c2}\u{111c3}\u{113d1}\u{1193f}\u{11941}\u{11a3a}\u{11a84}-\u{11a89}\u{11d46}\u{11f02}]/u;

/**
 * The replacing of characters as Python's `tokenizers` does it: of each grapheme the shortest prefix that the map has
 * decides, and its replacement takes the place of the whole grapheme, else of the character.
 *
 * "ﬁ" -> "fi", "\r\n" -> " ", with SentencePiece's nmt_nfkc
 *
 * @param base64 bytes of the map: the size of the array in bytes, the array, replacements that end in 0
 * @throws Error where these are not such bytes
 * @see https://github.com/huggingface/spm_precompiled
 */
export function precompiledMap(base64: string): (text: string) => string {
  const bytes = Uint8Array.from(Buffer.from(base64, 'base64'));
  const size = bytes.length < 4 ? -1 : new DataView(bytes.buffer).getUint32(0, true);
  if (size < 4 || size % 4 !== 0 || 4 + size > bytes.length) {
    throw new Error('precompiled_charsmap is damaged: it does not begin with the size of its array');
  }
  const units = new Uint32Array(bytes.buffer.slice(4, 4 + size));
  const find = (chunk: string): string | undefined => {
    const start = shortestPrefix(units, encoder.encode(chunk));
    if (start === undefined) return undefined;
    const from = 4 + size + start;
    const end = bytes.indexOf(0, from);
    return Buffer.from(bytes.subarray(from, end === -1 ? bytes.length : end)).toString('utf8');
  };
  const known = new Map<string, string | undefined>();
  const replacement = (chunk: string): string | undefined => {
    if (!known.has(chunk)) {
      if (known.size > 10_000) known.clear();
      known.set(chunk, find(chunk));
    }
    return known.get(chunk);
  };
  const character = (one: string): string => replacement(one) ?? one;
  const grapheme = (cluster: string): string => {
    const whole = encoder.encode(cluster).length < WHOLE_BELOW ? replacement(cluster) : undefined;
    return whole ?? Array.from(cluster, character).join('');
  };
  return (text) => {
    let result = '';
    for (const run of text.match(RUNS) ?? []) {
      if (run === '\r\n') result += grapheme(run);
      else if (!JOINING.test(run)) for (const one of run) result += character(one);
      else for (const { segment } of graphemes.segment(run)) result += grapheme(segment);
    }
    return result;
  };
}

/** Where the replacement of the shortest prefix begins among the replacements; undefined where the map has no prefix. */
function shortestPrefix(units: Uint32Array, key: Uint8Array): number | undefined {
  const at = (place: number): number => units[place] ?? 0;
  const offset = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6);
  let place = offset(at(0));
  for (const byte of key) {
    if (byte === 0) return undefined;
    place ^= byte;
    const unit = at(place);
    // The label of a unit is its lowest byte; the highest bit marks a value, which is no label.
    if ((unit & 0x8000_00ff) !== byte) return undefined;
    place ^= offset(unit);
    if ((unit & 0x100) !== 0) return at(place) & 0x7fff_ffff;
  }
  return undefined;
}
