/** Adapters beyond plain low-rank ones, merged: the logits of PEFT's merge_and_unload, or a refusal by name. */
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { mergeCommand } from '../../scripts/merge.ts';
import { readAdapterFolder, writeAdapterFolder } from '../../src/checkpoint/adapter-folder.ts';
import { loadMergedModel } from '../../src/checkpoint/merged-model.ts';
import { readModelConfig } from '../../src/checkpoint/model-config.ts';
import { loadModelFolder, writeModelFolder } from '../../src/checkpoint/model-folder.ts';
import { disposeInputs } from '../../src/model/inputs.ts';
import type { Model } from '../../src/model/model.ts';
import { adaptModel, disposeModel, modelWeights, trainNothing } from '../../src/model/model.ts';
import { tf } from '../../src/tensor/tf.ts';
import type { FixtureTensor } from '../helpers/fixtures.ts';
import { fixture, fixturePath, take } from '../helpers/fixtures.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import type { HostTensor } from '../helpers/tensors.ts';
import { readTensors, rewriteTensors } from '../helpers/tensors.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';
import { everyLogit, paddedInputs } from './batches.ts';

const cases = [
  ...['rank-pattern', 'rank-pattern-stabilized', 'dora', 'dora-gpt2', 'dora-neox'],
  ...['saved-untied', 'saved-head-tied', 'saved-embedding-tied', 'saved-both-tied', 'saved-kept-tied'],
  ...['saved-norms', 'saved-layers', 'bias-all', 'bias-adapted', 'lora-bias', 'head-untied', 'embedding-untied'],
  ...['tokens-untied', 'tokens-tied', 'tokens-tied-both', 'regex-targets', 'excluded', 'one-layer'],
  ...['tokens-neox', 'saved-neox', 'head-neox'],
];
type Rows = { inputIds: FixtureTensor; logits: FixtureTensor };
type Expected = { family: string; inputIds: number[]; logits: FixtureTensor; largestMergeDifference: number };

const inFolder = useTemporaryFolder();
/** 61 tokens, as the fixtures' tables have. */
const tokenizer = { ...byteTokenizer(), vocabSize: 61, addedPad: false };

function merge(family: string, adapter: string, said: string[] = []): Model {
  const say = (line: string): void => {
    said.push(line.replaceAll(`${inFolder()}/`, ''));
  };
  return loadMergedModel(fixturePath(`families/${family}`), adapter, { tokenizer, say }).model;
}

function logitsOf(model: Model, ids: readonly number[]): Float32Array {
  const row = { shape: [1, ids.length], data: ids };
  const inputs = paddedInputs(model.dimensions, row, { shape: row.shape, data: ids.map(() => 1) });
  const found = take(tf.tidy(() => everyLogit(model.dimensions, modelWeights(model), inputs)));
  disposeInputs(inputs);
  return found;
}

/** The largest difference as a share of the largest logit. */
function difference(found: Float32Array, { logits }: Pick<Expected, 'logits'>): number {
  expect(found.length).toBe(logits.data.length);
  const largest = Math.max(...logits.data.map(Math.abs));
  return Math.max(...logits.data.map((value, i) => Math.abs(value - (found[i] as number)))) / largest;
}

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it.each(cases)('%s gives the logits of PEFT’s merge, and again from the folder we write', (name) => {
    const expected = fixture<Expected>(`adapters/${name}.json`);
    // Merged and unmerged are the same in PEFT, so there is one right answer.
    expect(expected.largestMergeDifference).toBeLessThan(1e-9);
    const said: string[] = [];
    const model = merge(expected.family, fixturePath(`adapters/${name}`), said);
    expect(said).toEqual([]);
    expect(difference(logitsOf(model, expected.inputIds), expected)).toBeLessThan(1e-4);
    writeModelFolder(inFolder(), model, { tokenizer: byteTokenizer() });
    const again = loadModelFolder(inFolder(), { plan: trainNothing(), tokenizer: null }).model;
    expect(again.dimensions).toEqual(model.dimensions);
    expect(difference(logitsOf(again, expected.inputIds), expected)).toBeLessThan(1e-4);
    disposeModel(model);
    disposeModel(again);
  });
});

