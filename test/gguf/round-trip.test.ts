/** What is exported is read again: the same weights, as far as the type holds them, and the same tokens. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { huggingFaceConfig, readModelConfig } from '../../src/checkpoint/model-config.ts';
import { openWeightFiles, writeWeightFiles } from '../../src/checkpoint/weight-files.ts';
import { fileTensors } from '../../src/checkpoint/weight-names.ts';
import { exportGguf } from '../../src/gguf/export-gguf.ts';
import { importGguf } from '../../src/gguf/import-gguf.ts';
import { llamaStyle } from '../../src/model/dimensions.ts';
import { parameterSpecs } from '../../src/model/parameter-table.ts';
import { bfloat16Values, halfValues, toBfloat16, toHalf } from '../../src/tensor/half-precision.ts';
import { byteCharacters } from '../../src/tokenizer/bytes.ts';
import { llama2cTokenizerFiles } from '../../src/tokenizer/llama2c-files.ts';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import type { TokenizerFiles } from '../../src/tokenizer/tokenizer-files.ts';
import { tokenizerFiles } from '../../src/tokenizer/tokenizer-files.ts';
import { useTemporaryFolder } from '../helpers/temporary-folder.ts';

const fixtures = fileURLToPath(new URL('../fixtures/', import.meta.url));
const path = useTemporaryFolder();
const quiet = { dtype: 'float32', say: () => {}, wrote: () => {} } as const;

/** A checkpoint with a tokenizer, exported and imported again into `path('back')`. */
async function thereAndBack(family: string, type: 'F16' | 'BF16', config: object): Promise<void> {
  const folder = path('there');
  mkdirSync(folder);
  mkdirSync(path('back'));
  cpSync(`${fixtures}families/${family}`, folder, { recursive: true });
  const fields = JSON.parse(readFileSync(`${folder}/config.json`, 'utf8')) as object;
  writeFileSync(`${folder}/config.json`, JSON.stringify({ ...fields, ...config }));
  const tokens = ['<|pad|>', '<|bos|>', '<|eos|>', ...byteCharacters.slice(32, 82)];
  const files = tokenizerFiles({ tokens, merges: [] }, 96);
  for (const [name, text] of Object.entries(files)) writeFileSync(`${folder}/${name}`, text);
  await exportGguf(folder, type, path('model.gguf'), family);
  importGguf(path('model.gguf'), path('back'), quiet);
}

/** Of Llama 3.2. */
const LLAMA_3_2 = {
  rope_type: 'llama3',
  rope_theta: 500_000,
  factor: 32,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 8192,
};

const rounded = {
  F16: (values: Float32Array) => halfValues(toHalf(values)),
  BF16: (values: Float32Array) => bfloat16Values(toBfloat16(values)),
};

