/** Tokenizers of every family of models: Python's ids and texts for hard strings, special tokens, and what is saved. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createTokenizer, loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { fixture, fixturePath } from '../helpers/fixtures.ts';

interface Texts {
  texts: string[];
  long: [string, number][];
}

interface Golden {
  /** Ids of each text, of long ones their number and hash. */
  encoded: ({ ids: number[] } | { length: number; sha256: string })[];
  /** By the text's place, where the text of its ids is another; of long ones the hash. */
  decoded: Record<string, string>;
  pieces: { ids: number[]; text: string }[];
  withSpecialTokens: Record<string, number[]>;
}

/** What each family's files lead to: is a PAD added, does the family put BOS in front, does it prepend a space. */
const families = {
  gpt2: { adds: true, begins: false, prepends: false },
  opt: { adds: false, begins: true, prepends: false },
  'gpt-neox': { adds: true, begins: false, prepends: false },
  smollm2: { adds: true, begins: false, prepends: false },
  llama3: { adds: true, begins: true, prepends: false },
  qwen2: { adds: true, begins: false, prepends: false },
  'qwen2.5': { adds: false, begins: false, prepends: false },
  qwen3: { adds: false, begins: false, prepends: false },
  llama2: { adds: true, begins: true, prepends: true },
  tinyllama: { adds: true, begins: true, prepends: true },
  mistral: { adds: true, begins: true, prepends: true },
};

const { texts, long } = fixture<Texts>('tokenizers/texts.json');
const all = [...texts, ...long.map(([piece, times]) => piece.repeat(times))];
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const shown = (text: string): string => (text.length > 60 ? `${text.slice(0, 20)}… (${text.length})` : text);

describe.each(Object.entries(families))('%s', (name, { adds, begins, prepends }) => {
  const golden = fixture<Golden>(`tokenizers/${name}/golden.json`);
  const tokenizer = loadTokenizer(fixturePath(`tokenizers/${name}`));

  it('gives Python’s ids for hard strings', () => {
    const found = all.map((text, i) => {
      const ids = [...tokenizer.encode(text)];
      const isLong = !('ids' in (golden.encoded[i] ?? {}));
      return { text: shown(text), ...(isLong ? { length: ids.length, sha256: sha256(ids.join(',')) } : { ids }) };
    });
    expect(found).toEqual(all.map((text, i) => ({ text: shown(text), ...golden.encoded[i] })));
  });

  it('gives Python’s texts for the ids of texts', () => {
    const found = all.map((text) => tokenizer.decode(tokenizer.encode(text)));
    const expected = all.map((text, i) => golden.decoded[i] ?? text);
    expect(found.map((text, i) => (expected[i]?.length === 64 && text.length > 64 ? sha256(text) : text))).toEqual(
      expected,
    );
  });

  it('gives Python’s texts for ids that are no text: cut characters, lone bytes, special tokens', () => {
    expect(golden.pieces.map(({ ids }) => ({ ids, text: tokenizer.decode(ids) }))).toEqual(golden.pieces);
  });

  it('begins sequences as its family does', () => {
    const start = tokenizer.bosId === null ? [] : [tokenizer.bosId];
    for (const [text, ids] of Object.entries(golden.withSpecialTokens)) {
      expect([...start, ...tokenizer.encode(text)]).toEqual(ids);
    }
    expect(tokenizer.bosId !== null).toBe(begins);
    expect(tokenizer.prependsSpace).toBe(prepends);
  });

  it('has a PAD of its own, and no PAD that ends', () => {
    expect(tokenizer.padId).not.toBe(tokenizer.eosId);
    expect(tokenizer.addedPad).toBe(adds);
    if (adds) expect(tokenizer.padId).toBe(tokenizer.vocabSize - 1);
  });

  it('is the same tokenizer when its files are read again', () => {
    const again = createTokenizer(tokenizer.files, 'again');
    const { padId, eosId, bosId, hash, vocabSize } = tokenizer;
    expect(again).toMatchObject({ padId, eosId, bosId, hash, vocabSize, addedPad: false });
    expect([...again.encode('The lamp.')]).toEqual([...tokenizer.encode('The lamp.')]);
  });
});

describe('any text comes back', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.string({ unit: 'grapheme', maxLength: 40 }),
    fc.array(fc.constantFrom(...texts), { maxLength: 4 }).map((parts) => parts.join('')),
  );

  it.each(['gpt2', 'opt', 'smollm2', 'llama3'])('as it is: %s', (name) => {
    const tokenizer = loadTokenizer(fixturePath(`tokenizers/${name}`));
    fc.assert(
      fc.property(text, (value) => tokenizer.decode(tokenizer.encode(value)) === value),
      { seed: 1, numRuns: 200 },
    );
  });

  it.each(['gpt-neox', 'qwen2', 'qwen3'])('composed, as NFC writes it: %s', (name) => {
    const tokenizer = loadTokenizer(fixturePath(`tokenizers/${name}`));
    fc.assert(
      fc.property(text, (value) => tokenizer.decode(tokenizer.encode(value)) === value.normalize('NFC')),
      { seed: 1, numRuns: 200 },
    );
  });

  it.each(['llama2', 'tinyllama'])('with a space for every "▁": %s', (name) => {
    const tokenizer = loadTokenizer(fixturePath(`tokenizers/${name}`));
    fc.assert(
      fc.property(text, (value) => tokenizer.decode(tokenizer.encode(value)) === value.replaceAll('▁', ' ')),
      { seed: 1, numRuns: 200 },
    );
  });
});
