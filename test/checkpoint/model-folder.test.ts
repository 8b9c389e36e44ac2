import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkModelFolder, loadModelFolder, writeModelFolder } from '../../src/checkpoint/model-folder.ts';
import { CheckpointError } from '../../src/errors.ts';
import { disposeModel, modelFrom } from '../../src/model/model.ts';
import { readParameters } from '../../src/tensor/parameters.ts';
import '../helpers/allclose.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { tinyModel, tinyStyles } from '../model/tiny-model.ts';
import { expectNeutral } from '../tensor/neutral.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';

const inFolder = useTemporaryFolder();
const tokenizer = byteTokenizer();
const json = (name: string): unknown => JSON.parse(readFileSync(inFolder(name), 'utf8'));

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it.each(tinyStyles)('%s comes back bit for bit in float32, with either head', (style) => {
    for (const head of ['tokens', 'score'] as const) {
      const model = tinyModel(style, head);
      const folder = inFolder(head);
      mkdirSync(folder);
      const normalisation = { mean: 0.25, deviation: 3 };
      writeModelFolder(folder, model, { tokenizer, ...(head === 'score' && { normalisation }) });
      const loaded = loadModelFolder(folder, { tokenizer: null });
      expect(loaded.model).toMatchObject({ dimensions: model.dimensions, head });
      expect(readParameters(loaded.model.parameters)).toEqual(readParameters(model.parameters));
      expect(loaded.normalisation).toEqual(head === 'score' ? { mean: 0.25, deviation: 3 } : { mean: 0, deviation: 1 });
      disposeModel(model);
      disposeModel(loaded.model);
    }
  });

  it('refuses weights that are not finite, naming the tensor', async () => {
    const model = tinyModel('llama', 'score');
    const specs = model.parameters.layout.specs.map(({ name }) => name);
    const values = readParameters(model.parameters);
    const at = model.parameters.layout.offsets[specs.indexOf('score.weight')]! + 2;
    const broken = modelFrom(
      model.dimensions,
      'score',
      values.map((value, i) => (i === at ? Number.NaN : value)),
    );
    writeModelFolder(inFolder(), broken, { tokenizer });
    expect(await problemsOf(() => loadModelFolder(inFolder(), { tokenizer: null }), inFolder())).toEqual([
      'model.safetensors: tensor "score.weight": element 2 is NaN; expected finite numbers.',
      'Its training went wrong: use an earlier checkpoint.',
    ]);
    disposeModel(model);
    disposeModel(broken);
  });

  it('holds the files of a Hugging Face folder, and generation settings for language models only', () => {
    const [model, scored] = [tinyModel(), tinyModel('llama', 'score')];
    const files = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
    writeModelFolder(inFolder(), scored, { tokenizer });
    expect(readdirSync(inFolder()).sort()).toEqual(files);
    writeModelFolder(inFolder(), model, { tokenizer });
    expect(readdirSync(inFolder()).sort()).toEqual([...files, 'generation_config.json'].sort());
    expect(json('generation_config.json')).toEqual({
      bos_token_id: tokenizer.bosId,
      eos_token_id: tokenizer.eosId,
      pad_token_id: tokenizer.padId,
    });
    expect(readFileSync(inFolder('tokenizer.json'), 'utf8')).toBe(tokenizer.files['tokenizer.json']);
    disposeModel(model);
    disposeModel(scored);
  });

  it('in bfloat16 is half as large, says so, and keeps three significant digits', () => {
    const model = tinyModel();
    const size = (dtype: 'float32' | 'bfloat16'): number => {
      writeModelFolder(inFolder(), model, { tokenizer, dtype });
      return readFileSync(inFolder('model.safetensors')).length;
    };
    const count = readParameters(model.parameters).length;
    expect(size('float32') - size('bfloat16')).toBeGreaterThan(1.9 * count);
    expect(json('config.json')).toMatchObject({ torch_dtype: 'bfloat16' });
    const loaded = loadModelFolder(inFolder(), { tokenizer: null });
    expect(readParameters(loaded.model.parameters)).toBeAllclose(readParameters(model.parameters), {
      rtol: 1 / 256,
      atol: 0,
    });
    disposeModel(model);
    disposeModel(loaded.model);
  });

  it('without weights is refused by the name of the file', async () => {
    const model = tinyModel();
    writeModelFolder(inFolder(), model, { tokenizer });
    disposeModel(model);
    rmSync(join(inFolder(), 'model.safetensors'));
    expect(await problemsOf(() => loadModelFolder(inFolder(), { tokenizer: null }), inFolder())).toEqual([
      `${inFolder()}: has neither model.safetensors nor model.safetensors.index.json; expected the weights of a model. Copy them there.`,
    ]);
  });

  it('is refused before its weights are read: another kind, more tokens than rows, a short context, all at once', () => {
    const model = tinyModel();
    writeModelFolder(inFolder(), model, { tokenizer });
    disposeModel(model);
    const where = 'reward model runs/a';
    expect(() => checkModelFolder(inFolder(), { where, kind: 'reward model', tokenizer, length: 25 })).toThrow(
      new CheckpointError([
        'reward model runs/a: is a language model; expected a reward model. Name another checkpoint.',
        'reward model runs/a: the tokenizer has 259 tokens and the embedding 32 rows; ' +
          'expected no more tokens than rows. Use the tokenizer the model was trained with.',
        'reward model runs/a: reads at most 24 tokens and the configuration asks for sequences of 25. ' +
          'Lower the sequence length, or use a model with a longer context.',
      ]),
    );
    const fitting = { where, kind: 'language model', tokenizer: { ...tokenizer, vocabSize: 32 }, length: 24 } as const;
    expect(checkModelFolder(inFolder(), fitting).context).toBe(24);
  });

  it('leaves no tensors behind', () => {
    expectNeutral(() => {
      const model = tinyModel();
      writeModelFolder(inFolder(), model, { tokenizer });
      disposeModel(loadModelFolder(inFolder(), { tokenizer: null }).model);
      disposeModel(model);
    });
  });
});