describe('the head of a GPT-NeoX', () => {
  beforeAll(async () => {
    await useLane('wasm');
  });

  it.each([
    'tokens-neox',
    'saved-neox',
    'head-neox',
  ])('may be called embed_out, as before transformers 5: %s', (name) => {
    const expected = fixture<Expected>(`adapters/${name}.json`);
    const older = (text: string): string => text.replaceAll('lm_head', 'embed_out');
    const folder = changed(name, {}, rename(older));
    const settings = readFileSync(`${folder}/adapter_config.json`, 'utf8');
    expect(settings).toContain('lm_head');
    writeFileSync(`${folder}/adapter_config.json`, older(settings));
    const model = merge('gpt-neox', folder);
    expect(difference(logitsOf(model, expected.inputIds), expected)).toBeLessThan(1e-4);
    disposeModel(model);
  });

  it('has the rows that we trained beside adapters, from the folder we write', () => {
    const { inputIds, logits } = fixture<Rows>('lora/gpt-neox-tokens.json');
    const options = { plan: trainNothing(), tokenizer: null };
    const base = loadModelFolder(fixturePath('families/gpt-neox'), options).model;
    const { plan, read } = readAdapterFolder(fixturePath('lora/gpt-neox-tokens'), base.dimensions);
    const model = adaptModel(base, 'tokens', plan, read);
    writeAdapterFolder(inFolder(), model, 'base');
    const merged = merge('gpt-neox', inFolder());
    // The first row has no padding.
    const [, length] = inputIds.shape as [number, number];
    const first = logits.data.slice(0, length * base.dimensions.vocab);
    const found = logitsOf(merged, inputIds.data.slice(0, length));
    expect(difference(found, { logits: { shape: [first.length], data: first } })).toBeLessThan(1e-4);
    disposeModel(model);
    disposeModel(merged);
  });
});

/** A copy of a fixture's folder with other settings and tensors. */
function changed(
  name: string,
  settings: Readonly<Record<string, unknown>>,
  change: (tensors: Map<string, HostTensor>) => void = () => {},
  folder = inFolder('adapter'),
): string {
  cpSync(fixturePath(`adapters/${name}`), folder, { recursive: true });
  const original = JSON.parse(readFileSync(`${folder}/adapter_config.json`, 'utf8')) as object;
  writeFileSync(`${folder}/adapter_config.json`, JSON.stringify({ ...original, ...settings }));
  rewriteTensors(`${folder}/adapter_model.safetensors`, change);
  return folder;
}

const rename = (to: (name: string) => string) => (tensors: Map<string, HostTensor>) => {
  const all = [...tensors];
  tensors.clear();
  for (const [name, tensor] of all) tensors.set(to(name), tensor);
};

