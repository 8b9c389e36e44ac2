/** The commands that make models and rows: merge, rating-pairs, continue-prompts, import-llama2c. */
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { continuePrompts } from '../../scripts/continue-prompts.ts';
import { importLlama2c } from '../../scripts/import-llama2c.ts';
import { mergeCommand } from '../../scripts/merge.ts';
import { ratingPairs } from '../../scripts/rating-pairs.ts';
import { loadModelFolder, writeModelFolder } from '../../src/checkpoint/model-folder.ts';
import { llamaStyle } from '../../src/model/dimensions.ts';
import { disposeModel, newModel } from '../../src/model/model.ts';
import { seededRandom } from '../../src/random.ts';
import { readTable, writeTable } from '../../src/tables/arrow-file.ts';
import { float64, utf8 } from '../../src/tables/columns.ts';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import '../helpers/allclose.ts';
import { fixturePath } from '../helpers/fixtures.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { readTensors } from '../helpers/tensors.ts';
import { useLane } from '../helpers/use-lane.ts';
import { tinyModel } from '../model/tiny-model.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';

const inFolder = useTemporaryFolder();
const said: string[] = [];
const say = (line: string): void => {
  said.push(line);
};
beforeAll(async () => {
  await useLane();
});

describe('merge', () => {
  /** A fixture's base with a tokenizer of 61 tokens: its own ids do not matter here. */
  function base(): string {
    const folder = inFolder('base');
    cpSync(fixturePath('families/llama3'), folder, { recursive: true });
    const files = byteTokenizer().files;
    const json = JSON.parse(files['tokenizer.json']) as { model: { vocab: Record<string, number> } };
    json.model.vocab = Object.fromEntries(Object.entries(json.model.vocab).filter(([, id]) => id < 61));
    writeFileSync(inFolder('base', 'tokenizer.json'), JSON.stringify(json));
    writeFileSync(inFolder('base', 'tokenizer_config.json'), files['tokenizer_config.json']);
    return folder;
  }

  it('puts W + scale · B · A in place of each W', async () => {
    const folder = base();
    await mergeCommand([folder, fixturePath('lora/llama-qv'), '--to', inFolder('merged')], say);
    const card = readFileSync(inFolder('merged', 'README.md'), 'utf8');
    expect(card).toMatch(/\| adapter \| .*llama-qv \|\n[\s\S]*\| rank \| 4 \|\n\| scale \| 2 \|\n/);
    const name = 'model.layers.0.self_attn.q_proj';
    const [before, after] = [folder, inFolder('merged')].map((path) => readTensors(`${path}/model.safetensors`));
    const adapter = readTensors(fixturePath('lora/llama-qv/adapter_model.safetensors'));
    const [a, b] = ['A', 'B'].map((part) => adapter.get(`base_model.model.${name}.lora_${part}.weight`)!);
    const [rank, input] = a!.shape as [number, number];
    const expected = before!.get(`${name}.weight`)!.values.map((value, at) => {
      const [row, column] = [Math.floor(at / input), at % input];
      let sum = 0;
      for (let r = 0; r < rank; r++) sum += b!.values[row * rank + r]! * a!.values[r * input + column]!;
      return value + 2 * sum; // alpha 8 / rank 4
    });
    expect(after!.get(`${name}.weight`)!.values).toBeAllclose(expected, { rtol: 1e-5, atol: 1e-6 });
    expect(after!.get('model.layers.0.self_attn.k_proj.weight')).toEqual(
      before!.get('model.layers.0.self_attn.k_proj.weight'),
    );
  });

  it('refuses what is missing, taken, or for another model', async () => {
    const folder = base();
    expect((await problemsOf(() => mergeCommand([folder], say), inFolder()))[0]).toMatch(
      /^merge: expected a base, an adapter and --to/,
    );
    expect(await problemsOf(() => mergeCommand([folder, folder, '--to', inFolder('m')], say), inFolder())).toEqual([
      'base: has no adapter_config.json; expected a folder written by PEFT or by a run with tuning.method lora.',
    ]);
    const adapter = fixturePath('lora/llama-qv');
    expect((await problemsOf(() => mergeCommand([folder, adapter, '--to', folder], say), inFolder()))[0]).toContain(
      'is there already',
    );
    const other = fixturePath('lora/gpt2-all');
    const problems = await problemsOf(() => mergeCommand([folder, other, '--to', inFolder('m')], say), inFolder());
    expect(problems.join()).toContain('belong to no linear layer of this model');
    expect(existsSync(inFolder('m'))).toBe(false);
  });
});

