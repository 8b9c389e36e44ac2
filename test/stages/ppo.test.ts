/** Stage 3 on a tiny world: what it writes, what it changes and what it leaves alone, and its switches. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { ppoMetrics } from '../../src/alignment/ppo-metrics.ts';
import type { Summary } from '../../src/run/stage.ts';
import { runStage } from '../../src/run/stage.ts';
import type { Lane } from '../../src/tensor/lane.ts';
import { Interrupted } from '../../src/terminal/interrupts.ts';
import { reward } from '../../stages/2-reward.ts';
import { ppo } from '../../stages/3-ppo.ts';
import '../helpers/allclose.ts';
import type { TinyRuns } from '../helpers/tiny-configs.ts';
import { ppoConfig, rewardConfig } from '../helpers/tiny-configs.ts';
import { makeParents } from '../helpers/tiny-parents.ts';
import {
  arrowColumns,
  arrowRows,
  checkedManifest,
  filesBelow,
  interruptedAt,
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

const iterations = 4;
const batch = 6;

describe.each(lanesToTest())('on the %s lane', (name) => {
  let lane: Lane;
  let runs: TinyRuns;
  let parents: Record<string, string>;
  let summary: Summary;
  beforeAll(async () => {
    lane = await useLane(name);
    runs = await makeParents(world, path(name), lane);
    parents = { ...filesBelow(runs.instruct), ...filesBelow(runs.reward) };
    summary = await run('ppo', { rollout: { iterations } });
  });
  const run = (folder: string, changes = {}) =>
    runStage(ppo, ppoConfig(world, runs, path(name, folder), changes), { lane, quiet: true });
  const metricsOf = (folder: string) => readMetrics(path(name, folder), ppoMetrics);
  /** One metric of the iterations of a run. */
  const series = (folder: string, metric: keyof typeof ppoMetrics): number[] => seriesOf(metricsOf(folder), metric);

  it('writes what it says it writes, and a manifest whose hashes are those on disk', async () => {
    expect(namesIn(runs.ppo)).toEqual([
      'checkpoints',
      'config.yaml',
      'manifest.json',
      'metrics.arrow',
      'model',
      'rollouts.arrow',
      'samples.arrow',
    ]);
    expect(namesIn(join(runs.ppo, 'checkpoints', 'step-000004', 'critic'))).toContain('optimizer.safetensors');
    const { manifest, wrong } = await checkedManifest(runs.ppo);
    expect(wrong).toEqual([]);
    expect(manifest).toMatchObject({ stage: 'ppo', status: 'finished', lane: name, seed: 1, summary });
    expect(manifest.parents).toMatchObject([
      { role: 'policy', path: runs.instruct },
      { role: 'reward', path: runs.reward },
    ]);
    expect(manifest.inputs.map(({ role }) => role)).toEqual([
      'tables',
      'templates',
      'held-out tables',
      'held-out templates',
    ]);
    expect(manifest.outputs.map(({ role, path: file }) => [role, file])).toEqual([
      ['model', 'model'],
      ['samples', 'samples.arrow'],
      ['rollouts', 'rollouts.arrow'],
    ]);
  });

  it('trains the policy and leaves its parents as they were', () => {
    expect({ ...filesBelow(runs.instruct), ...filesBelow(runs.reward) }).toEqual(parents);
    const weights = (folder: string): string => readFileSync(join(folder, 'model.safetensors')).toString('base64');
    expect(weights(join(runs.ppo, 'model')) === weights(join(runs.instruct, 'best'))).toBe(false);
  });

  it('learns from a reward model by likelihood, whose critic begins with values of 0, to the same bytes when resumed', async () => {
    const judged = path(name, 'by likelihood');
    const settings = rewardConfig(world, runs.instruct, judged, { score: 'likelihood' });
    await runStage(reward, settings, { lane, quiet: true });
    const changes = { reward: judged, checkpoints: { everySteps: 1 } };
    await run('likelihood', changes);
    const stopped = ppoConfig(world, runs, path(name, 'likelihood stopped'), changes);
    await expect(runStage(interruptedAt(ppo, 1), stopped, { lane, quiet: true })).rejects.toThrow(Interrupted);
    await runStage(ppo, stopped, { lane, quiet: true, resume: true });
    const weights = ['likelihood', 'likelihood stopped'].map((folder) =>
      readFileSync(path(name, folder, 'model', 'model.safetensors')).toString('base64'),
    );
    expect(weights[1]).toBe(weights[0]);
    // Values of 0 explain nothing, exactly.
    expect(seriesOf(readMetrics(path(name, 'likelihood'), ppoMetrics), 'value/explained_variance')[0]).toBe(0);
  });

  it('begins with KL 0, and each rollout with approx_kl 0 and ratio 1 (N+ log shape)', () => {
    expect([series('ppo', 'kl/response')[0]!]).toBeAllclose([0], { atol: 1e-4 });
    expect([series('ppo', 'held_out/kl')[0]!]).toBeAllclose([0], { atol: 1e-4 });
    expect(series('ppo', 'policy/approx_kl_first')).toBeAllclose([0, 0, 0, 0], { atol: 1e-8 });
    const later = series('ppo', 'policy/approx_kl');
    expect(later.every((kl) => kl > 1e-6)).toBe(true);
    expect(
      series('ppo', 'kl/response')
        .slice(1)
        .every((kl) => kl !== 0),
    ).toBe(true);
  });

  it('logs every response of every rollout, and means of them', () => {
    const rows = arrowRows(join(runs.ppo, 'rollouts.arrow'));
    expect(rows).toHaveLength(iterations * batch);
    const mean = (step: number, column: string): number =>
      rows.filter((row) => row.step === step).reduce((sum, row) => sum + Number(row[column]), 0) / batch;
    const steps = [1, 2, 3, 4];
    for (const [column, metric] of [
      ['reward', 'reward/score'],
      ['gold', 'reward/gold'],
      ['kl', 'kl/response'],
      ['length', 'response/length'],
    ] as const) {
      expect(steps.map((step) => mean(step, column))).toBeAllclose(series('ppo', metric), { rtol: 1e-5, atol: 1e-6 });
    }
    expect(rows.every(({ length }) => Number(length) >= 1 && Number(length) <= 8)).toBe(true);
    // Four held-out prompts before the first rollout, after the second and after the fourth.
    const samples = arrowRows(join(runs.ppo, 'samples.arrow'));
    expect(samples.map(({ step }) => step)).toEqual([0, 2, 4].flatMap((step) => [step, step, step, step]));
    expect(series('ppo', 'held_out/gold')).toHaveLength(3);
    const last = samples.slice(8).reduce((sum, { gold }) => sum + Number(gold), 0) / 4;
    expect([summary.gold as number]).toBeAllclose([last]);
  });

  it('takes the KL penalty off the score', () => {
    const [score, kl, weight] = [
      series('ppo', 'reward/score'),
      series('ppo', 'kl/response'),
      series('ppo', 'kl/weight'),
    ];
    expect(weight).toEqual([0.05, 0.05, 0.05, 0.05]);
    expect(series('ppo', 'reward/rlhf')).toBeAllclose(score.map((value, i) => value - 0.05 * kl[i]!));
  });

  it('gives responses without EOS the score of the configuration', async () => {
    await run('no eos', { rollout: { iterations: 1, missingEosScore: -7 } });
    const rows = arrowRows(path(name, 'no eos', 'rollouts.arrow'));
    const unfinished = rows.filter(({ reward }) => reward === -7);
    const share = series('no eos', 'response/eos_fraction')[0]!;
    expect([unfinished.length / batch]).toBeAllclose([1 - share]);
    expect(unfinished.length).toBeGreaterThan(0);
  });

  it('steers β to a KL where it is adaptive', async () => {
    await run('adaptive', { kl: { control: 'adaptive', target: 0.001, horizon: 60 }, rollout: { iterations: 3 } });
    const [kl, weight] = [series('adaptive', 'kl/response'), series('adaptive', 'kl/weight')];
    // Ziegler et al. 2019, section 2.2: β ← β (1 + clip(KL / target − 1, ±0.2) · batch / horizon).
    const expected = [0.05];
    for (const value of kl.slice(0, 2)) {
      const error = Math.min(0.2, Math.max(-0.2, value / 0.001 - 1));
      expected.push(expected.at(-1)! * (1 + (error * batch) / 60));
    }
    expect(weight).toBeAllclose(expected);
    expect(weight[1]).not.toBe(weight[0]);
  });

  it('learns from prompts and conversations of a file of one’s own, of which it holds some out', async () => {
    const talk = [
      { role: 'system', content: 'Be kind.' },
      { role: 'user', content: 'Good morning!' },
      { role: 'assistant', content: 'Hello.' },
      { role: 'user', content: 'Where is the mill?' },
    ];
    const rows = [talk, ...Array.from({ length: 7 }, (_, i) => `Where is house ${i}?`)];
    const file = path(name, 'own.jsonl');
    writeFileSync(file, rows.map((prompt) => `${JSON.stringify({ prompt })}\n`).join(''));
    const prompts = { file, tables: undefined, templates: undefined, split: 'train' };
    const own = await run('own', {
      prompts,
      heldOut: undefined,
      evaluation: { share: 0.3 },
      rollout: { iterations: 2 },
    });
    expect(own).toMatchObject({ gold: null, iterations: 2 });
    const shown = ['Be kind.\n\nGood morning!\n Hello.\nWhere is the mill?', ...rows.slice(1)].sort();
    const columnOf = (table: string) => arrowRows(path(name, 'own', table)).map(({ prompt }) => prompt);
    const [asked, held] = [new Set(columnOf('rollouts.arrow')), new Set(columnOf('samples.arrow'))];
    expect(held.size).toBe(2);
    expect([...asked, ...held].sort()).toEqual(shown);
    const { manifest, wrong } = await checkedManifest(path(name, 'own'));
    expect(wrong).toEqual([]);
    expect(manifest.inputs).toMatchObject([{ role: 'file', path: file }]);
  });

  describe('with a pre-training mix', () => {
    const short = { rollout: { iterations: 1 }, updates: { epochs: 1, minibatches: 1 } };
    const mixed = async (folder: string, pretrainingMix: object) => {
      await run(folder, { ...short, pretrainingMix: { length: 144, ...pretrainingMix } });
      const [[loss], [ratio]] = [series(folder, 'policy/mix_loss'), series(folder, 'policy/mix_gradient_ratio')];
      return { loss: loss!, ratio: ratio!, weights: readFileSync(path(name, folder, 'model/model.safetensors')) };
    };
    const examples = () => join(runs.instruct, 'instruct.arrow');

    it('learns the examples of the policy’s own run too: every key changes the number it is there for', async () => {
      await run('no mix', short);
      const plain = readFileSync(path(name, 'no mix', 'model/model.safetensors'));
      const first = await mixed('mix', {});
      expect(first.weights.equals(plain)).toBe(false);
      expect(Math.abs(first.loss)).toBeLessThan(10);
      const double = await mixed('mix double', { coefficient: 2 });
      expect([double.loss, double.ratio]).toBeAllclose([first.loss, 2 * first.ratio]);
      expect(double.weights.equals(first.weights)).toBe(false);
      const none = await mixed('mix measured', { coefficient: 0 });
      expect([none.loss, none.ratio]).toBeAllclose([first.loss, 0]);
      expect(none.weights.equals(plain)).toBe(true);
      const other = [await mixed('mix rows', { rows: 2 }), await mixed('mix tasks', { tasks: ['chat'] })];
      for (const { loss } of other) expect(loss).not.toBeCloseTo(first.loss, 4);
      const named = await mixed('mix named', { examples: examples() });
      expect(named.weights.equals(first.weights)).toBe(true);
      const { manifest, wrong } = await checkedManifest(path(name, 'mix'));
      expect(wrong).toEqual([]);
      expect(manifest.inputs).toContainEqual(expect.objectContaining({ role: 'examples', path: examples() }));
      expect(readFileSync(path(name, 'mix', 'model/README.md'), 'utf8')).toContain('pre-training mix');
    });

    it('is checked before any weights are read', async () => {
      const check = (pretrainingMix: object) =>
        ppo.check(ppoConfig(world, runs, path(name, 'mix check'), { ...short, pretrainingMix }));
      expect(await check({ length: 144, rows: 3 })).toContainEqual(
        expect.stringMatching(
          /^mix {2}24 examples of .*instruct\.arrow in \d+ packed rows of 144 tokens; 3 an update, γ 1$/,
        ),
      );
      await expect(check({ length: 12 })).rejects.toThrow(/instruct\.arrow: row \d+: expected at most 12 tokens/);
    });
  });

  it('stops the passes over a rollout at the target KL', async () => {
    await run('target', { updates: { targetKl: 1e-9, epochs: 4 }, rollout: { iterations: 1 } });
    expect(series('target', 'policy/inner_epochs')[0]).toBeLessThan(4);
  });
});

it('describes every column', () => {
  const folder = path(lanesToTest()[0]!, 'ppo');
  expect(arrowColumns(join(folder, 'metrics.arrow'))).toEqual([
    'step: Int32',
    ...Object.keys(ppoMetrics).map((column) => `${column}: Float64`),
  ]);
  const answers = ['step: Int32', 'prompt: Utf8', 'response: Utf8'];
  const scores = ['gold: Float32', 'reward: Float32', 'kl: Float32', 'length: Int32'];
  expect(arrowColumns(join(folder, 'samples.arrow'))).toEqual([...answers, ...scores]);
  expect(arrowColumns(join(folder, 'rollouts.arrow'))).toEqual([...answers, ...scores]);
});