describe('names that are unusual', () => {
  beforeAll(async () => {
    await useLane('wasm');
  });

  const withName = (name: string): string =>
    name.replace(/(lora_[AB])\.weight$/, '$1.default.weight').replace(/(lora_magnitude_vector)$/, '$1.default.weight');
  const unsaved = (name: string): string =>
    /lora_/.test(name) ? withName(name) : name.replace(/\.weight$/, '.modules_to_save.default.weight');
  it.each<[string, string, (name: string) => string, string]>([
    ['the adapter’s name left in', 'dora', withName, 'carry the name "default"'],
    ['the adapter’s name left in, and modules saved whole', 'saved-untied', unsaved, 'carry the name "default"'],
    ['a wrapper', 'rank-pattern', (name) => `_orig_mod.${name}`, 'begin with "_orig_mod.base_model.model."'],
    ['nothing before the model’s', 'rank-pattern', (name) => name.replace('base_model.model.', ''), 'begin with ""'],
  ])('are read with one line: %s', (_, name, to, line) => {
    const expected = fixture<Expected>(`adapters/${name}.json`);
    const said: string[] = [];
    const model = merge(expected.family, changed(name, {}, rename(to)), said);
    expect(said).toEqual([`adapter/adapter_model.safetensors: its tensors ${line}, and are read so.`]);
    expect(difference(logitsOf(model, expected.inputIds), expected)).toBeLessThan(1e-4);
    disposeModel(model);
  });

  it('are refused in one line where they are those of several adapters, or begin in several ways', async () => {
    const problems = async (to: (name: string) => string): Promise<string[]> => {
      const folder = changed('rank-pattern', {}, rename(to));
      return problemsOf(() => merge('llama3', folder), inFolder());
    };
    const two = (name: string): string =>
      name.replace(
        /(lora_[AB])\.weight$/,
        (_, part: string) => `${part}.${name.includes('layers.0') ? 'a' : 'b'}.weight`,
      );
    expect(await problems(two)).toEqual([
      expect.stringMatching(/4 carry the name "a", 4 carry the name "b" .*one adapter/),
    ]);
    const mixed = (name: string): string => (name.includes('layers.0') ? `module.${name}` : name);
    expect(await problems(mixed)).toEqual([
      expect.stringMatching(/names of its tensors differ: 4 begin with .*one adapter/),
    ]);
  });
});

