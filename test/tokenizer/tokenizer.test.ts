import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { hashText } from '../../src/files/hash.ts';
import { createTokenizer, loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import type { TokenizerFiles } from '../../src/tokenizer/tokenizer-files.ts';
import { byteTokenizer, trainedTokenizer } from './tiny-tokenizer.ts';

const folder = mkdtempSync(join(tmpdir(), 'tokenizer-'));
afterAll(() => rmSync(folder, { recursive: true }));

const { texts } = JSON.parse(readFileSync(new URL('./fixtures/bpe-reference.json', import.meta.url), 'utf8')) as {
  texts: string[];
};
const tokenizer = trainedTokenizer(texts, 340);

/** The files of the byte tokenizer, one of them changed. */
function changed(config: Record<string, unknown>, json: Record<string, unknown> = {}): TokenizerFiles {
  const { files } = byteTokenizer();
  const merge = (text: string, change: Record<string, unknown>) => JSON.stringify({ ...JSON.parse(text), ...change });
  return {
    'tokenizer.json': merge(files['tokenizer.json'], json),
    'tokenizer_config.json': merge(files['tokenizer_config.json'], config),
  };
}

describe('encode and decode', () => {
  it('give back any well-formed text', () => {
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }), fc.constantFrom(...texts));
    fc.assert(
      fc.property(text, (value) => tokenizer.decode(tokenizer.encode(value)) === value),
      { seed: 1, numRuns: 500 },
    );
  });

  it('give the same ids on a second reading, when the words are known', () => {
    const [text] = texts;
    expect(tokenizer.encode(text!)).toEqual(tokenizer.encode(text!));
  });

  it('use the pinned ids for special tokens, and add none', () => {
    expect([tokenizer.padId, tokenizer.bosId, tokenizer.eosId]).toEqual([0, 1, 2]);
    expect([...byteTokenizer().encode('!"')]).toEqual([3, 4]); // "!" is the first printable byte
  });

  it('never read a special token out of a text', () => {
    const ids = tokenizer.encode('one<|eos|>two<|pad|>');
    expect([...ids].every((id) => id > 2)).toBe(true);
    expect(tokenizer.decode(ids)).toBe('one<|eos|>two<|pad|>');
  });

  it('leave special tokens and ids outside the vocabulary out of decoded text', () => {
    const ids = [1, ...tokenizer.encode('the cat'), 2, 0, 0, 99_999, -1];
    expect(tokenizer.decode(ids)).toBe('the cat');
    expect(tokenizer.decode([0, 2])).toBe('');
    expect(tokenizer.decode(new Int32Array())).toBe('');
  });

  it('do not tidy spaces before punctuation', () => {
    expect(tokenizer.decode(tokenizer.encode("well , it 's so ."))).toBe("well , it 's so .");
  });

  it('show incomplete characters as U+FFFD', () => {
    expect(byteTokenizer().decode(byteTokenizer().encode('é').subarray(0, 1))).toBe('\uFFFD');
  });

  it('name tokens in the spelling of the vocabulary', () => {
    expect(tokenizer.token(2)).toBe('<|eos|>');
    expect(tokenizer.token(tokenizer.encode(' the')[0]!)).toBe('Ġthe');
    expect(tokenizer.token(5000)).toBe('<5000>');
  });

  it('change texts as the normalizer says', () => {
    const files = changed({}, { normalizer: { type: 'Lowercase' } });
    const lower = createTokenizer(files, 'tiny');
    expect(lower.decode(lower.encode('The CAT'))).toBe('the cat');
  });
});

describe('loadTokenizer', () => {
  const write = (name: string, files: Partial<TokenizerFiles>): string => {
    const path = join(folder, name);
    mkdirSync(path);
    for (const [file, text] of Object.entries(files)) writeFileSync(join(path, file), text);
    return path;
  };
  const message = (path: string): string => {
    try {
      loadTokenizer(path);
    } catch (error) {
      return String(error).replaceAll(folder, '');
    }
    return 'no error';
  };

  it('reads the files that were written', () => {
    const loaded = loadTokenizer(write('good', tokenizer.files));
    expect(loaded.vocabSize).toBe(340);
    expect(loaded.encode(texts[0]!)).toEqual(tokenizer.encode(texts[0]!));
    expect(loaded.hash).toBe(hashText(tokenizer.files['tokenizer.json']));
    expect(loaded.files).toEqual(tokenizer.files);
  });

  it('reads special tokens written as objects, and a tokenizer without BOS', () => {
    const loaded = loadTokenizer(write('objects', changed({ eos_token: { content: '<|eos|>' }, bos_token: null })));
    expect([loaded.padId, loaded.bosId, loaded.eosId]).toEqual([0, null, 2]);
  });

  it('says which file is missing', () => {
    expect(message(join(folder, 'nowhere'))).toMatchInlineSnapshot(
      `"DataError: /nowhere/tokenizer.json: the file is missing; expected a Hugging Face tokenizer folder. Name a folder with tokenizer.json (or vocab.json and merges.txt) and tokenizer_config.json, or run node --import tsx scripts/train-tokenizer.ts."`,
    );
    const half = write('half', { 'tokenizer.json': tokenizer.files['tokenizer.json'] });
    expect(message(half)).toContain('/half/tokenizer_config.json: no eos_token');
  });

  it('says which file is damaged', () => {
    const text = tokenizer.files['tokenizer.json'];
    const cut = write('cut', { ...tokenizer.files, 'tokenizer.json': text.slice(0, text.length / 2) });
    expect(message(cut)).toMatch(
      /^DataError: \/cut\/tokenizer\.json: not readable; expected a JSON object \(.*\)\. Copy/,
    );
    const list = write('list', { ...tokenizer.files, 'tokenizer_config.json': '[]' });
    expect(message(list)).toContain(
      '/list/tokenizer_config.json: not readable; expected a JSON object (it is not an object)',
    );
    const odd = write('odd', { ...tokenizer.files, 'tokenizer.json': '{"added_tokens": [], "model": {}}' });
    expect(message(odd)).toContain(
      '/odd/tokenizer.json model.vocab: expected tokens with their ids. Copy the file again.',
    );
  });

  it('gives a tokenizer whose PAD is its EOS a PAD of its own, after every other id', () => {
    const tokenizer = loadTokenizer(write('same', changed({ pad_token: '<|eos|>' })));
    // The name is taken: the token that has it is the PAD.
    expect([tokenizer.padId, tokenizer.eosId, tokenizer.addedPad]).toEqual([0, 2, false]);
  });

  it('refuses a tokenizer without EOS', () => {
    expect(message(write('none', changed({ pad_token: null, eos_token: '<nothing>' })))).toMatchInlineSnapshot(
      `"DataError: /none/tokenizer_config.json: no eos_token; expected the text of a token of the vocabulary, received none. Add "eos_token" to tokenizer_config.json and its token to tokenizer.json."`,
    );
  });
});
