/** Byte-level text: GPT-2's splitting of text into words, and its printable character for each of the 256 bytes. */

/**
 * GPT-2's pre-tokenization: contractions, letters, numbers and other signs with one leading space, and runs of space.
 * Every character of a text is in exactly one match.
 * https://github.com/openai/gpt-2/blob/9b63575ef42771a015060c964af2c3da4cf7c8ab/src/encoder.py#L53
 */
const GPT2_WORDS = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/** White space is Unicode's, as in Python's `tokenizers`; JavaScript's `\s` has U+FEFF and lacks U+0085. */
const wordPattern = new RegExp(
  GPT2_WORDS.replaceAll('\\s', '\\p{White_Space}').replaceAll('\\S', '\\P{White_Space}'),
  'gu',
);

/** The words of a text in GPT-2's sense; joined they are the text again. */
export function splitWords(text: string): string[] {
  return text.match(wordPattern) ?? [];
}

/** `byteCharacters[b]` is the printable character that stands for byte b in a vocabulary (same source, `bytes_to_unicode`). */
export const byteCharacters: readonly string[] = (() => {
  const isPrintable = (b: number): boolean => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCharCode(isPrintable(b) ? b : next++));
})();

const encoder = new TextEncoder();

/** A text's UTF-8 bytes, each written as its printable character. */
export function toByteCharacters(text: string): string {
  let result = '';
  for (const byte of encoder.encode(text)) result += byteCharacters[byte];
  return result;
}
