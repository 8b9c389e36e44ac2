/** Models of GGUF files: transformers' logits of the same files, Python's ids of the same vocabularies, and what is refused. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { importFile, readImportGgufArguments } from '../../scripts/import-gguf.ts';
import { loadModelFolder } from '../../src/checkpoint/model-folder.ts';
import { importGguf } from '../../src/gguf/import-gguf.ts';
import { metadataKeys } from '../../src/gguf/metadata-keys.ts';
import type { MetadataValue } from '../../src/gguf/read-header.ts';
import { readTokenizer } from '../../src/gguf/read-tokenizer.ts';
import { disposeInputs } from '../../src/model/inputs.ts';
import { disposeModel, modelWeights, trainNothing } from '../../src/model/model.ts';
import { seededRandom } from '../../src/random.ts';
import { tf } from '../../src/tensor/tf.ts';
import { openProgress } from '../../src/terminal/progress.ts';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import type { FixtureTensor } from '../helpers/fixtures.ts';
import { fixture, fixturePath, take } from '../helpers/fixtures.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { useLane } from '../helpers/use-lane.ts';
import { everyLogit, paddedInputs } from '../parity/batches.ts';

const inFolder = useTemporaryFolder();
const quiet = { dtype: 'float32', say: () => {}, wrote: () => {} } as const;

beforeAll(async () => {
  await useLane();
});

/** Imports a fixture, or bytes, into a folder that the test's own holds. */
function imported(bytes: Uint8Array | string): string {
  const path = typeof bytes === 'string' ? fixturePath(`gguf/${bytes}.gguf`) : inFolder('file.gguf');
  if (typeof bytes !== 'string') writeFileSync(path, bytes);
  mkdirSync(inFolder('model'));
  importGguf(path, inFolder('model'), quiet);
  return inFolder('model');
}

describe('tiny models', () => {
  type Expected = Record<string, { ids: FixtureTensor; logits: FixtureTensor; texts?: Record<string, number[]> }>;
  const models = fixture<Expected>('gguf/models.json');

  it.each([
    'llama',
    'qwen2',
    'qwen3',
    'gpt2',
    'phi3',
    'gemma2',
    'gemma3',
  ])('%s: transformers’ logits of the same file', (name) => {
    const { ids, logits, texts = {} } = models[name]!;
    const folder = imported(name);
    const { model } = loadModelFolder(folder, { plan: trainNothing(), tokenizer: null });
    const mask = { shape: ids.shape, data: ids.data.map(() => 1) };
    const inputs = paddedInputs(model.dimensions, ids, mask);
    const found = take(tf.tidy(() => everyLogit(model.dimensions, modelWeights(model), inputs)));
    disposeInputs(inputs);
    disposeModel(model);
    const tokenizer = loadTokenizer(folder);
    for (const [text, expected] of Object.entries(texts)) {
      expect([tokenizer.bosId, ...tokenizer.encode(text)], text).toEqual(expected);
    }
    expect(found.length).toBe(logits.data.length);
    const size = Math.max(...logits.data.map(Math.abs));
    expect(Math.max(...logits.data.map((value, i) => Math.abs(value - found[i]!))) / size).toBeLessThan(1e-4);
  });

  it('have the tokenizer of the file, without the rows that are there for the size of the table only', () => {
    const folder = imported('llama');
    const tokenizer = loadTokenizer(folder);
    expect([...tokenizer.encode('abc')]).toEqual([29, 5]);
    expect([tokenizer.bosId, tokenizer.eosId, tokenizer.padId, tokenizer.vocabSize]).toEqual([0, 1, 2, 30]);
    const read = (name: string): unknown => JSON.parse(readFileSync(`${folder}/${name}`, 'utf8'));
    expect(read('generation_config.json')).toEqual({ bos_token_id: 0, eos_token_id: 1, pad_token_id: 2 });
    expect(read('config.json')).toMatchObject({
      model_type: 'llama',
      rms_norm_eps: 1e-5,
      rope_theta: 5000,
      num_key_value_heads: 2,
      head_dim: 8,
      vocab_size: 48,
      tie_word_embeddings: false,
    });
  });

  it('are half as large in bfloat16', () => {
    mkdirSync(inFolder('half'));
    importGguf(fixturePath('gguf/qwen2.gguf'), inFolder('half'), { ...quiet, dtype: 'bfloat16' });
    const sizes = ['model', 'half'].map((name) => {
      if (name === 'model') imported('qwen2');
      return readFileSync(inFolder(name, 'model.safetensors')).length;
    });
    expect(sizes[1]! / sizes[0]!).toBeCloseTo(0.52, 1);
  });
});

