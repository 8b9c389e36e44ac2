/** Stage 4 on a tiny world: what it writes, and that a policy that was not changed neither wins nor loses. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { EvaluationRow } from '../../src/report/chain-summary.ts';
import type { Summary } from '../../src/run/stage.ts';
import { runStage } from '../../src/run/stage.ts';
import type { Lane } from '../../src/tensor/lane.ts';
import { evaluate } from '../../stages/4-evaluate.ts';
import '../helpers/allclose.ts';
import type { TinyRuns } from '../helpers/tiny-configs.ts';
import { evaluateConfig } from '../helpers/tiny-configs.ts';
import { makeParents } from '../helpers/tiny-parents.ts';
import {
  arrowColumns,
  arrowRows,
  checkedManifest,
  namesIn,
  useSharedFolder,
  watchProgress,
} from '../helpers/tiny-runs.ts';
import type { TinyWorld } from '../helpers/tiny-world.ts';
import { makeTinyWorld } from '../helpers/tiny-world.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';

const path = useSharedFolder();
let world: TinyWorld;
beforeAll(async () => {
  mkdirSync(path('world'));
  world = await makeTinyWorld(path('world'));
});

describe.each(lanesToTest())('on the %s lane', (name) => {
  let lane: Lane;
  let runs: TinyRuns;
  let summary: Summary;
  const said: string[] = [];
  beforeAll(async () => {
    lane = await useLane(name);
    // The "PPO" checkpoint is the instruct model itself.
    const made = await makeParents(world, path(name), lane);
    runs = { ...made, ppo: made.instruct };
    const progress = watchProgress({ say: (line) => said.push(line) });
    summary = await runStage(evaluate, evaluateConfig(world, runs, folder()), { lane, progress });
  });
  const folder = (): string => path(name, 'evaluate');
  const row = (model: string): EvaluationRow =>
    (summary.table as EvaluationRow[]).find((candidate) => candidate.model === model)!;

  it('writes what it says it writes, and a manifest whose hashes are those on disk', async () => {
    expect(namesIn(folder())).toEqual(['answers.arrow', 'config.yaml', 'manifest.json', 'table.arrow', 'tasks.arrow']);
    const { manifest, wrong } = await checkedManifest(folder());
    expect(wrong).toEqual([]);
    expect(manifest).toMatchObject({ stage: 'evaluate', status: 'finished', lane: name, seed: 1, summary });
    expect(manifest.parents.map(({ role, path: file }) => [role, file])).toEqual([
      ['base', world.base],
      ['instruct', runs.instruct],
      ['ppo', runs.instruct],
      ['reward', runs.reward],
    ]);
    expect(manifest.outputs.map(({ role }) => role)).toEqual(['tasks', 'answers', 'table']);
  });

  it('finds an unchanged policy at KL 0, win rate one half, and the same scores', () => {
    expect(row('ppo')).toEqual({ ...row('instruct'), model: 'ppo' });
    expect(row('ppo')).toMatchObject({ kl: 0, win_rate: 0.5 });
    const base = row('base');
    expect(base.kl).toBeGreaterThan(0.5);
  });

  it('asks every model the same questions and prompts', () => {
    const [tasks, answers] = ['tasks', 'answers'].map((table) => arrowRows(join(folder(), `${table}.arrow`)));
    const asked = (rows: Record<string, unknown>[], model: string) =>
      rows.filter((each) => each.model === model).map(({ prompt, task, template }) => [prompt, task, template]);
    // Four rows of three tasks, with templates seen in training and again with others; six prompts.
    expect(asked(tasks!, 'base')).toHaveLength(24);
    expect(asked(answers!, 'base')).toHaveLength(6);
    for (const model of ['instruct', 'ppo']) {
      expect(asked(tasks!, model)).toEqual(asked(tasks!, 'base'));
      expect(asked(answers!, model)).toEqual(asked(answers!, 'base'));
    }
  });

  it('shows numbers that follow from its rows', () => {
    const tasks = arrowRows(join(folder(), 'tasks.arrow'));
    for (const each of tasks) {
      expect(each.correct).toBe(each.prediction === each.target);
      const [options, logProbs] = [each.options as string[], each.option_log_probs as number[]];
      expect(logProbs).toHaveLength(options.length);
      if (options.length > 0) expect(each.prediction).toBe(options[logProbs.indexOf(Math.max(...logProbs))]);
      expect(logProbs.every((value) => value < 0)).toBe(true);
    }
    const answers = arrowRows(join(folder(), 'answers.arrow'));
    for (const model of ['base', 'instruct', 'ppo']) {
      for (const [templates, column] of [
        ['train', 'accuracy'],
        ['unseen', 'accuracy_unseen_templates'],
      ] as const) {
        // Every task has as many rows, so the mean over tasks is the mean over rows.
        const own = tasks.filter((each) => each.model === model && each.templates === templates);
        expect([row(model)[column]]).toBeAllclose([own.filter(({ correct }) => correct).length / own.length]);
      }
      const own = answers.filter((each) => each.model === model);
      for (const column of ['gold', 'reward', 'kl', 'length'] as const) {
        const mean = own.reduce((sum, each) => sum + Number(each[column]), 0) / own.length;
        expect([row(model)[column]]).toBeAllclose([mean], { rtol: 1e-5, atol: 1e-6 });
      }
    }
    expect(arrowRows(join(folder(), 'table.arrow'))).toEqual(summary.table);
  });

  it('prints the table and the tasks', () => {
    expect(said.find((line) => line.startsWith('model'))).toContain('win rate');
    expect(said.filter((line) => /^(base|instruct|ppo) /.test(line))).toHaveLength(3);
    expect(said.filter((line) => /^(cheaper|record_to_sentence|review_sentiment) /.test(line))).toHaveLength(3);
  });
});

it('describes every column', () => {
  const folder = path(lanesToTest()[0]!, 'evaluate');
  for (const table of ['tasks', 'answers', 'table'])
    expect(arrowColumns(join(folder, `${table}.arrow`))[0]).toBe('model: Utf8');
  expect(arrowColumns(join(folder, 'tasks.arrow')).slice(-3)).toEqual([
    'correct: Bool',
    'options: List<Utf8>',
    'option_log_probs: List<Float32>',
  ]);
});
