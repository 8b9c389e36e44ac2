/** What normalisers and pre-tokenisers do to every code point that Unicode 14 names: as Python's `tokenizers`, by hashes. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { textNormalizer } from '../../src/tokenizer/normalizers.ts';
import { wordSplitter } from '../../src/tokenizer/pre-tokenizers.ts';
import { type Normalizer, normalizer, preTokenizer } from '../../src/tokenizer/tokenizer-parts.ts';
import { fixture } from '../helpers/fixtures.ts';

const { codePoints } = fixture<{
  codePoints: { ranges: string; normalizers: Record<string, string>; preTokenizers: Record<string, string> };
}>('tokenizers/kinds.json');
const characters = codePoints.ranges.split(' ').flatMap((range) => {
  const [first = 0, last = first] = range.split('-').map((code) => Number.parseInt(code, 16));
  return Array.from({ length: last - first + 1 }, (_, i) => String.fromCodePoint(first + i));
});
const whole = (results: readonly string[]): string => {
  return createHash('sha256').update(results.join('\n')).digest('hex');
};
const bert = { clean_text: false, handle_chinese_chars: false, strip_accents: false, lowercase: false };

/** A normaliser by its type, or BERT's with one of its settings. */
function named(name: string): Normalizer {
  return normalizer.parse(name in bert ? { type: 'BertNormalizer', ...bert, [name]: true } : { type: name });
}

describe('every character', () => {
  it.each(Object.entries(codePoints.normalizers))('is changed by %s as in Python', (name, hash) => {
    const normalize = textNormalizer([named(name)]);
    expect(whole(characters.map((character) => normalize(character, 'start')))).toBe(hash);
  });

  it.each(Object.entries(codePoints.preTokenizers))('is cut by %s as in Python', (name, hash) => {
    const words = wordSplitter([
      preTokenizer.parse({ type: name, ...(name === 'Digits' && { individual_digits: true }) }),
    ]);
    expect(whole(characters.map((character) => words.split(`日${character}日`, 'start').join('|')))).toBe(hash);
  });
});
