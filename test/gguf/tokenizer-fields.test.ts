import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { tokenizerFields } from '../../src/gguf/tokenizer-fields.ts';
import { llama2cTokenizerFiles } from '../../src/tokenizer/llama2c-files.ts';
import { createTokenizer, loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import type { TokenizerFiles } from '../../src/tokenizer/tokenizer-files.ts';
import { problemsOf } from '../helpers/temporary-folder.ts';

const fixtures = fileURLToPath(new URL('../fixtures/', import.meta.url));

type Fields = Record<string, unknown>;
const converted = JSON.parse(readFileSync(`${fixtures}gguf/converted.json`, 'utf8')) as {
  tokenizers: Record<string, Fields>;
};

/** The metadata of one of test/fixtures/tokenizers, without "tokenizer.ggml.". */
function fieldsOf(name: string, rows: number): { fields: Fields; notes: readonly string[] } {
  const folder = `${fixtures}tokenizers/${name}`;
  const { fields, notes } = tokenizerFields(loadTokenizer(folder), rows, name);
  return {
    fields: Object.fromEntries(fields.map(([key, { value }]) => [key.replace('tokenizer.ggml.', ''), value])),
    notes,
  };
}

describe('a tokenizer as metadata of GGUF', () => {
  it.each(Object.entries(converted.tokenizers))("is that of llama.cpp's own converter: %s", (name, expected) => {
    const { fields } = fieldsOf(name, (expected.tokens as unknown[]).length);
    const { padding_token_id: _, ...own } = expected;
    expect(fields).toMatchObject(own);
  });

  it('writes no PAD that was added here, and its own EOS where there is no BOS', () => {
    const { fields } = fieldsOf('qwen2', 1000);
    expect(fields).not.toHaveProperty('padding_token_id');
    expect(fields).toMatchObject({ bos_token_id: fields.eos_token_id, add_bos_token: false, add_eos_token: false });
  });

  /** Pieces as SentencePiece finds them: the better the score, the earlier the pair is joined. */
  const pieces = [
    '<unk>',
    '<s>',
    '</s>',
    ...Array.from({ length: 256 }, () => ''),
    'at',
    ' at',
    'the',
    'th',
    ' t',
    'he',
    ' the',
    ' ',
    'a',
    't',
    'h',
    'e',
  ];
  const sentencePiece = (): TokenizerFiles => {
    const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
    const scored = pieces.map((text, id) => ({
      text: id < 3 || id > 258 ? text : (bytes[id - 3] ?? ''),
      score: id < 259 ? 0 : 259 - id,
    }));
    return llama2cTokenizerFiles(scored, 64, 'pieces');
  };
  const padded = (files: TokenizerFiles): TokenizerFiles => {
    return {
      ...files,
      'tokenizer_config.json': JSON.stringify({ ...JSON.parse(files['tokenizer_config.json']), pad_token: '<unk>' }),
    };
  };

  it('writes scores in the order of the pieces where merges came from such scores', () => {
    const { fields } = tokenizerFields(createTokenizer(padded(sentencePiece()), 'x'), pieces.length + 1, 'here');
    const by = Object.fromEntries(
      fields.map(([key, { value }]) => [key.replace('tokenizer.ggml.', ''), value]),
    ) as Record<string, number[]>;
    const order = pieces
      .map((_, id) => id)
      .slice(259)
      .sort((a, b) => (by.scores?.[b] ?? 0) - (by.scores?.[a] ?? 0));
    expect(order).toEqual(pieces.map((_, id) => id).slice(259));
    expect(by).toMatchObject({ model: 'llama', pre: 'default', add_space_prefix: true, add_bos_token: true });
    // Unknown, two control tokens, the bytes, then pieces, and a row without a token.
    expect([...(by.token_type ?? []).slice(0, 4), ...(by.token_type ?? []).slice(258)]).toEqual([
      2,
      3,
      3,
      6,
      6,
      ...Array(12).fill(1),
      5,
    ]);
  });

  it('says what llama.cpp does not do', () => {
    expect(fieldsOf('gpt2', 1000).notes).toEqual([]);
    expect(fieldsOf('qwen3', 1000).notes).toEqual([
      'llama.cpp does not bring texts into Unicode’s NFC first, as this tokenizer does',
    ]);
  });

  const base = loadTokenizer(fileURLToPath(new URL('../../data/base', import.meta.url)));
  const changed = (change: (file: Record<string, unknown>) => void): ReturnType<typeof createTokenizer> => {
    const file = JSON.parse(base.files['tokenizer.json']) as Record<string, unknown>;
    change(file);
    return createTokenizer({ ...base.files, 'tokenizer.json': JSON.stringify(file) }, 'changed');
  };
  const split = { type: 'Split', pattern: { Regex: '\\s+' }, behavior: 'Isolated', invert: false };

  it.each([
    [
      'pre_tokenizer',
      split,
      'pre_tokenizer: Split is none of those that are the same in llama.cpp (gpt-2, smollm, llama-bpe, qwen2).',
    ],
    ['pre_tokenizer', { type: 'ByteLevel', add_prefix_space: true }, 'pre_tokenizer: ByteLevel is none of those'],
    ['normalizer', { type: 'Lowercase' }, 'normalizer: llama.cpp has none for BPE, received Lowercase.'],
    ['decoder', { type: 'Fuse' }, 'decoder: expected ByteLevel, received Fuse.'],
  ])('refuses another %s: %j', async (key, part, problem) => {
    const tokenizer = changed((file) => Object.assign(file, { [key]: part }));
    const problems = await problemsOf(() => tokenizerFields(tokenizer, base.vocabSize, 'here'), '');
    expect(problems).toEqual([expect.stringContaining(`here: ${problem}`)]);
    expect(problems[0]).toMatch(/A GGUF file of it would give other tokens\.$/);
  });

  it('refuses words that are kept from merging under a name that merges them', async () => {
    const tokenizer = changed((file) =>
      Object.assign(file, { model: { ...(file.model as object), ignore_merges: true } }),
    );
    expect(await problemsOf(() => tokenizerFields(tokenizer, base.vocabSize, 'here'), '')).toHaveLength(1);
  });

  it('refuses a tokenizer that puts spaces in front otherwise than llama.cpp', async () => {
    expect(await problemsOf(() => fieldsOf('mistral', 2000), '')).toEqual([
      expect.stringContaining('normalizer: expected Prepend and Replace of spaces, received none.'),
      expect.stringContaining(
        'pre_tokenizer: expected none, received Metaspace (llama.cpp puts a space in front of every section',
      ),
    ]);
  });

  it('refuses merges that follow no scores', async () => {
    const whole = padded(sentencePiece());
    const file = JSON.parse(whole['tokenizer.json']) as { model: { merges: unknown[] } };
    file.model.merges.pop();
    const files = { ...whole, 'tokenizer.json': JSON.stringify(file) };
    const problems = await problemsOf(() => tokenizerFields(createTokenizer(files, 'x'), 600, 'here'), '');
    expect(problems).toEqual(['here: its merges follow no scores, which llama.cpp merges by. Use another tokenizer.']);
  });
});
