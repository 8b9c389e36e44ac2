import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { trainBpe } from '../../src/tokenizer/bpe-training.ts';
import { byteCharacters, splitWords } from '../../src/tokenizer/bytes.ts';
import { createPairQueue } from '../../src/tokenizer/pair-queue.ts';
import { trainedTokenizer } from './tiny-tokenizer.ts';

interface Reference {
  texts: string[];
  vocabSize: number;
  tokens: string[];
  merges: [string, string][];
  samples: { text: string; ids: number[] }[];
}
const reference = JSON.parse(
  readFileSync(new URL('./fixtures/bpe-reference.json', import.meta.url), 'utf8'),
) as Reference;

describe('trainBpe', () => {
  it("learns the merges and vocabulary of Hugging Face's trainer, in the same order", () => {
    const { merges, tokens } = trainBpe(reference.texts, reference.vocabSize);
    expect(merges).toEqual(reference.merges);
    expect(tokens).toEqual(reference.tokens);
  });

  it("encodes as Hugging Face's encoder does with that vocabulary", () => {
    const tokenizer = trainedTokenizer(reference.texts, reference.vocabSize);
    for (const { text, ids } of reference.samples) expect([...tokenizer.encode(text)], text).toEqual(ids);
  });

  it('merges the most frequent pair first', () => {
    // "ab" three times, "cd" twice; nothing else repeats.
    expect(trainBpe(['ab', 'ab', 'ab', 'cd', 'cd'], 300).merges).toEqual([
      ['a', 'b'],
      ['c', 'd'],
    ]);
  });

  it('breaks ties by the smaller ids', () => {
    expect(trainBpe(['xy', 'xy', 'ab', 'ab'], 300).merges[0]).toEqual(['a', 'b']);
  });

  it('stops when no pair stands twice', () => {
    expect(trainBpe(['abc'], 300).merges).toEqual([]);
  });

  it('does not depend on the order of texts', () => {
    const property = fc.property(fc.array(fc.string(), { maxLength: 20 }), (texts) => {
      expect(trainBpe([...texts].reverse(), 290)).toEqual(trainBpe(texts, 290));
    });
    fc.assert(property, { seed: 1 });
  });

  it('refuses a vocabulary without room for the bytes', () => {
    expect(() => trainBpe([], 100)).toThrowErrorMatchingInlineSnapshot(
      `[DataError: vocabulary size: too small; expected 259 (special tokens and 256 bytes) to 2097151, received 100. Choose a size in this range.]`,
    );
    expect(() => trainBpe([], 2 ** 22)).toThrow('vocabulary size: too large');
  });
});

describe('splitWords', () => {
  it('splits as GPT-2 does', () => {
    expect(splitWords("She's paid 12 coins,  twice!")).toEqual([
      'She',
      "'s",
      ' paid',
      ' 12',
      ' coins',
      ',',
      ' ',
      ' twice',
      '!',
    ]);
  });

  it('keeps every character', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => splitWords(text).join('') === text),
      { seed: 2 },
    );
  });
});

describe('byteCharacters', () => {
  it('stands for each byte with its own printable character', () => {
    expect(new Set(byteCharacters).size).toBe(256);
    // From GPT-2's vocabulary: space, line break, "A" and é's first byte.
    expect([32, 10, 65, 0xc3].map((byte) => byteCharacters[byte])).toEqual(['Ġ', 'Ċ', 'A', 'Ã']);
  });
});

describe('createPairQueue', () => {
  it('gives back pairs by falling count', () => {
    const property = fc.property(fc.array(fc.nat(50)), (counts) => {
      const queue = createPairQueue();
      for (const [i, count] of counts.entries()) queue.push({ left: i, right: 0, count });
      expect(counts.map(() => queue.pop()?.count)).toEqual([...counts].sort((a, b) => b - a));
      expect(queue.pop()).toBeUndefined();
    });
    fc.assert(property, { seed: 3 });
  });
});
