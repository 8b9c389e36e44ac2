/** Stage 0 on a tiny world: what it writes, that it learns, and that its options do what they say. */
import { readFileSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadModelFolder } from '../../src/checkpoint/model-folder.ts';
import { disposeModel } from '../../src/model/model.ts';
import type { Summary } from '../../src/run/stage.ts';
import { runStage } from '../../src/run/stage.ts';
import type { Lane } from '../../src/tensor/lane.ts';
import { pretrain, pretrainMetrics } from '../../stages/0-pretrain.ts';
import { tolerance } from '../helpers/allclose.ts';
import { notAsDeclared } from '../helpers/declared.ts';
import { pretrainConfig } from '../helpers/tiny-configs.ts';
import {
  arrowColumns,
  checkedManifest,
  namesIn,
  readMetrics,
  seriesOf,
  useSharedFolder,
} from '../helpers/tiny-runs.ts';
import type { TinyWorld } from '../helpers/tiny-world.ts';
import { makeTinyWorld } from '../helpers/tiny-world.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';

const path = useSharedFolder();
let world: TinyWorld;
beforeAll(async () => {
  world = await makeTinyWorld(path('world'));
});

describe.each(lanesToTest())('on the %s lane', (name) => {
  let lane: Lane;
  let summary: Summary;
  beforeAll(async () => {
    lane = await useLane(name);
    summary = await run('run', { checkpoints: { everySteps: 1, keepLast: 2 } });
  });
  const at = (folder: string): string => path(name, folder);
  const run = (folder: string, changes = {}) =>
    runStage(pretrain, pretrainConfig(world, at(folder), changes), { lane, quiet: true });

  it('writes what it says it writes, and a manifest whose hashes are those on disk', async () => {
    expect(namesIn(at('run'))).toEqual(['checkpoints', 'config.yaml', 'manifest.json', 'metrics.arrow', 'model']);
    expect(notAsDeclared(pretrain, at('run'))).toEqual([]);
    expect(namesIn(at('run/checkpoints'))).toEqual(['step-000003', 'step-000004']);
    const model = [
      'config.json',
      'generation_config.json',
      'model.safetensors',
      'tokenizer.json',
      'tokenizer_config.json',
    ];
    expect(namesIn(at('run/model'))).toEqual(['README.md', ...model]);
    expect(namesIn(at('run/checkpoints/step-000004'))).toEqual(
      [...model, 'optimizer.safetensors', 'state.json'].sort(),
    );
    const { manifest, wrong } = await checkedManifest(at('run'));
    expect(wrong).toEqual([]);
    expect(manifest).toMatchObject({
      stage: 'pretrain',
      status: 'finished',
      lane: name,
      seed: 1,
      parents: [],
      summary,
    });
    expect(manifest.inputs.map(({ role, path: file }) => [role, file])).toEqual([
      ['corpus', world.corpus],
      ['heldOut', world.heldOut],
      ['tokenizer', `${world.tokenizer}/tokenizer.json`],
      ['tokenizer config', `${world.tokenizer}/tokenizer_config.json`],
    ]);
    expect(readFileSync(at('run/model/README.md'), 'utf8')).toMatch(
      /# Pre-training\n[\s\S]*\| loss on held-out documents \| \d/,
    );
    expect(manifest.outputs.map(({ role, path: file }) => [role, file])).toEqual([['model', 'model']]);
    // 448 · 32 of the embedding; a layer has norms, query, key and value for 4 + 2 · 2 heads of 8, output, gate, up and down.
    const layer = 2 * 32 + 32 * 64 + 32 * 32 + 2 * 32 * 64 + 64 * 32;
    expect(summary).toMatchObject({ steps: 4, parameters: 448 * 32 + 2 * layer + 32 });
    const [, ...trained] = seriesOf(readMetrics(at('run'), pretrainMetrics), 'loss/held_out');
    expect(summary.heldOutLoss).toBe(Math.min(...trained));
  });

  it('writes one row of metrics a step, with a described column for each', () => {
    const rows = readMetrics(at('run'), pretrainMetrics);
    expect(rows.map(({ step }) => step)).toEqual([0, 1, 2, 3, 4]);
    expect(rows.map((row) => row['loss/held_out'] !== null)).toEqual([true, false, true, false, true]);
    expect(arrowColumns(at('run/metrics.arrow'))).toEqual([
      'step: Int32',
      ...Object.keys(pretrainMetrics).map((column) => `${column}: Float64`),
    ]);
  });

  it('compiles nothing more after its first step', () => {
    const graphs = readMetrics(at('run'), pretrainMetrics)
      .slice(1)
      .map((row) => row['speed/graphs']);
    expect(new Set(graphs).size).toBe(1);
    expect(graphs[0] !== null).toBe(lane.name === 'tensorflow');
  });

  it('begins at the loss of a model that knows nothing', () => {
    const [first] = seriesOf(readMetrics(at('run'), pretrainMetrics), 'loss/train');
    expect(Math.abs(first! - Math.log(448))).toBeLessThan(0.05);
  });

  it('learns one batch by heart', async () => {
    const corpus = path(`${name}.jsonl`);
    const [line = ''] = readFileSync(world.corpus, 'utf8').split('\n');
    const { id, kind, text } = JSON.parse(line) as { id: string; kind: string; text: string };
    writeFileSync(corpus, JSON.stringify({ id, kind, text: text.slice(0, 120) }));
    const changes = {
      corpus,
      heldOut: corpus,
      training: { steps: 40, rows: 2 },
      optimizer: { learningRate: 2e-2, weightDecay: 0 },
    };
    const learned = await run('one batch', { ...changes, evaluation: { everySteps: 40 } });
    expect(seriesOf(readMetrics(at('one batch'), pretrainMetrics), 'loss/train').at(-1)).toBeLessThan(1.5);
    expect(learned.heldOutLoss).toBeLessThan(1.5);
  });

  it('makes the same updates of whole batches and of micro-batches', async () => {
    await run('accumulated', { training: { microBatch: 1 } });
    const [whole, split] = ['run', 'accumulated'].map((folder) => readMetrics(at(folder), pretrainMetrics));
    for (const metric of ['loss/train', 'loss/held_out', 'optimizer/gradient_norm']) {
      expect(seriesOf(split!, metric)).toBeAllclose(seriesOf(whole!, metric), tolerance.trajectory);
    }
  });

  it('makes GPT-2 style models too, and stores the last one for the next stage', async () => {
    await run('gpt2', { model: { style: 'gpt2', kvHeads: 4 }, training: { steps: 2 } });
    const { model } = loadModelFolder(at('gpt2/model'), { tokenizer: null });
    expect(model.dimensions).toMatchObject({ norm: 'layer', positions: 'learned', layers: 2, context: 64 });
    disposeModel(model);
  });
});

it('gives the same bytes for the same seed, and other ones for another', async () => {
  const lane = await useLane();
  const weights = async (folder: string, seed: number): Promise<string> => {
    await runStage(pretrain, pretrainConfig(world, path(folder), { run: { seed } }), { lane, quiet: true });
    return readFileSync(path(folder, 'model/model.safetensors')).toString('base64');
  };
  const [first, again, other] = [await weights('a', 1), await weights('b', 1), await weights('c', 2)];
  expect(again === first).toBe(true);
  expect(other === first).toBe(false);
});
