/** Tokenizers of every family of models: Python's ids, texts and special tokens; GPT-2's published ids. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { gpt2TokenizerJson } from '../../src/tokenizer/gpt2-files.ts';
import { createTokenizer, loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { fixture, fixturePath } from '../helpers/fixtures.ts';

interface Expected {
  cases: { text: string; ids: number[]; decoded: string }[];
  begins: number[];
  size: number;
}

const families = {
  gpt2: { adds: true, begins: false, prepends: false },
  opt: { adds: false, begins: true, prepends: false },
  'gpt-neox': { adds: true, begins: false, prepends: false },
  llama2: { adds: true, begins: true, prepends: true },
  mistral: { adds: true, begins: true, prepends: true },
  llama3: { adds: true, begins: true, prepends: false },
  qwen2: { adds: false, begins: false, prepends: false },
  smollm2: { adds: true, begins: false, prepends: false },
};

describe.each(Object.entries(families))('%s', (name, { adds, begins, prepends }) => {
  const expected = fixture<Expected>(`tokenizers/${name}.json`);
  const tokenizer = loadTokenizer(fixturePath(`tokenizers/${name}`));

  it('gives Python’s ids for hard strings', () => {
    const found = expected.cases.map(({ text }) => ({ text, ids: [...tokenizer.encode(text)] }));
    expect(found).toEqual(expected.cases.map(({ text, ids }) => ({ text, ids })));
  });

  it('gives Python’s texts for ids', () => {
    const found = expected.cases.map(({ ids }) => tokenizer.decode(ids));
    expect(found).toEqual(expected.cases.map(({ decoded }) => decoded));
  });

  it('begins sequences as its family does, has a PAD of its own, and no PAD that ends', () => {
    expect(tokenizer.bosId === null ? [] : [tokenizer.bosId]).toEqual(begins ? expected.begins : []);
    expect(tokenizer.padId).not.toBe(tokenizer.eosId);
    expect(tokenizer.addedPad).toBe(adds);
    expect(tokenizer.prependsSpace).toBe(prepends);
    if (adds) expect([tokenizer.padId, tokenizer.vocabSize]).toEqual([tokenizer.vocabSize - 1, tokenizer.vocabSize]);
    // What is written beside a checkpoint is the same tokenizer, now with its PAD.
    const again = createTokenizer(tokenizer.files, 'again');
    expect([again.padId, again.eosId, again.bosId, again.hash]).toEqual([
      tokenizer.padId,
      tokenizer.eosId,
      tokenizer.bosId,
      tokenizer.hash,
    ]);
    expect([...again.encode('The lamp.')]).toEqual([...tokenizer.encode('The lamp.')]);
  });
});

const shared = join(fixturePath('.'), '../../../shared/data/gpt2-bpe');

describe.skipIf(!existsSync(shared))('GPT-2’s own vocabulary (needs the shared folder)', () => {
  const read = (name: string): string => readFileSync(join(shared, name), 'utf8');

  it('gives the 221 published ids', () => {
    const json = gpt2TokenizerJson(read('encoder.json'), read('vocab.bpe'), ['<|endoftext|>'], shared);
    const config = JSON.stringify({ eos_token: '<|endoftext|>', pad_token: '!' });
    const tokenizer = createTokenizer({ 'tokenizer.json': json, 'tokenizer_config.json': config }, shared);
    expect(tokenizer.vocabSize).toBe(50_257);
    const golden = JSON.parse(read('gpt2_encoded_tokens.golden.json')) as { text: string; token_ids: number[] };
    expect(golden.token_ids).toHaveLength(221);
    expect([...tokenizer.encode(golden.text)]).toEqual(golden.token_ids);
    expect(tokenizer.decode(golden.token_ids)).toBe(golden.text);
  });
});
