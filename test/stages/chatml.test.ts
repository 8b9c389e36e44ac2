/** ChatML on a base model whose vocabulary lacks its tokens: rows are added and learned, whole or beside adapters, and handed on. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { mergeCommand } from '../../scripts/merge.ts';
import { runStage } from '../../src/run/stage.ts';
import type { Lane } from '../../src/tensor/lane.ts';
import { Interrupted } from '../../src/terminal/interrupts.ts';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { loadConfig } from '../../src/yaml/load-config.ts';
import { InstructConfig } from '../../stages/1-instruct.config.ts';
import { instruct } from '../../stages/1-instruct.ts';
import { RewardConfig } from '../../stages/2-reward.config.ts';
import { reward } from '../../stages/2-reward.ts';
import { PpoConfig } from '../../stages/3-ppo.config.ts';
import { ppo } from '../../stages/3-ppo.ts';
import { tolerance } from '../helpers/allclose.ts';
import { problemsOf } from '../helpers/temporary-folder.ts';
import type { HostTensor } from '../helpers/tensors.ts';
import { readTensors } from '../helpers/tensors.ts';
import { filesBelow, interruptedAt, useSharedFolder, watchProgress } from '../helpers/tiny-runs.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';

const path = useSharedFolder();
const root = fileURLToPath(new URL('../../', import.meta.url));
/** The shipped base: 1536 tokens, its head is its embedding. */
const BASE = `${root}data/base`;
const [ROWS, WIDTH, TABLE] = [1536, 128, 'model.embed_tokens.weight'];
const read = (...parts: string[]): Record<string, unknown> =>
  JSON.parse(readFileSync(path(...parts), 'utf8')) as Record<string, unknown>;

