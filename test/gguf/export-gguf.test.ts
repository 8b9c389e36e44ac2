import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { exportGguf } from '../../src/gguf/export-gguf.ts';
import { byteCharacters } from '../../src/tokenizer/bytes.ts';
import { tokenizerFiles } from '../../src/tokenizer/tokenizer-files.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { parseGguf, sha256 } from './parse-gguf.ts';

const fixtures = fileURLToPath(new URL('../fixtures/', import.meta.url));

interface Converted {
  readonly families: Readonly<Record<string, { fields: object; tensors: Record<string, [string, number[], string]> }>>;
}
const converted = JSON.parse(readFileSync(`${fixtures}gguf/converted.json`, 'utf8')) as Converted;

const path = useTemporaryFolder();

/** A checkpoint of test/fixtures/families with a tokenizer that its 61 rows have room for. */
function checkpoint(family: string, change: (config: Record<string, unknown>) => object = (config) => config): string {
  const folder = path('checkpoint');
  mkdirSync(folder);
  cpSync(`${fixtures}families/${family}`, folder, { recursive: true });
  const config = JSON.parse(readFileSync(`${folder}/config.json`, 'utf8')) as Record<string, unknown>;
  writeFileSync(`${folder}/config.json`, JSON.stringify(change(config)));
  const tokens = ['<|pad|>', '<|bos|>', '<|eos|>', ...byteCharacters.slice(32, 82)];
  for (const [name, text] of Object.entries(tokenizerFiles({ tokens, merges: [] }, 96))) {
    writeFileSync(`${folder}/${name}`, text);
  }
  return folder;
}

