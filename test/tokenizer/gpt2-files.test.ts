/**
 * GPT-2's own vocabulary: its published ids. Needs encoder.json, vocab.bpe and gpt2_encoded_tokens.golden.json in
 * $PLUMBLINE_GPT2_BPE or ../shared/data/gpt2-bpe; skipped where they are not. Errors of the converter.
 */
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { gpt2TokenizerJson } from '../../src/tokenizer/gpt2-files.ts';
import { createTokenizer, loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { fixturePath } from '../helpers/fixtures.ts';
import { useTemporaryFolder } from '../helpers/temporary-folder.ts';

const shared =
  process.env.PLUMBLINE_GPT2_BPE ?? fileURLToPath(new URL('../../../shared/data/gpt2-bpe', import.meta.url));
const needed = ['encoder.json', 'vocab.bpe', 'gpt2_encoded_tokens.golden.json'];
const missing = needed.filter((name) => !existsSync(join(shared, name)));
// The default reporter hides the names of skipped tests, so that this would otherwise go unseen.
if (missing.length > 0) {
  process.stderr.write(`gpt2-files skipped: no ${missing.join(', ')} in ${shared}. Set PLUMBLINE_GPT2_BPE.\n`);
}

describe.skipIf(missing.length > 0)('GPT-2’s own vocabulary', () => {
  const read = (name: string): string => readFileSync(join(shared, name), 'utf8');
  const golden = missing.length > 0 ? { text: '', token_ids: [] } : JSON.parse(read('gpt2_encoded_tokens.golden.json'));

  it('gives the 221 published ids', () => {
    const json = gpt2TokenizerJson(
      { vocab: read('encoder.json'), merges: read('vocab.bpe'), special: ['<|endoftext|>'] },
      shared,
    );
    const config = JSON.stringify({ eos_token: '<|endoftext|>', pad_token: '!' });
    const tokenizer = createTokenizer({ 'tokenizer.json': json, 'tokenizer_config.json': config }, shared);
    expect(tokenizer.vocabSize).toBe(50_257);
    expect(golden.token_ids).toHaveLength(221);
    expect([...tokenizer.encode(golden.text)]).toEqual(golden.token_ids);
    expect(tokenizer.decode(golden.token_ids)).toBe(golden.text);
  });

  it('loads from an old repository that has vocab.json and merges.txt alone', () => {
    const folder = mkdtempSync(join(tmpdir(), 'gpt2-'));
    copyFileSync(join(shared, 'encoder.json'), join(folder, 'vocab.json'));
    copyFileSync(join(shared, 'vocab.bpe'), join(folder, 'merges.txt'));
    const tokenizer = loadTokenizer(folder);
    expect(tokenizer).toMatchObject({ eosId: 50_256, bosId: null, padId: 50_257, vocabSize: 50_258, addedPad: true });
    expect([...tokenizer.encode(golden.text)]).toEqual(golden.token_ids);
    rmSync(folder, { recursive: true });
  });
});

describe('a folder with vocab.json and merges.txt', () => {
  const inFolder = useTemporaryFolder();
  const { model } = JSON.parse(readFileSync(fixturePath('tokenizers/gpt2/tokenizer.json'), 'utf8')) as {
    model: { vocab: Record<string, number>; merges: (string | string[])[] };
  };
  const end = '<|endoftext|>';
  const config = { tokenizer_class: 'GPT2Tokenizer', bos_token: end, eos_token: end, unk_token: end };
  const added = { '<|user|>': 1000, '<|assistant|>': 1001, '[PAD]': 1002 };
  const load = (lineBreak: string, more: Record<string, object>) => {
    const merges = model.merges.map((pair) => (typeof pair === 'string' ? pair : pair.join(' ')));
    writeFileSync(inFolder('merges.txt'), ['#version: 0.2', ...merges, ''].join(lineBreak));
    const files = { 'vocab.json': model.vocab, 'tokenizer_config.json': config, ...more };
    for (const [name, value] of Object.entries(files)) writeFileSync(inFolder(name), JSON.stringify(value));
    return loadTokenizer(inFolder());
  };
  // What transformers 5.23 makes of these files.
  const lamp = [51, 71, 68, 220, 447, 220, 286, 220, 71, 323, 68];

  it('is the same tokenizer whatever ends its lines', () => {
    for (const lineBreak of ['\n', '\r\n']) expect([...load(lineBreak, {}).encode('The lamp is here')]).toEqual(lamp);
  });

  it('has the tokens of added_tokens.json, with their ids', () => {
    const named = { 'tokenizer_config.json': { ...config, pad_token: '[PAD]' }, 'added_tokens.json': added };
    const tokenizer = load('\n', named);
    expect(tokenizer).toMatchObject({ vocabSize: 1003, padId: 1002, eosId: 999, addedPad: false });
    const ids = [...lamp, 1000, 220, 71, 72, 220, 1001];
    expect([...tokenizer.encode('The lamp is here<|user|> hi <|assistant|>')]).toEqual(ids);
    expect(tokenizer.decode([...ids, 1002])).toBe('The lamp is here<|user|> hi <|assistant|>');
    // Without a PAD among them ours comes after them.
    expect(load('\n', { 'added_tokens.json': added, 'tokenizer_config.json': config })).toMatchObject({
      ...{ padId: 1003, vocabSize: 1004, addedPad: true },
    });
  });

  it('finds them as added_tokens_decoder says', () => {
    const token = (content: string) => ({ content, lstrip: false, single_word: false, normalized: false });
    const decoder = {
      1000: { ...token('<|user|>'), rstrip: true, special: false },
      1001: { ...token('<|assistant|>'), rstrip: false, special: true },
      1002: { ...token('[PAD]'), rstrip: false, special: true },
    };
    const named = { ...config, pad_token: '[PAD]', added_tokens_decoder: decoder };
    const tokenizer = load('\n', { 'tokenizer_config.json': named, 'added_tokens.json': added });
    const ids = [...lamp, 1000, 71, 72, 220];
    expect([...tokenizer.encode('The lamp is here<|user|> hi ')]).toEqual(ids);
    expect(tokenizer.decode([...ids, 1001])).toBe('The lamp is here<|user|>hi ');
  });

  it('is refused where an added token has the id of another, or none', () => {
    const refuse = (tokens: object) => () => load('\n', { 'added_tokens.json': tokens });
    expect(refuse({ '<x>': 3 })).toThrow(/the added token "<x>" has id 3, and so has ".+"; expected an id of its own/);
    expect(refuse({ [end]: 1000 })).toThrow(/has id 1000, and 999 in vocab\.json; expected an id of its own/);
    expect(refuse({ '<x>': 'a' })).toThrow(/an added token is .*; expected a text and a whole number/);
  });
});

describe('gpt2TokenizerJson', () => {
  const vocab = '{"a":0,"b":1}';

  it('says which file is wrong', () => {
    expect(() => gpt2TokenizerJson({ vocab: '{', merges: '', special: [] }, 'old')).toThrow(
      'old/vocab.json: is not JSON',
    );
    expect(() => gpt2TokenizerJson({ vocab, merges: '#version: 0.2\na b\na b c\n', special: [] }, 'old')).toThrow(
      'old/merges.txt: expected two parts in every line, received "a b c". Copy the file again.',
    );
  });

  it('gives special tokens that the vocabulary lacks the next ids', () => {
    const json = JSON.parse(gpt2TokenizerJson({ vocab, merges: 'a b\n', special: ['b', '<x>'] }, 'old'));
    expect(json.added_tokens.map(({ id, content }: { id: number; content: string }) => [id, content])).toEqual([
      [1, 'b'],
      [2, '<x>'],
    ]);
  });
});
