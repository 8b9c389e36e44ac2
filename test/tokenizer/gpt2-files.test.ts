/**
 * GPT-2's own vocabulary: its published ids. Needs encoder.json, vocab.bpe and gpt2_encoded_tokens.golden.json in
 * $PLUMBLINE_GPT2_BPE or ../shared/data/gpt2-bpe; skipped where they are not. Errors of the converter.
 */
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { gpt2TokenizerJson } from '../../src/tokenizer/gpt2-files.ts';
import { createTokenizer, loadTokenizer } from '../../src/tokenizer/tokenizer.ts';

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
    const json = gpt2TokenizerJson(read('encoder.json'), read('vocab.bpe'), ['<|endoftext|>'], shared);
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

describe('gpt2TokenizerJson', () => {
  it('says which file is wrong', () => {
    expect(() => gpt2TokenizerJson('{', '', [], 'old')).toThrow('old/vocab.json: is not JSON');
    expect(() => gpt2TokenizerJson('{"a":0,"b":1}', '#version: 0.2\na b\na b c\n', [], 'old')).toThrow(
      'old/merges.txt: expected two parts in every line, received "a b c". Copy the file again.',
    );
  });

  it('gives special tokens that the vocabulary lacks the next ids', () => {
    const json = JSON.parse(gpt2TokenizerJson('{"a":0,"b":1}', 'a b\n', ['b', '<x>'], 'old'));
    expect(json.added_tokens.map(({ id, content }: { id: number; content: string }) => [id, content])).toEqual([
      [1, 'b'],
      [2, '<x>'],
    ]);
  });
});