describe('an adapter that cannot be merged', () => {
  const zeros = (...shape: number[]): HostTensor => ({
    shape,
    values: new Float32Array(shape.reduce((product, size) => product * size, 1)),
  });
  const q = 'base_model.model.model.layers.0.self_attn.q_proj';

  it.each<[string, string, Readonly<Record<string, unknown>>, (tensors: Map<string, HostTensor>) => void, RegExp]>([
    [
      'changes to the head that is tied',
      'head-tied',
      {},
      () => {},
      /changes "lm_head", and the base's head is its embedding.*head of its own/,
    ],
    [
      'changes to the embedding that is tied',
      'embedding-tied',
      {},
      () => {},
      /changes "model\.embed_tokens", and the base's head/,
    ],
    [
      'DoRA of an embedding',
      'embedding-untied',
      { use_dora: true },
      () => {},
      /use_dora: DoRA of the embedding .*merge_and_unload/,
    ],
    [
      'magnitudes that are missing',
      'rank-pattern',
      { use_dora: true },
      () => {},
      /q_proj\.lora_magnitude_vector" is missing/,
    ],
    [
      'magnitudes that are not announced',
      'dora',
      { use_dora: false },
      () => {},
      /lora_magnitude_vector": .* does not say use_dora: true/,
    ],
    [
      'a rank that is not the tensors’',
      'rank-pattern',
      { rank_pattern: {} },
      () => {},
      /q_proj\.lora_A\.weight": expected shape \[4, 24\], received \[6, 24\]/,
    ],
    [
      'a bias where the layer has none',
      'rank-pattern',
      { lora_bias: true },
      (tensors) => tensors.set(`${q}.lora_B.bias`, zeros(24)),
      /lora_bias: "model\.layers\.0\.self_attn\.q_proj" has no bias/,
    ],
    [
      'a change PEFT would leave out',
      'rank-pattern',
      { target_modules: ['v_proj'] },
      () => {},
      /changes "model\.layers\.0\.self_attn\.q_proj", which .* does not name/,
    ],
    [
      'a change that is excluded',
      'excluded',
      { exclude_modules: '.*q_proj' },
      () => {},
      /q_proj", which .* does not name \(target_modules, exclude_modules/,
    ],
    [
      'a change of another layer',
      'one-layer',
      { layers_to_transform: [0] },
      () => {},
      /changes "transformer\.h\.1\.mlp\.c_fc", which/,
    ],
    [
      'a change that is missing',
      'rank-pattern',
      {},
      (tensors) => [tensors.delete(`${q}.lora_A.weight`), tensors.delete(`${q}.lora_B.weight`)],
      /has no tensors for "model\.layers\.0\.self_attn\.q_proj", which target_modules/,
    ],
    [
      'a module that was to be saved',
      'saved-untied',
      {},
      (tensors) => tensors.delete('base_model.model.lm_head.weight'),
      /has no tensors for "lm_head", which modules_to_save/,
    ],
    [
      'a module that was saved for another base',
      'saved-untied',
      {},
      (tensors) => tensors.set('base_model.model.lm_head.weight', zeros(61, 8)),
      /"lm_head\.weight": expected shape \[61, 24\] by config\.json, received \[61, 8\]/,
    ],
    [
      'rows beyond the table',
      'tokens-untied',
      { trainable_token_indices: [3, 61, 7] },
      () => {},
      /trainable_token_indices: 61: expected rows of the 61/,
    ],
    [
      'a pattern that only Python knows',
      'rank-pattern',
      { rank_pattern: { '(?i)Q_PROJ': 2 } },
      () => {},
      /rank_pattern: "\(\?i\)Q_PROJ" is no pattern that is understood here/,
    ],
    [
      'a list of modules that is no pattern',
      'saved-untied',
      { modules_to_save: ['lm_head('] },
      () => {},
      /modules_to_save: "lm_head\(" is no pattern/,
    ],
    [
      'a field of the wrong kind',
      'rank-pattern',
      { rank_pattern: { q_proj: '8' } },
      () => {},
      /rank_pattern: expected whole numbers above 0 by patterns of names, received {"q_proj":"8"}/,
    ],
    [
      'PiSSA',
      'rank-pattern',
      { init_lora_weights: 'pissa' },
      () => {},
      /init_lora_weights: "pissa" changed the frozen weights.*path_initial_model_for_weight_conversion/,
    ],
    [
      'layers that are repeated',
      'rank-pattern',
      { layer_replication: [[0, 2]] },
      () => {},
      /layer_replication: .*merge_and_unload/,
    ],
    [
      'rows that are not announced',
      'tokens-untied',
      { trainable_token_indices: null },
      () => {},
      /has no trainable_token_indices for it/,
    ],
    [
      'a tensor of something else',
      'rank-pattern',
      {},
      (tensors) => tensors.set('base_model.model.vision.lora_A.weight', zeros(4, 4)),
      /"base_model\.model\.vision\.lora_A\.weight" belong to no linear layer/,
    ],
    [
      'a number that is none',
      'rank-pattern',
      {},
      (tensors) => tensors.get(`${q}.lora_A.weight`)!.values.fill(Number.NaN),
      /element 0 is NaN; expected finite/,
    ],
  ])('is refused by name: %s', async (_, name, settings, change, said) => {
    const { base_model_name_or_path: base } = JSON.parse(
      readFileSync(fixturePath(`adapters/${name}/adapter_config.json`), 'utf8'),
    ) as { base_model_name_or_path: string };
    const folder = changed(name, settings, change);
    const problems = await problemsOf(() => merge(base.replace('families/', ''), folder), inFolder());
    expect(problems.length).toBeGreaterThan(0);
    expect(problems.join('\n')).toMatch(said);
  });

  it('is refused where its weights are a pickle', async () => {
    const folder = changed('rank-pattern', {});
    rmSync(`${folder}/adapter_model.safetensors`);
    writeFileSync(`${folder}/adapter_model.bin`, 'x');
    expect(await problemsOf(() => merge('llama3', folder), inFolder())).toEqual([
      expect.stringMatching(/^adapter\/adapter_model\.bin: such files can run code .*save_pretrained/),
    ]);
  });

  it.each([
    'rank-pattern',
    'dora',
    'saved-head-tied',
    'bias-all',
    'lora-bias',
  ])('is nothing that training goes on with: %s', async (name) => {
    const { family } = fixture<Expected>(`adapters/${name}.json`);
    const { dimensions } = readModelConfig(fixturePath(`families/${family}/config.json`));
    const problems = await problemsOf(() => readAdapterFolder(fixturePath(`adapters/${name}`), dimensions), '');
    expect(problems[0]).toMatch(
      /training cannot go on with such an adapter; expected null or false\. Merge it first: npm run merge\./,
    );
  });
});