/** A tokenizer.json as llama.cpp's converter writes it, but for what the vocabulary's own kind adds. */
function metadataOf(name: string, more: Record<string, MetadataValue>): Map<string, MetadataValue> {
  const json = JSON.parse(readFileSync(fixturePath(`tokenizers/${name}/tokenizer.json`), 'utf8')) as {
    added_tokens: { id: number; content: string; special: boolean }[];
    model: { vocab: Record<string, number>; merges: (string | [string, string])[]; byte_fallback?: boolean };
  };
  const tokens: string[] = [];
  const kinds: number[] = [];
  for (const [token, id] of Object.entries(json.model.vocab)) {
    tokens[id] = token;
    kinds[id] = json.model.byte_fallback === true && /^<0x[0-9A-F]{2}>$/.test(token) ? 6 : 1;
  }
  for (const { id, content, special } of json.added_tokens) {
    tokens[id] = content;
    kinds[id] = special ? 3 : 4;
  }
  const lines = json.model.merges.map((merge) => (typeof merge === 'string' ? merge : merge.join(' ')));
  const fields: Record<string, MetadataValue> = { tokens, token_type: kinds, merges: lines };
  const special = json.added_tokens.filter((token) => token.special).map(({ id }) => id);
  Object.assign(fields, { bos_token_id: special[0], eos_token_id: special.at(-1), ...more });
  if (json.model.byte_fallback === true) {
    // The scores of a SentencePiece model: the rank of the first merge that makes a piece.
    const ranks = new Map<string, number>();
    for (const line of lines) {
      const made = line.replace(' ', '');
      if (!ranks.has(made)) ranks.set(made, -ranks.size);
    }
    fields.scores = tokens.map((token) => ranks.get(token) ?? -1e6);
    delete fields.merges;
  }
  return new Map(Object.entries(fields).map(([key, value]) => [`tokenizer.ggml.${key}`, value]));
}

describe('vocabularies', () => {
  const { texts } = fixture<{ texts: string[] }>('tokenizers/texts.json');
  const bytes = { model: 'gpt2' };
  const pieces = { model: 'llama', bos_token_id: 1, unknown_token_id: 0 };
  it.each([
    ['gpt2', { ...bytes, pre: 'gpt-2' }, false],
    ['smollm2', { ...bytes, pre: 'smollm' }, false],
    ['llama3', { ...bytes, pre: 'llama-bpe' }, true],
    ['qwen2', { ...bytes, pre: 'qwen2' }, false],
    ['llama2', pieces, true],
    ['tinyllama', pieces, true],
  ])('%s: Python’s ids of its published files', (name, more, begins) => {
    const golden = fixture<{ encoded: { ids?: number[] }[] }>(`tokenizers/${name}/golden.json`).encoded;
    const keys = metadataKeys(metadataOf(name, more), name);
    const read = readTokenizer(keys, 'llama', 64);
    expect(keys.problems).toEqual([]);
    for (const [file, text] of Object.entries(read!.files)) writeFileSync(inFolder(file), text);
    const tokenizer = loadTokenizer(inFolder());
    const short = texts.flatMap((text, i) => (golden[i]?.ids === undefined ? [] : [{ text, ids: golden[i].ids }]));
    expect(short.length).toBeGreaterThan(100);
    expect(short.map(({ text }) => ({ text, ids: [...tokenizer.encode(text)] }))).toEqual(short);
    expect(tokenizer.bosId !== null).toBe(begins);
  });

  it('name the templates, the ends and what begins a text', () => {
    const template = '{{ messages[0].content }}';
    const more = {
      ...bytes,
      pre: 'smollm',
      eos_token_id: 2,
      eot_token_id: 1,
      add_bos_token: true,
      padding_token_id: 2 ** 32 - 1,
    };
    const metadata = metadataOf('smollm2', more);
    metadata.set('tokenizer.chat_template', template);
    metadata.set('tokenizer.chat_templates', ['tool_use']);
    metadata.set('tokenizer.chat_template.tool_use', 'tools');
    const { files, ids } = readTokenizer(metadataKeys(metadata, 'x'), 'llama', 64)!;
    expect(ids).toMatchObject({ bos: 0, eos: 2, pad: null, ends: [2, 1] });
    const config = JSON.parse(files['tokenizer_config.json']);
    expect(config.chat_template).toEqual([
      { name: 'default', template },
      { name: 'tool_use', template: 'tools' },
    ]);
    expect(config.pad_token).toBe(null);
    expect(JSON.parse(files['tokenizer.json']).post_processor.single[0]).toEqual({
      SpecialToken: { id: '<|endoftext|>', type_id: 0 },
    });
  });
});

