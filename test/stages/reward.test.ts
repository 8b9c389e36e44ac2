/** Stage 2 on a tiny world: what it writes, that it learns preferences, and that scores come out normalised. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkModelFolder, loadModelFolder } from '../../src/checkpoint/model-folder.ts';
import { scoreSequences } from '../../src/evaluation/pair-quality.ts';
import { pairIds } from '../../src/examples/preference.ts';
import { disposeModel } from '../../src/model/model.ts';
import type { Summary } from '../../src/run/stage.ts';
import { runStage } from '../../src/run/stage.ts';
import { writeTable } from '../../src/tables/arrow-file.ts';
import { utf8 } from '../../src/tables/columns.ts';
import type { Lane } from '../../src/tensor/lane.ts';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { reward, rewardMetrics } from '../../stages/2-reward.ts';
import '../helpers/allclose.ts';
import { rewardConfig } from '../helpers/tiny-configs.ts';
import {
  arrowColumns,
  arrowRows,
  checkedManifest,
  namesIn,
  readMetrics,
  seriesOf,
  useSharedFolder,
} from '../helpers/tiny-runs.ts';
import type { TinyWorld } from '../helpers/tiny-world.ts';
import { makeTinyWorld, tinyPairs } from '../helpers/tiny-world.ts';
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
    summary = await run('run', { training: { epochs: 8 } });
  });
  const at = (folder: string): string => path(name, folder);
  const run = (folder: string, changes = {}) =>
    runStage(reward, rewardConfig(world, world.base, at(folder), changes), { lane, quiet: true });

  it('writes what it says it writes, and a manifest whose hashes are those on disk', async () => {
    expect(namesIn(at('run'))).toEqual([
      'calibration.arrow',
      'checkpoints',
      'config.yaml',
      'manifest.json',
      'metrics.arrow',
      'model',
      'samples.arrow',
    ]);
    const { manifest, wrong } = await checkedManifest(at('run'));
    expect(wrong).toEqual([]);
    expect(manifest).toMatchObject({ stage: 'reward', status: 'finished', lane: name, seed: 1, summary });
    expect(manifest.parents).toMatchObject([{ role: 'model', path: world.base }]);
    expect(manifest.inputs.map(({ role, path: file }) => [role, file])).toEqual([
      ['pairs', world.pairs],
      ['heldOut', world.heldOutPairs],
    ]);
    expect(manifest.outputs.map(({ role, path: file }) => [role, file])).toEqual([
      ['model', 'model'],
      ['samples', 'samples.arrow'],
      ['calibration', 'calibration.arrow'],
    ]);
    // 6 pairs, 3 an update, 8 passes.
    expect(readMetrics(at('run'), rewardMetrics).map(({ step }) => step)).toEqual(
      Array.from({ length: 17 }, (_, i) => i),
    );
  });

  it('learns which of two responses is preferred', () => {
    const rows = readMetrics(at('run'), rewardMetrics);
    const losses = seriesOf(rows, 'loss/train');
    expect(losses[0]).toBeGreaterThan(0.3);
    expect(losses.at(-1)).toBeLessThan(0.1);
    expect(seriesOf(rows, 'accuracy/train').at(-1)).toBe(1);
    expect(seriesOf(rows, 'margin/train').at(-1)).toBeGreaterThan(2);
  });

  it('stores the mean and deviation that normalise the training responses', () => {
    const { model, normalisation } = loadModelFolder(at('run/model'), { tokenizer: null });
    const tokenizer = loadTokenizer(world.tokenizer);
    const sequences = tinyPairs(world, tokenizer)
      .slice(0, 6)
      .flatMap((row) => Object.values(pairIds(row)));
    const scores = scoreSequences(model, sequences, tokenizer.padId).map(
      (score) => (score - normalisation.mean) / normalisation.deviation,
    );
    expect([scores.reduce((sum, score) => sum + score, 0) / 12]).toBeAllclose([0], { atol: 1e-4 });
    expect([scores.reduce((sum, score) => sum + score ** 2, 0) / 11]).toBeAllclose([1], { rtol: 1e-4 });
    expect(summary).toMatchObject({ rewardMean: normalisation.mean, rewardSd: normalisation.deviation });
    disposeModel(model);
  });

  it('judges every held-out pair once', () => {
    const samples = arrowRows(at('run/samples.arrow'));
    expect(samples).toHaveLength(2);
    const right = samples.filter(({ score_chosen, score_rejected }) => Number(score_chosen) > Number(score_rejected));
    expect(summary.heldOutAccuracy).toBe(right.length / 2);
    const bins = arrowRows(at('run/calibration.arrow'));
    expect(bins).toHaveLength(10);
    expect(bins.reduce((sum, { count }) => sum + Number(count), 0)).toBe(2);
    const error = bins.reduce(
      (sum, { count, accuracy, confidence }) =>
        sum + (Number(count) / 2) * Math.abs(Number(accuracy) - Number(confidence)),
      0,
    );
    expect([summary.ece as number]).toBeAllclose([error]);
  });

  it('trains on pairs of texts as on the same pairs with tokens, and judges groups apart', async () => {
    const columns = { prompt: utf8('Prompt.'), chosen: utf8('Chosen.'), rejected: utf8('Rejected.') };
    const rows = tinyPairs(world, loadTokenizer(world.tokenizer));
    const [pairs, heldOut] = [path(name, 'texts.arrow'), path(name, 'held-out texts.arrow')];
    await writeTable(pairs, columns, rows.slice(0, 6));
    const topics = ['tea', 'rain'].map((topic, i) => ({ ...rows[6 + i]!, topic }));
    await writeTable(heldOut, { ...columns, topic: utf8('Topic.') }, topics);
    const found = await run('texts', { pairs, heldOut, groupBy: 'topic', training: { epochs: 8 } });
    const losses = (folder: string) => seriesOf(readMetrics(at(folder), rewardMetrics), 'loss/train');
    expect(losses('texts')).toEqual(losses('run'));
    expect(found).toMatchObject({ data: { train: { pairs: 6, cut: 0, dropped: 0 }, heldOut: { pairs: 2 } } });
    const samples = arrowRows(at('texts/samples.arrow'));
    expect(samples.every(({ gold_chosen, flipped }) => gold_chosen === null && flipped === null)).toBe(true);
    const right = samples.map(({ score_chosen, score_rejected }) =>
      Number(Number(score_chosen) > Number(score_rejected)),
    );
    expect(arrowRows(at('texts/groups.arrow'))).toEqual([
      { group: 'rain', pairs: 1, accuracy: right[1] },
      { group: 'tea', pairs: 1, accuracy: right[0] },
    ]);
    expect(found.groupAccuracy).toBe((right[0]! + right[1]!) / 2);
    const told = Object.entries(found).filter(([name]) => name.startsWith('accuracy: '));
    expect(told.map(([, accuracy]) => accuracy)).toEqual([right[1], right[0]]);
    expect(found.heldOutAccuracy).toBe(found.labelAccuracy);
  });

  it('scores by likelihood: a language model that says it is a reward model, and how its scores are normalised', async () => {
    const found = await run('likelihood', { score: 'likelihood', training: { epochs: 8 } });
    const rows = readMetrics(at('likelihood'), rewardMetrics);
    expect(seriesOf(rows, 'loss/train').at(-1)).toBeLessThan(0.1);
    expect(seriesOf(rows, 'accuracy/train').at(-1)).toBe(1);
    const folder = at('likelihood/model');
    const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
    expect(config.architectures).toEqual(['LlamaForCausalLM']);
    expect(config.plumbline).toEqual({
      reward_normalisation: { mean: found.rewardMean, deviation: found.rewardSd },
    });
    const tokenizer = loadTokenizer(folder);
    const expected = { where: 'it', kind: 'reward model', tokenizer } as const;
    expect(checkModelFolder(folder, expected).vocab).toBe(
      checkModelFolder(world.base, { ...expected, kind: 'language model' }).vocab,
    );
    expect(() => checkModelFolder(folder, { ...expected, kind: 'language model' })).toThrow(
      'it: is a reward model; expected a language model. Name another checkpoint.',
    );
    // In samples.arrow scores are as the loss has them: 5 times the mean log-probability, and no log-probability is above 0.
    const { model } = loadModelFolder(folder, { tokenizer: null });
    const heldOut = tinyPairs(world, tokenizer).slice(6).map(pairIds);
    const scores = scoreSequences(
      model,
      heldOut.flatMap(({ chosen, rejected }) => [chosen, rejected]),
      tokenizer.padId,
    );
    const written = arrowRows(at('likelihood/samples.arrow')).flatMap((row) => [row.score_chosen, row.score_rejected]);
    expect(written.map(Number)).toBeAllclose(
      scores.map((score) => 5 * score),
      { rtol: 1e-5 },
    );
    expect(Math.max(...scores)).toBeLessThan(0);
    disposeModel(model);
  });

  it('asks for the margin of a pair where it is told to', async () => {
    await run('plain', { training: { epochs: 0.5 }, loss: { centring: 0 } });
    await run('margin', { training: { epochs: 0.5 }, loss: { centring: 0, useMargin: true } });
    await run('centred', { training: { epochs: 0.5 }, loss: { centring: 1 } });
    const [plain, margin, centred] = ['plain', 'margin', 'centred'].map(
      (folder) => seriesOf(readMetrics(at(folder), rewardMetrics), 'loss/train')[0]!,
    );
    // −log σ has slope −1 … 0, so a margin of 0.5 raises the loss by less than 0.5.
    expect(margin! - plain!).toBeGreaterThan(0.05);
    expect(margin! - plain!).toBeLessThan(0.5);
    expect(centred).toBeGreaterThan(plain!);
  });
});

it('describes every column', () => {
  const folder = path(lanesToTest()[0]!, 'run');
  expect(arrowColumns(join(folder, 'metrics.arrow'))).toEqual([
    'step: Int32',
    ...Object.keys(rewardMetrics).map((column) => `${column}: Float64`),
  ]);
  expect(arrowColumns(join(folder, 'samples.arrow'))).toEqual([
    ...['prompt', 'chosen', 'rejected'].map((column) => `${column}: Utf8`),
    ...['score_chosen', 'score_rejected', 'gold_chosen', 'gold_rejected'].map((column) => `${column}: Float32`),
    'flipped: Bool',
  ]);
  expect(arrowColumns(join(folder, 'calibration.arrow'))).toEqual([
    'from: Float32',
    'to: Float32',
    'count: Int32',
    'confidence: Float32',
    'accuracy: Float32',
  ]);
});
