/** Loading a model whose files do not fit its config.json or its tokenizer, and one that grows for an added PAD. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkModelFolder, loadModelFolder, writeModelFolder } from '../../src/checkpoint/model-folder.ts';
import { disposeModel } from '../../src/model/model.ts';
import { parameterValues, readParameters } from '../../src/tensor/parameters.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { rewriteTensors } from '../helpers/tensors.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { tinyModel, tinyStyles } from '../model/tiny-model.ts';
import { expectNeutral } from '../tensor/neutral.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';

const inFolder = useTemporaryFolder();
const tokenizer = byteTokenizer();
/** As `readTokenizerFolder` makes one of the tiny models' 32 tokens and a PAD of its own. */
const withPad = { ...tokenizer, vocabSize: 33, addedPad: true };

function write(style: (typeof tinyStyles)[number] = 'llama', maxShardBytes?: number): void {
  const model = tinyModel(style);
  writeModelFolder(inFolder(), model, { tokenizer, ...(maxShardBytes !== undefined && { maxShardBytes }) });
  disposeModel(model);
}

describe.each(lanesToTest())('a folder on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it('that lacks tensors, or has them in other shapes, is refused for all of them, leaving no tensors behind', async () => {
    write();
    rewriteTensors(inFolder('model.safetensors'), (tensors) => {
      tensors.delete('model.norm.weight');
      tensors.set('model.layers.1.mlp.down_proj.weight', { shape: [3], values: Float32Array.of(1, 2, 3) });
      tensors.set('model.layers.0.self_attn.q_proj.weight', { shape: [16, 8], values: new Float32Array(128) });
    });
    const { intermediate_size: ff } = JSON.parse(readFileSync(inFolder('config.json'), 'utf8'));
    const expected = [
      'model.safetensors: tensor "model.layers.0.self_attn.q_proj.weight": expected shape [16, 16] by config.json, received [16, 8].',
      `model.safetensors: tensor "model.layers.1.mlp.down_proj.weight": expected shape [16, ${ff}] by config.json, received [3].`,
      'model.safetensors: tensor "model.norm.weight" is missing.',
    ];
    const problems = await problemsOf(() => loadModelFolder(inFolder(), { tokenizer: null }), inFolder());
    expect(problems.sort()).toEqual(expected);
    expectNeutral(() => {
      expect(() => loadModelFolder(inFolder(), { tokenizer: null })).toThrow(/is missing/);
    });
  });

  it('whose embeddings are of another size than config.json says is refused', async () => {
    write();
    const config = JSON.parse(readFileSync(inFolder('config.json'), 'utf8'));
    writeFileSync(inFolder('config.json'), JSON.stringify({ ...config, vocab_size: 40 }));
    expect(await problemsOf(() => loadModelFolder(inFolder(), { tokenizer: null }), inFolder())).toEqual([
      'model.safetensors: tensor "model.embed_tokens.weight": expected shape [40, 16] by config.json, received [32, 16]. Set vocab_size to 32 in config.json where the table was resized.',
    ]);
  });

  it('whose tensors carry a wrapper’s prefix is loaded, and says so once', () => {
    write();
    const plain = loadModelFolder(inFolder(), { tokenizer: null });
    rewriteTensors(inFolder('model.safetensors'), (tensors) => {
      const all = [...tensors];
      tensors.clear();
      for (const [name, tensor] of all) tensors.set(`_orig_mod.${name}`, tensor);
    });
    const said: string[] = [];
    const wrapped = loadModelFolder(inFolder(), { tokenizer: null, say: (line) => said.push(line) });
    expect(said).toEqual([expect.stringContaining('with "_orig_mod.model." in place of "model."')]);
    expect(readParameters(wrapped.model.parameters)).toEqual(readParameters(plain.model.parameters));
    disposeModel(plain.model);
    disposeModel(wrapped.model);
  });

  it('with a shard that is a folder or a pipe is refused by name', async () => {
    write('llama', 3000);
    const [name] = readdirSync(inFolder())
      .filter((one) => one.startsWith('model-'))
      .sort() as [string];
    rmSync(inFolder(name));
    mkdirSync(inFolder(name));
    const end = 'expected a file with the weights of a checkpoint. Put the file itself there.';
    expect(await problemsOf(() => loadModelFolder(inFolder(), { tokenizer: null }), inFolder())).toEqual([
      `${name}: is a folder; ${end}`,
    ]);
    rmSync(inFolder(name), { recursive: true });
    spawnSync('mkfifo', [inFolder(name)]);
    expect(await problemsOf(() => loadModelFolder(inFolder(), { tokenizer: null }), inFolder())).toEqual([
      `${name}: is a pipe; ${end}`,
    ]);
  });

  it('in shards is the same model', () => {
    const whole = tinyModel('gpt2');
    write('gpt2', 3000);
    const loaded = loadModelFolder(inFolder(), { tokenizer: null });
    expect(readParameters(loaded.model.parameters)).toEqual(readParameters(whole.parameters));
    disposeModel(whole);
    disposeModel(loaded.model);
  });

  it.each(tinyStyles)('%s grows by a row for an added PAD: the mean of the others, which stay as they are', (style) => {
    write(style);
    const before = loadModelFolder(inFolder(), { tokenizer: null }).model;
    const after = loadModelFolder(inFolder(), { tokenizer: withPad }).model;
    expect(after.dimensions).toEqual({ ...before.dimensions, vocab: 33 });
    const [old, grown] = [readParameters(before.parameters), readParameters(after.parameters)];
    for (const { name } of before.parameters.layout.specs) {
      const was = parameterValues(before.parameters.layout, old, name);
      const is = parameterValues(after.parameters.layout, grown, name);
      if (name !== 'embedding.tokens' && name !== 'head.weight') {
        expect(is, name).toEqual(was);
        continue;
      }
      // Embedding [vocab, d], head [d, vocab].
      const at = (values: Float32Array, vocab: number, token: number, i: number): number =>
        values[name === 'head.weight' ? i * vocab + token : token * 16 + i]!;
      for (let i = 0; i < 16; i++) {
        const column = Array.from({ length: 32 }, (_, token) => at(was, 32, token, i));
        for (const [token, value] of column.entries()) expect(at(is, 33, token, i)).toBe(value);
        expect(at(is, 33, 32, i)).toBeCloseTo(column.reduce((sum, value) => sum + value, 0) / 32, 6);
      }
    }
    disposeModel(before);
    disposeModel(after);
  });

  it('does not grow where its tables have room for the PAD, nor for a tokenizer that has its own', () => {
    write();
    for (const one of [
      { ...withPad, vocabSize: 30 },
      { ...withPad, vocabSize: 32 },
      { ...withPad, vocabSize: 32, addedPad: false },
    ]) {
      const { model } = loadModelFolder(inFolder(), { tokenizer: one });
      expect(model.dimensions.vocab).toBe(32);
      disposeModel(model);
    }
  });

  it('that grew is written with its new row and read back', () => {
    write('llama-untied');
    const grown = loadModelFolder(inFolder(), { tokenizer: withPad }).model;
    writeModelFolder(inFolder(), grown, { tokenizer });
    expect(JSON.parse(readFileSync(inFolder('config.json'), 'utf8')).vocab_size).toBe(33);
    const again = loadModelFolder(inFolder(), { tokenizer: null }).model;
    expect(readParameters(again.parameters)).toEqual(readParameters(grown.parameters));
    disposeModel(grown);
    disposeModel(again);
  });
});

describe('a tokenizer larger than the embeddings', () => {
  const where = 'base model models/a';
  const check = (one: typeof tokenizer): Promise<string[]> =>
    problemsOf(() => checkModelFolder(inFolder(), { where, kind: 'language model', tokenizer: one }), inFolder());

  it('is refused, but for a PAD of its own, which is given a row', async () => {
    await useLane('wasm');
    write();
    expect(await check(withPad)).toEqual([]);
    expect(checkModelFolder(inFolder(), { where, kind: 'language model', tokenizer: withPad }).vocab).toBe(33);
    const refusal = [
      `${where}: the tokenizer has 33 tokens and the embedding 32 rows; expected no more tokens than rows. ` +
        'Use the tokenizer the model was trained with.',
    ];
    expect(await check({ ...tokenizer, vocabSize: 33 })).toEqual(refusal);
    expect(await check({ ...tokenizer, vocabSize: 33, spareTokens: 1 })).toEqual([]);
    // 33 without its PAD.
    expect(await check({ ...withPad, vocabSize: 34 })).toEqual(refusal);
  });
});