describe('merge', () => {
  const said: string[] = [];
  const say = (line: string): void => {
    said.push(line.replaceAll(`${inFolder()}/`, ''));
  };
  beforeAll(async () => {
    await useLane('wasm');
  });

  function base(family: string): string {
    const folder = inFolder('base');
    cpSync(fixturePath(`families/${family}`), folder, { recursive: true });
    const { files } = byteTokenizer();
    const json = JSON.parse(files['tokenizer.json']) as { model: { vocab: Record<string, number> } };
    json.model.vocab = Object.fromEntries(Object.entries(json.model.vocab).filter(([, id]) => id < 61));
    writeFileSync(inFolder('base', 'tokenizer.json'), JSON.stringify(json));
    writeFileSync(inFolder('base', 'tokenizer_config.json'), files['tokenizer_config.json']);
    return folder;
  }

  it('parts a head from its embedding in config.json where the adapter does', async () => {
    said.length = 0;
    await mergeCommand([base('llama3'), fixturePath('adapters/saved-head-tied'), '--to', inFolder('to')], say);
    expect(said).toEqual(['merged 4 changes of rank 4, 1 saved whole into to']);
    expect(JSON.parse(readFileSync(inFolder('to/config.json'), 'utf8')).tie_word_embeddings).toBe(false);
    const saved = readTensors(fixturePath('adapters/saved-head-tied/adapter_model.safetensors'));
    const head = readTensors(inFolder('to/model.safetensors')).get('lm_head.weight');
    expect(head).toEqual(saved.get('base_model.model.lm_head.weight'));
  });

  it('takes an adapter out of the folder of its name, and refuses to choose between two', async () => {
    mkdirSync(inFolder('run'));
    changed('rank-pattern', {}, () => {}, inFolder('run/first'));
    said.length = 0;
    const folder = base('llama3');
    await mergeCommand([folder, inFolder('run'), '--to', inFolder('to')], say);
    expect(said).toEqual(['the adapter is run/first', 'merged 4 changes of rank 3 to 6 into to']);
    changed('rank-pattern', {}, () => {}, inFolder('run/second'));
    expect(
      await problemsOf(() => mergeCommand([folder, inFolder('run'), '--to', inFolder('two')], say), inFolder()),
    ).toEqual(['run: holds 2 adapters (first, second); expected one. Name the folder of the one that is wanted.']);
    // One that is named "default" lies in the folder itself, and the others beside it.
    for (const name of ['adapter_config.json', 'adapter_model.safetensors']) {
      renameSync(inFolder('run/first', name), inFolder('run', name));
    }
    said.length = 0;
    await mergeCommand([folder, inFolder('run'), '--to', inFolder('three')], say);
    expect(said[0]).toBe('not merged: the adapters second in run; name one of those folders for it');
  });

  it('keeps the tokenizer that was saved beside the adapter, and an embedding that grew with it', async () => {
    const folder = base('llama2');
    const adapter = changed('saved-untied', {}, (tensors) => {
      for (const name of ['base_model.model.lm_head.weight', 'base_model.model.model.embed_tokens.weight']) {
        const { values } = tensors.get(name)!;
        tensors.set(name, {
          shape: [64, 24],
          values: Float32Array.from({ length: 64 * 24 }, (_, i) => values[i] ?? 0.5),
        });
      }
    });
    for (const name of ['tokenizer.json', 'tokenizer_config.json']) cpSync(`${folder}/${name}`, `${adapter}/${name}`);
    said.length = 0;
    await mergeCommand([folder, adapter, '--to', inFolder('to')], say);
    expect(said[0]).toBe('the tokenizer is that of adapter');
    expect(JSON.parse(readFileSync(inFolder('to/config.json'), 'utf8')).vocab_size).toBe(64);
    expect(readTensors(inFolder('to/model.safetensors')).get('model.embed_tokens.weight')?.shape).toEqual([64, 24]);
  });
});