const write = (name: string, rows: readonly unknown[]): string => {
  writeFileSync(path(name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return path(name);
};
const own = (folder: string, overrides: readonly string[] = []): InstructConfig =>
  loadConfig(InstructConfig, `${root}configs/instruct/own.yaml`, [
    ...[
      `model=${BASE}`,
      `run.folder=${path(folder)}`,
      `data.cache=${path('cache')}`,
      `data.file=${path('talk.jsonl')}`,
    ],
    ...['data.template=chatml', 'training.rows=2', 'evaluation.everySteps=2', 'checkpoints.everySteps=2'],
    ...overrides,
  ]);
const FULL = ['tuning={method: full}'];

beforeAll(() => {
  const talk = (i: number) => ({
    messages: [
      { role: 'user', content: `Ada has ${i} bowls. What has she?` },
      { role: 'assistant', content: `${i} bowls.` },
    ],
  });
  write(
    'talk.jsonl',
    Array.from({ length: 24 }, (_, i) => talk(i)),
  );
});

/** Rows of the embedding, from one to another. */
function rows(table: HostTensor | undefined, from: number, to: number): Float32Array {
  return table!.values.subarray(from * WIDTH, to * WIDTH);
}

/** What new rows begin as. */
function meanRow(table: HostTensor | undefined): Float32Array {
  return Float32Array.from({ length: WIDTH }, (_, i) => {
    let sum = 0;
    for (let row = 0; row < ROWS; row++) sum += table!.values[row * WIDTH + i]!;
    return sum / ROWS;
  });
}

describe.each(lanesToTest())('on the %s lane', (name) => {
  let lane: Lane;
  const said: string[] = [];
  const progress = watchProgress({ say: (line) => void said.push(line) });
  beforeAll(async () => {
    lane = await useLane(name);
    await runStage(instruct, own(`${name}/lora`), { lane, progress });
    await runStage(instruct, own(`${name}/full`, FULL), { lane, quiet: true });
  });

  it('says which rows are new, and writes a model that ends with the new token wherever it is opened', () => {
    expect(said).toContain(
      'template  chatml (data.template): 2 tokens added to the vocabulary (<|im_start|>, <|im_end|>), rows 1536–1537, ' +
        'trained (with LoRA beside the adapters)',
    );
    for (const folder of ['lora/best', 'full/best']) {
      const at = [name, ...folder.split('/')];
      expect(read(...at, 'config.json')).toMatchObject({ vocab_size: 1538, eos_token_id: 1537 });
      expect(read(...at, 'generation_config.json')).toMatchObject({ eos_token_id: [1537, 2], pad_token_id: 0 });
      expect(read(...at, 'tokenizer_config.json')).toMatchObject({ eos_token: '<|im_end|>' });
      const tokenizer = loadTokenizer(path(...at));
      expect(tokenizer).toMatchObject({ vocabSize: 1538, eosId: 1537, stopIds: [1537, 2], newTokens: [] });
    }
  });

  it('trains the new rows alone of the embedding under LoRA, and all of them otherwise', () => {
    const [before, lora, full] = [
      `${BASE}/model.safetensors`,
      path(name, 'lora/best/model.safetensors'),
      path(name, 'full/best/model.safetensors'),
    ].map((file) => readTensors(file).get(TABLE));
    expect([lora!.shape, full!.shape]).toEqual([
      [1538, WIDTH],
      [1538, WIDTH],
    ]);
    expect(rows(lora, 0, ROWS)).toEqual(before!.values);
    expect(rows(full, 0, ROWS)).not.toEqual(before!.values);
    const mean = meanRow(before);
    for (const table of [lora, full]) {
      const [start, end] = [rows(table, ROWS, ROWS + 1), rows(table, ROWS + 1, ROWS + 2)];
      expect(start).not.toEqual(end);
      for (const row of [start, end]) {
        const moved = row.map((value, i) => Math.abs(value - mean[i]!));
        // A few steps at the learning rate of the file: from the mean, and not far.
        expect([Math.max(...moved) > 1e-4, Math.max(...moved) < 0.1]).toEqual([true, true]);
      }
    }
  });

  it('has the rows in the adapter as in the merged model, with the tokenizer that makes PEFT grow the base', () => {
    expect(read(name, 'lora/best/adapter/adapter_config.json')).toMatchObject({
      trainable_token_indices: { embed_tokens: [1536, 1537] },
    });
    const held = readTensors(path(name, 'lora/best/adapter/adapter_model.safetensors'));
    const { shape, values } = held.get('base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta')!;
    const merged = readTensors(path(name, 'lora/best/model.safetensors')).get(TABLE);
    expect([shape, values]).toEqual([[2, WIDTH], rows(merged, ROWS, ROWS + 2)]);
    expect(loadTokenizer(path(name, 'lora/best/adapter')).hash).toBe(loadTokenizer(path(name, 'lora/best')).hash);
  });

  it('merges into the base, whose tables grow, to the model that the run left merged', async () => {
    await mergeCommand([BASE, path(name, 'lora'), '--to', path(name, 'merged')], () => undefined);
    const [merged, left] = ['merged', 'lora/best'].map((folder) =>
      readTensors(path(name, folder, 'model.safetensors')),
    );
    expect([...merged!.keys()]).toEqual([...left!.keys()]);
    expect(merged!.get(TABLE)).toEqual(left!.get(TABLE));
    for (const [key, { values }] of left!)
      expect(merged!.get(key)!.values, key).toBeAllclose(values, tolerance.forward);
    expect(loadTokenizer(path(name, 'merged')).hash).toBe(loadTokenizer(path(name, 'lora/best')).hash);
  });

  it.each([
    ['lora', []],
    ['full', FULL],
  ])('goes on after a stop to the same bytes: %s', async (method, more) => {
    const config = own(`${name}/stopped ${method}`, more);
    await expect(runStage(interruptedAt(instruct, 3), config, { lane, quiet: true })).rejects.toThrow(Interrupted);
    await runStage(instruct, config, { lane, quiet: true, resume: true });
    const [whole, stopped] = [method, `stopped ${method}`].map((run) => filesBelow(path(name, run, 'best')));
    expect(stopped).toEqual(whole);
  });

  it('is a model that stages 2 and 3 go on with, adapters on its merged weights', async () => {
    const answers = (i: number) => ({ prompt: `Who has ${i} bowls?`, chosen: 'Ada.', rejected: `Nobody has ${i}.` });
    const pairs = write(
      'pairs.jsonl',
      Array.from({ length: 8 }, (_, i) => answers(i)),
    );
    const [policy, judge] = [path(name, 'lora'), path(name, 'reward')];
    const rewardConfig = loadConfig(RewardConfig, `${root}configs/reward/own.yaml`, [
      ...[`model=${policy}`, `run.folder=${judge}`, `pairs=${pairs}`, 'sequence.length=64', 'training.pairs=2'],
    ]);
    await runStage(reward, rewardConfig, { lane, quiet: true });
    const ppoConfig = loadConfig(PpoConfig, `${root}configs/ppo/own.yaml`, [
      ...[`policy=${policy}`, `reward=${judge}`, `run.folder=${path(name, 'ppo')}`, `prompts.file=${pairs}`],
      ...[
        'rollout={iterations: 1, batch: 4}',
        'updates={epochs: 1, minibatches: 1}',
        'sampling.maxNewTokens=4',
        'memory.frozen=float32',
      ],
    ]);
    const heard: string[] = [];
    await runStage(ppo, ppoConfig, { lane, progress: watchProgress({ say: (line) => void heard.push(line) }) });
    expect(heard.join('\n')).toContain('one trunk in memory');
    const [before, after] = ['lora/best', 'ppo/model'].map((folder) =>
      readTensors(path(name, folder, 'model.safetensors')).get(TABLE),
    );
    expect(after).toEqual(before);
    expect(loadTokenizer(path(name, 'ppo/model'))).toMatchObject({ vocabSize: 1538, eosId: 1537 });
  });
});

it('is refused where the new rows would never be learned', async () => {
  const config = own('frozen', ['tuning={method: full, freeze: {embeddings: true}}']);
  expect(await problemsOf(() => instruct.check(config), path())).toEqual([
    expect.stringMatching(/^tuning\.freeze\.embeddings: expected false, as 2 tokens were added .* received true\./),
  ]);
});