describe('a checkpoint, exported and imported', () => {
  it.each([
    ['llama2', 'F16', {}],
    ['llama-biases', 'F16', {}],
    ['llama-yarn', 'BF16', {}],
    ['llama-linear', 'F16', {}],
    // What a file's divisors of frequencies were computed from is recognized where it was published.
    ['llama3', 'F16', { rope_parameters: LLAMA_3_2 }],
    ['qwen2', 'F16', { use_sliding_window: false }],
    ['qwen3', 'BF16', {}],
    ['gpt2', 'F16', {}],
    ['gpt-neox', 'F16', {}],
    ['gemma2', 'F16', { query_pre_attn_scalar: 8 }],
    [
      'gemma3',
      'BF16',
      { query_pre_attn_scalar: 8, layer_types: undefined, num_hidden_layers: 3, sliding_window_pattern: 2 },
    ],
    ['phi3', 'F16', { sliding_window: null }],
  ] as const)('has its dimensions and its weights, rounded: %s', async (family, type, config) => {
    await thereAndBack(family, type, config);
    const read = (name: string) => readModelConfig(`${path(name)}/config.json`).dimensions;
    const near = JSON.parse(JSON.stringify(read('back')), (_, value: unknown) =>
      typeof value === 'number' ? Math.fround(value) : value,
    );
    const wanted = JSON.parse(JSON.stringify(read('there')), (_, value: unknown) =>
      typeof value === 'number' ? Math.fround(value) : value,
    );
    expect(near).toEqual(wanted);
    const [there, back] = [openWeightFiles(path('there')), openWeightFiles(path('back'))];
    for (const [name, { shape }] of back.entries) {
      const own = there.entries.has(name) ? name : name.replace(/^transformer\./, '');
      const values = there.read(own);
      // 1 + w is what is written of Gemma's norms; tables of positions stay as they are.
      const isGain = family.startsWith('gemma') && shape.length === 1;
      const kept = isGain ? values.map((value) => Math.fround(value + 1) - 1) : values;
      expect(back.read(name), name).toEqual(shape.length === 1 || /wpe/.test(name) ? kept : rounded[type](values));
    }
    there.close();
    back.close();
  });

  const texts = fc.array(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 6 }),
      fc.constantFrom(
        ' ',
        '   ',
        "'s",
        "I'LL",
        '1234',
        '\n\n',
        '\t',
        '<|eos|>',
        '<|im_start|>',
        'é',
        '中文',
        'the ',
        ' th',
        '</s>',
      ),
    ),
    { maxLength: 12 },
  );

  it.each(['base', 'gpt2', 'smollm2', 'llama3', 'qwen2.5', 'pieces'])('has its tokens: %s', async (name) => {
    writeFolder(path('there'), name);
    mkdirSync(path('back'));
    await exportGguf(path('there'), 'F16', path('model.gguf'), name);
    importGguf(path('model.gguf'), path('back'), quiet);
    const [there, back] = [loadTokenizer(path('there')), loadTokenizer(path('back'))];
    expect([back.bosId, back.eosId, back.stopIds]).toEqual([there.bosId, there.eosId, there.stopIds]);
    const isComposed = name !== 'qwen2.5';
    fc.assert(
      fc.property(texts, (parts) => {
        // GGUF cannot say that a tokenizer brings texts into NFC, which the export says.
        const text = isComposed ? parts.join('') : parts.join('').normalize('NFC');
        const ids = there.encode(text);
        expect(back.encode(text)).toEqual(ids);
        expect(back.decode(ids)).toBe(there.decode(ids));
      }),
      { numRuns: 300, seed: 13 },
    );
  });
});

/** A model of zeros that has a row for each token of a tokenizer. */
function writeFolder(folder: string, name: string): void {
  mkdirSync(folder);
  if (name === 'pieces') {
    for (const [file, text] of Object.entries(pieces())) writeFileSync(`${folder}/${file}`, text);
  } else {
    const from =
      name === 'base' ? fileURLToPath(new URL('../../data/base/', import.meta.url)) : `${fixtures}tokenizers/${name}/`;
    for (const file of ['tokenizer.json', 'tokenizer_config.json']) cpSync(`${from}${file}`, `${folder}/${file}`);
  }
  const tokenizer = loadTokenizer(folder);
  const dimensions = llamaStyle({ vocab: tokenizer.vocabSize, context: 64, layers: 1, heads: 2, dModel: 8 });
  const config = huggingFaceConfig(dimensions, 'tokens', tokenizer, { dtype: 'float32' });
  writeFileSync(
    `${folder}/config.json`,
    JSON.stringify({ ...config, bos_token_id: undefined, eos_token_id: undefined }),
  );
  const sizes = new Map(
    parameterSpecs(dimensions, 'tokens').map(({ name: key, shape }) => [key, shape.reduce((a, b) => a * b)]),
  );
  writeWeightFiles(
    folder,
    fileTensors(dimensions, 'tokens', (key) => new Float32Array(sizes.get(key) ?? 0)),
    { dtype: 'F32' },
  );
}

/** A vocabulary as SentencePiece makes them: pieces with scores, bytes for the rest. */
function pieces(): TokenizerFiles {
  const words = ['at', ' at', 'th', 'the', ' t', 'he', ' th', ' the', '12', 'll', ...' aethl1234.\n'];
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  const scored = ['<unk>', '<s>', '</s>', ...bytes, ...words].map((text, id) => ({
    text,
    score: id < 259 ? 0 : 259 - id,
  }));
  return llama2cTokenizerFiles(scored, 64, 'pieces');
}