describe('rating-pairs', () => {
  const columns = { split: utf8('s'), text: utf8('t'), rating: float64('r') };
  const rows = ['train', 'test'].flatMap((split) =>
    Array.from({ length: 12 }, (_, i) => ({ split, text: `${split} ${i}`, rating: i / 4 })),
  );

  it('pairs texts of a split whose ratings differ enough, the higher one chosen, the same again for a seed', async () => {
    await writeTable(inFolder('rated.arrow'), columns, rows);
    const make = (to: string) =>
      ratingPairs([inFolder('rated.arrow'), '--difference', '1', '--pairs', '40', '--to', inFolder(to)], say);
    await make('a.arrow');
    await make('b.arrow');
    const pair = {
      split: utf8(''),
      chosen: utf8(''),
      rejected: utf8(''),
      rating_chosen: float64(''),
      rating_rejected: float64(''),
    };
    const [a, b] = ['a.arrow', 'b.arrow'].map((name) => readTable(inFolder(name), pair, 'x').rows);
    expect(a).toEqual(b);
    expect(a!.filter(({ split }) => split === 'train')).toHaveLength(40);
    expect(a!.filter(({ split }) => split === 'test')).toHaveLength(5);
    for (const { split, chosen, rejected, rating_chosen: high, rating_rejected: low } of a!) {
      expect(high - low).toBeGreaterThanOrEqual(1);
      expect([chosen.startsWith(split), rejected.startsWith(split)]).toEqual([true, true]);
      expect(rows.find(({ text }) => text === chosen)!.rating).toBe(high);
    }
  });

  it('names the texts of other splits, and those that are alone in theirs', async () => {
    const others = ['dev', 'dev', 'validation'].map((split, i) => ({ split, text: `${split} ${i}`, rating: i }));
    await writeTable(inFolder('rated.arrow'), columns, [...rows, ...others]);
    const said: string[] = [];
    const argv = [inFolder('rated.arrow'), '--pairs', '8', '--to', inFolder('d.arrow')];
    await ratingPairs(argv, (line) => void said.push(line));
    expect(said.slice(1)).toEqual([
      'texts that are not used: alone in split validation: 1, first at row 26',
      'texts that are not used: of split "dev" (expected train, validation, test): 2, first at row 24, row 25',
    ]);
  });

  it('refuses ratings that never differ so much', async () => {
    await writeTable(inFolder('rated.arrow'), columns, rows);
    const run = () => ratingPairs([inFolder('rated.arrow'), '--difference', '9', '--to', inFolder('c.arrow')], say);
    expect(await problemsOf(run, inFolder())).toEqual([
      'split train: no two ratings differ by 9; expected some. Lower --difference.',
    ]);
  });
});

describe('continue-prompts', () => {
  it('says which prompts and continuations were not used', async () => {
    const sizes = { vocab: byteTokenizer().vocabSize, context: 24, layers: 1, heads: 2, dModel: 8 };
    const model = newModel(llamaStyle(sizes), 'tokens', seededRandom(1, 'model'));
    mkdirSync(inFolder('model'));
    writeModelFolder(inFolder('model'), model, { tokenizer: byteTokenizer() });
    disposeModel(model);
    const rows = ['train', 'validation', 'test'].map((split) => ({ prompt: split[1], split }));
    writeFileSync(inFolder('prompts.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    const said: string[] = [];
    // Two tokens of a model that knows nothing are no sentence.
    const argv = [inFolder('model'), inFolder('prompts.jsonl'), '--to', inFolder('to.jsonl'), '--max-new-tokens', '2'];
    await continuePrompts([...argv, '--samples', '2', '--seed', '3'], (line) => void said.push(line));
    expect(said.slice(-3)).toEqual([
      `0 continuations in ${inFolder('to.jsonl')}`,
      'not written: prompts of split "test": 1, first at prompts-3',
      'not written: continuations without a whole sentence: 4, first at prompts-1-0, prompts-1-1, prompts-2-0',
    ]);
  });

  it('writes whole sentences of the model for every prompt, and refuses a file that is there', async () => {
    const model = tinyModel();
    mkdirSync(inFolder('model'));
    writeModelFolder(inFolder('model'), { ...model, dimensions: model.dimensions }, { tokenizer: byteTokenizer() });
    disposeModel(model);
    writeFileSync(inFolder('prompts.jsonl'), '{"prompt": "a", "split": "train"}\n');
    const run = (to: string) =>
      continuePrompts([inFolder('model'), inFolder('prompts.jsonl'), '--to', inFolder(to)], say);
    // A tokenizer of 259 tokens does not fit a model of 32.
    expect((await problemsOf(() => run('x.jsonl'), inFolder())).join()).toContain('expected no more tokens than rows');
    writeFileSync(inFolder('there.jsonl'), '');
    expect((await problemsOf(() => run('there.jsonl'), inFolder()))[0]).toContain('is there already');
  });
});

const stories =
  process.env.PLUMBLINE_STORIES260K ?? fileURLToPath(new URL('../../../shared/data/stories260k', import.meta.url));

describe('import-llama2c', () => {
  it('refuses files that are missing', async () => {
    const run = () => importLlama2c([inFolder('a.bin'), inFolder('b.bin'), inFolder('to')], say);
    expect(await problemsOf(run, inFolder())).toEqual([
      'a.bin: there is no such file. Correct the path.',
      'b.bin: there is no such file. Correct the path.',
    ]);
  });

  it.skipIf(!existsSync(stories))('writes a folder with a PAD of its own (needs stories260K)', async () => {
    await importLlama2c([`${stories}/stories260K.bin`, `${stories}/tok512.bin`, inFolder('stories')], say);
    const tokenizer = loadTokenizer(inFolder('stories'));
    expect([tokenizer.vocabSize, tokenizer.padId, tokenizer.bosId, tokenizer.addedPad]).toEqual([513, 512, 1, false]);
    const { model } = loadModelFolder(inFolder('stories'), { tokenizer });
    expect(model.dimensions).toMatchObject({ vocab: 513, layers: 5, heads: 8, kvHeads: 4, dModel: 64 });
    disposeModel(model);
    const config = JSON.parse(readFileSync(inFolder('stories', 'config.json'), 'utf8')) as object;
    expect(config).toMatchObject({ model_type: 'llama', pad_token_id: 512, vocab_size: 513 });
  });
});