describe('a checkpoint as a GGUF file', () => {
  // qwen2 and mistral have windows, llama-yarn's file says 96 in both: their lengths are below.
  it.each(
    Object.keys(converted.families),
  )("has the tensors and sizes of llama.cpp's own converter: %s", async (family) => {
    // Our small Gemmas have another root than any that llama.cpp has in its code.
    const usual = (config: Record<string, unknown>): object => ({ ...config, query_pre_attn_scalar: config.head_dim });
    await exportGguf(
      checkpoint(family, family.startsWith('gemma') ? usual : undefined),
      'F16',
      path('model.gguf'),
      family,
    );
    const { fields, tensors } = parseGguf(path('model.gguf'));
    const expected = converted.families[family] as Converted['families'][string];
    // The converter says 4 · n_embd whatever n_inner is; lengths are below.
    const own = /^gpt2\.feed_forward_length$|\.context_length$/;
    expect(fields).toMatchObject(Object.fromEntries(Object.entries(expected.fields).filter(([key]) => !own.test(key))));
    const found = Object.entries(tensors).map(([name, { type, shape, bytes }]) => {
      return [name, [type === 0 ? 'F32' : 'F16', shape, sha256(bytes)]];
    });
    expect(Object.fromEntries(found)).toEqual(expected.tensors);
  });

  it.each([
    ['gpt2', 'gpt2', 96, []],
    ['llama-yarn', 'llama', 96, []],
    [
      'llama-dynamic',
      'llama',
      10,
      ['context_length is 10 of 80: llama.cpp reads this family without dynamic scaling of positions'],
    ],
    ['mistral', 'llama', 4, ['context_length is 4 of 96: llama.cpp reads this family without sliding windows']],
    [
      'phi3',
      'phi3',
      5,
      [
        'context_length is 5 of 96: llama.cpp reads this family without sliding windows',
        'llama.cpp chooses between short and long factors by the size of its context, not by the length of a text',
      ],
    ],
    ['gpt-neox', 'gptneox', 96, ['llama.cpp computes GELU by its tanh form, this model has the exact one']],
  ])('says how long it is exact: %s', async (family, architecture, context, notes) => {
    const exported = await exportGguf(checkpoint(family), 'BF16', path('model.gguf'), family);
    expect(exported.notes).toEqual(notes);
    expect(parseGguf(path('model.gguf')).fields[`${architecture}.context_length`]).toBe(context);
  });

  it('keeps rows that are no multiple of 32 in F16 where Q8_0 is asked for', async () => {
    const { notes } = await exportGguf(checkpoint('gpt-neox'), 'Q8_0', path('model.gguf'), 'x');
    const { fields, tensors } = parseGguf(path('model.gguf'));
    expect(fields['general.file_type']).toBe(7);
    expect(tensors['blk.0.attn_qkv.weight']).toMatchObject({ type: 8, shape: [96, 32] });
    expect(tensors['blk.0.ffn_down.weight']).toMatchObject({ type: 1, shape: [32, 40] });
    expect(tensors['blk.0.ffn_down.bias']).toMatchObject({ type: 0, shape: [32] });
    expect(notes.at(-1)).toBe('2 matrices whose rows are no multiple of 32 are F16: blk.0.ffn_down.weight and so on');
  });

  it('writes the embedding as the head of a GPT-NeoX whose head is tied', async () => {
    const folder = checkpoint('gpt-neox', (config) => ({ ...config, tie_word_embeddings: true }));
    // The file's own head stands beside it and differs.
    expect(await problemsOf(() => exportGguf(folder, 'F16', path('model.gguf'), 'x'), path())).toEqual([
      expect.stringContaining('differs from the embedding'),
    ]);
    expect(readdirSync(path())).toEqual(['checkpoint']);
  });

  it.each([
    [
      'opt',
      {},
      'llama.cpp has no architecture for opt; expected one of llama, mistral, qwen2, qwen3, gemma2, gemma3_text, phi3, gpt2, gpt_neox.',
    ],
    [
      'gpt-neo',
      {},
      'llama.cpp has no architecture for gpt_neo; expected one of llama, mistral, qwen2, qwen3, gemma2, gemma3_text, phi3, gpt2, gpt_neox.',
    ],
    ['gemma2', {}, "query_pre_attn_scalar: 6; llama.cpp's gemma2 cannot have that."],
    ['gemma3', {}, "query_pre_attn_scalar: 6; llama.cpp's gemma3 cannot have that."],
    [
      'gemma2',
      { query_pre_attn_scalar: 8, layer_types: ['full_attention', 'sliding_attention'] },
      "layer_types in this order; llama.cpp's gemma2 cannot have that.",
    ],
    [
      'gemma2',
      { query_pre_attn_scalar: 8, final_logit_softcapping: null },
      "final_logit_softcapping: null; llama.cpp's gemma2 cannot have that.",
    ],
    [
      'qwen2',
      { rope_scaling: { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4 } },
      "rope_scaling: llama3; llama.cpp's qwen2 cannot have that.",
    ],
    ['gpt2', { activation_function: 'relu' }, "activation: relu; llama.cpp's gpt2 cannot have that."],
    ['qwen3', { attention_bias: true }, "attention_bias; llama.cpp's qwen3 cannot have that."],
    ['gpt-neox', { attention_bias: false }, "attention_bias: false; llama.cpp's gptneox cannot have that."],
    [
      'llama-yarn',
      { rope_scaling: { rope_type: 'yarn', factor: 4, truncate: false } },
      "rope_scaling: yarn without truncate; llama.cpp's llama cannot have that.",
    ],
    [
      'llama2',
      { architectures: ['LlamaForSequenceClassification'] },
      'is a reward model; expected a language model, as llama.cpp gives tokens and no scores. Name the policy or the instruct model.',
    ],
  ])('refuses %s with %j', async (family, fields, problem) => {
    const folder = checkpoint(family, (config) => ({ ...config, ...fields }));
    const problems = await problemsOf(() => exportGguf(folder, 'F16', path('model.gguf'), 'x'), path());
    expect(problems).toEqual([`checkpoint: ${problem}`]);
    expect(existsSync(path('model.gguf'))).toBe(false);
  });

  it('leaves nothing behind where a weight is beyond the type, and says which type holds it', async () => {
    const folder = checkpoint('llama2');
    const file = readFileSync(`${folder}/model.safetensors`);
    const start = 8 + Number(file.readBigUInt64LE(0));
    const header = JSON.parse(file.toString('utf8', 8, start)) as Record<string, { data_offsets: [number, number] }>;
    file.writeFloatLE(65_521, start + (header['model.layers.1.mlp.up_proj.weight']?.data_offsets[0] ?? 0) + 8);
    writeFileSync(`${folder}/model.safetensors`, file);
    const problems = await problemsOf(() => exportGguf(folder, 'F16', path('model.gguf'), 'x'), path());
    expect(problems).toEqual([
      'tensor "blk.1.ffn_up.weight": element 2 is 65521; F16 holds numbers up to 65,504. Export with --type bf16.',
    ]);
    expect(readdirSync(path())).toEqual(['checkpoint']);
    await exportGguf(folder, 'BF16', path('model.gguf'), 'x');
  });
});
