/** Which pre-tokenisers are handed to the library in another form, and what a text that goes on is without. */
import { describe, expect, it } from 'vitest';
import { mended } from '../../src/tokenizer/library.ts';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { fixturePath } from '../helpers/fixtures.ts';

describe('mended', () => {
  const split = (regex: string) => ({ type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false });

  it('knows Unicode’s digits, white space and case', () => {
    expect(mended({ type: 'Digits', individual_digits: true })).toEqual(split('\\p{N}'));
    expect(mended({ type: 'Digits', individual_digits: false })).toEqual(split('\\p{N}+'));
    expect(mended(split("(?i:'s|'k)|[^s]"))).toEqual(split("(?i:'[sSſ]|'[kK\u212a])|[^s]"));
    expect(mended({ type: 'ByteLevel', use_regex: false })).toEqual({ type: 'ByteLevel', use_regex: false });
    expect(mended({ type: 'Sequence', pretokenizers: [{ type: 'ByteLevel' }] })).toMatchObject({
      pretokenizers: [{ pretokenizers: [{ type: 'Split' }, { type: 'ByteLevel', use_regex: false }] }],
    });
  });

  it('splits at the marks of Metaspace unless it is told not to', () => {
    const part = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always' };
    expect(mended(part)).toEqual({ type: 'Sequence', pretokenizers: [part, split('▁?[^▁]+|▁')] });
    expect(mended({ ...part, split: false })).toEqual({ ...part, split: false });
    expect(mended(null)).toBeNull();
  });
});

describe('text that goes on', () => {
  it.each(['llama2', 'mistral'])('has no space put in front: %s', (family) => {
    const tokenizer = loadTokenizer(fixturePath(`tokenizers/${family}`));
    expect(tokenizer.token(tokenizer.encode('\nthe')[0] ?? -1)).toBe('▁');
    expect([...tokenizer.encodeOn('\nthe')]).toEqual([...tokenizer.encode('\nthe')].slice(1));
    expect([...tokenizer.encodeSection('\nthe')]).toEqual(
      [...tokenizer.encode('\nthe')].slice(family === 'mistral' ? 1 : 0),
    );
  });

  it('is any other text where no space is put in front', () => {
    const tokenizer = loadTokenizer(fixturePath('tokenizers/llama3'));
    expect([...tokenizer.encodeOn(' the')]).toEqual([...tokenizer.encode(' the')]);
  });
});