describe('what is refused', () => {
  /** The fixture of a Llama with some bytes replaced by as many others. */
  function changed(...pairs: [string, string][]): Buffer {
    const bytes = readFileSync(fixturePath('gguf/llama.gguf'));
    for (const [from, to] of pairs) {
      expect([bytes.includes(from), to.length]).toEqual([true, from.length]);
      bytes.write(to, bytes.indexOf(from));
    }
    return bytes;
  }

  it.each([
    [
      'another architecture',
      [['llama', 'bloom']],
      /general\.architecture: "bloom" is not read here; expected one of llama, qwen2, /,
    ],
    [
      'another kind of vocabulary',
      [['gpt2', 'bert']],
      /tokenizer\.ggml\.model: "bert" is not read; expected gpt2 or llama\./,
    ],
    [
      'another way to cut texts',
      [['gpt-2', 'viking'.slice(0, 5)]],
      /tokenizer\.ggml\.pre: "vikin" is no way to cut texts/,
    ],
    [
      'a key that may change the numbers',
      [['rope.freq_base', 'rope.freq_bass']],
      /llama\.rope\.freq_bass: 5000 is not known here/,
    ],
    ['a key that is missing', [['block_count', 'block_counx']], /llama\.block_count: is missing/],
    [
      'a tensor that is missing, and one too many',
      [['blk.1.ffn_up', 'blk.9.ffn_up']],
      /tensor "blk\.1\.ffn_up\.weight" is missing\.[\s\S]*"blk\.9\.ffn_up\.weight" is read by nothing/,
    ],
  ] as const)('%s', (_, pairs, message) => {
    expect(() => imported(changed(...(pairs as unknown as [string, string][])))).toThrow(message);
  });

  it('numbers that are none', () => {
    const bytes = readFileSync(fixturePath('gguf/llama.gguf'));
    // The last tensor's last block: its scale becomes no number.
    bytes.writeUInt16LE(0x7e00, bytes.length - 34);
    expect(() => imported(bytes)).toThrow(/tensor "[\w.]+": element \d+ is NaN; expected finite numbers\./);
  });
});

describe('the command', () => {
  it('writes a folder whole or not at all, and says the next command', async () => {
    const lines: string[] = [];
    const progress = { ...openProgress({ quiet: true }), say: (line: string) => void lines.push(line) };
    const folder = inFolder('made');
    const file = fixturePath('gguf/llama.gguf');
    await importFile({ file, folder, dtype: 'float32' }, progress);
    expect(lines.at(-1)).toBe(`wrote ${folder}. Next: npm run generate -- ${folder} --raw --prompt "Once upon a time"`);
    expect(lines[0]).toBe('not used of llama.gguf: general.file_type');
    expect(await problemsOf(() => importFile({ file, folder, dtype: 'float32' }, progress), inFolder())).toEqual([
      'made: is there already; expected a new folder. Choose another with --to.',
    ]);
    const cut = inFolder('cut.gguf');
    writeFileSync(cut, readFileSync(file).subarray(0, 20_000));
    await expect(importFile({ file: cut, folder: inFolder('none'), dtype: 'float32' }, progress)).rejects.toThrow(
      /the file ends at 20000/,
    );
    expect(existsSync(inFolder('none'))).toBe(false);
    expect(readdirSync(inFolder()).sort()).toEqual(['cut.gguf', 'made']);
  });

  it.each([
    [[], /expected a file and --to/],
    [['a.gguf'], /expected a file and --to/],
    [['a.gguf', 'b.gguf', '--to', 'x'], /expected a file and --to/],
    [['a.gguf', '--to', 'x', '--dtype', 'float16'], /--dtype: expected float32 or bfloat16, received "float16"/],
    [['a.gguf', '--two', 'x'], /Unknown option '--two'/],
  ])('refuses %j', (argv, message) => expect(() => readImportGgufArguments(argv)).toThrow(message));
});

describe('models damaged at random', () => {
  const rounds = Math.ceil(Number(process.env.PLUMBLINE_FUZZ ?? 400) / 2);

  it(`are imported, or refused in words, and nothing of them is left (${rounds} of them)`, async () => {
    const original = readFileSync(fixturePath('gguf/llama.gguf'));
    const header = original.indexOf('token_embd.weight') + 1_500;
    const random = seededRandom(2, 'gguf');
    const progress = openProgress({ quiet: true });
    const outcomes = { made: 0, refused: 0 };
    for (let round = 0; round < rounds; round++) {
      const bytes = Buffer.from(original);
      for (let k = random.integer(4); k >= 0; k--) bytes[random.integer(header)] = random.integer(256);
      const file = inFolder('file.gguf');
      writeFileSync(file, bytes);
      const folder = inFolder(`model-${round}`);
      const problems = await problemsOf(() => importFile({ file, folder, dtype: 'float32' }, progress), inFolder());
      for (const problem of problems) expect(problem).toMatch(/^file\.gguf.*: ./);
      expect(existsSync(folder)).toBe(problems.length === 0);
      outcomes[problems.length === 0 ? 'made' : 'refused']++;
    }
    expect(readdirSync(inFolder()).filter((name) => name.startsWith('.'))).toEqual([]);
    expect(outcomes.refused).toBeGreaterThan(rounds / 3);
    expect(outcomes.made).toBeGreaterThan(0);
  });
});
