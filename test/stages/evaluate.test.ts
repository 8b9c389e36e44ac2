/** Stage 4 on a tiny world: what it writes, and that a policy that was not changed neither wins nor loses. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { CheckpointError } from '../../src/errors.ts';
import type { TableRow } from '../../src/evaluation/evaluation-tables.ts';
import type { Summary } from '../../src/run/stage.ts';
import { runStage } from '../../src/run/stage.ts';
import type { Lane } from '../../src/tensor/lane.ts';
import { checkConfig } from '../../src/yaml/load-config.ts';
import { EvaluateConfig } from '../../stages/4-evaluate.config.ts';
import { evaluate } from '../../stages/4-evaluate.ts';
import '../helpers/allclose.ts';
import { talk } from '../helpers/messages.ts';
import type { TinyRuns } from '../helpers/tiny-configs.ts';
import { evaluateConfig, evaluateSettings, tinyRuns } from '../helpers/tiny-configs.ts';
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
  const row = (model: string): TableRow =>
    (summary.table as TableRow[]).find((candidate) => candidate.model === model)!;

  it('writes what it says it writes, and a manifest whose hashes are those on disk', async () => {
    const tables = ['tasks', 'answers', 'protocol', 'contamination', 'table'];
    const files = ['config.yaml', 'manifest.json', ...tables.map((table) => `${table}.arrow`)].sort();
    expect(namesIn(folder())).toEqual(files);
    const { manifest, wrong } = await checkedManifest(folder());
    expect(wrong).toEqual([]);
    expect(manifest).toMatchObject({ stage: 'evaluate', status: 'finished', lane: name, seed: 1, summary });
    expect(manifest.parents.map(({ role, path: file }) => [role, file])).toEqual([
      ['base', world.base],
      ['instruct', runs.instruct],
      ['ppo', runs.instruct],
      ['reward', runs.reward],
    ]);
    expect(manifest.outputs.map(({ role }) => role)).toEqual(tables);
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

  it('shows answers that follow from the scores of their options, by every rule', () => {
    const tasks = arrowRows(join(folder(), 'tasks.arrow'));
    const rules = {
      by_sum: 'log_probs',
      by_token: 'log_probs_per_token',
      by_character: 'log_probs_per_character',
      by_mutual_information: 'mutual_information',
    };
    for (const each of tasks) {
      expect(each.correct).toBe(each.prediction === each.target);
      if (each.metric === 'accuracy') expect(each.score).toBe(each.correct ? 1 : 0);
      const options = each.options as string[];
      for (const [best, column] of Object.entries(rules)) {
        const scores = each[column] as number[];
        expect(scores).toHaveLength(options.length);
        expect(each[best]).toBe(options[scores.indexOf(Math.max(...scores))] ?? '');
      }
      expect((each.log_probs as number[]).every((value) => value < 0)).toBe(true);
      if (options.length > 0) expect(each.prediction).toBe(each.by_sum);
    }
  });

  it('shows numbers that follow from its rows', () => {
    const tasks = arrowRows(join(folder(), 'tasks.arrow'));
    const answers = arrowRows(join(folder(), 'answers.arrow'));
    const protocol = arrowRows(join(folder(), 'protocol.arrow'));
    const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
    for (const model of ['base', 'instruct', 'ppo']) {
      for (const [kind, column] of [
        ['seen_task', 'accuracy'],
        ['unseen_template', 'accuracy_unseen_templates'],
      ] as const) {
        const own = tasks.filter((each) => each.model === model && each.protocol === kind);
        const names = [...new Set(own.map(({ task }) => task))];
        expect(names).toEqual(['cheaper', 'record_to_sentence', 'review_sentiment']);
        const means = names.map((task) =>
          mean(own.filter((each) => each.task === task).map(({ score }) => Number(score))),
        );
        const overall = mean(means);
        expect([row(model)[column]]).toBeAllclose([overall]);
        const lines = protocol.filter((each) => each.model === model && each.protocol === kind);
        expect(lines.map(({ task }) => task)).toEqual(['all', ...names]);
        expect(lines.map((line) => Number(line.mean))).toBeAllclose([overall, ...means]);
      }
      const own = answers.filter((each) => each.model === model);
      expect([row(model).right]).toBeAllclose([mean(own.map((each) => Number(each.gold_answered === 1)))]);
      for (const column of ['gold', 'reward', 'kl', 'length'] as const) {
        const expected = mean(own.map((each) => Number(each[column])));
        expect([row(model)[column]]).toBeAllclose([expected], { rtol: 1e-5, atol: 1e-6 });
      }
    }
    expect(arrowRows(join(folder(), 'table.arrow'))).toEqual(summary.table);
    const others = ['sentences', 'repetition', 'length'];
    const judged = answers.map((each) => {
      const part = (name: string): number => Number(each[`gold_${name}`]);
      const [right, rest] = [part('answered'), (part('friendly') + mean(others.map(part))) / 2];
      return right === 1 ? (1 + rest) / 2 : (2 * right + rest) / 4;
    });
    expect(answers.map(({ gold }) => Number(gold))).toBeAllclose(judged);
  });

  it('measures the gain over base on the same questions, and none for base itself', () => {
    for (const line of arrowRows(join(folder(), 'protocol.arrow'))) {
      if (line.model === 'base') {
        expect([line.gain, line.gain_low, line.gain_high]).toEqual([null, null, null]);
        continue;
      }
      const base = arrowRows(join(folder(), 'protocol.arrow')).find(
        (other) => other.model === 'base' && other.protocol === line.protocol && other.task === line.task,
      );
      expect([Number(line.gain)]).toBeAllclose([Number(line.mean) - Number(base!.mean)]);
      expect(Number(line.gain_low)).toBeLessThanOrEqual(Number(line.gain));
      expect(Number(line.gain_high)).toBeGreaterThanOrEqual(Number(line.gain));
    }
  });

  it('prints the table and the tasks', () => {
    expect(said.find((line) => line.startsWith('model'))).toContain('win rate');
    expect(said.filter((line) => /^(base|instruct|ppo) /.test(line))).toHaveLength(3);
    const asked = /^(cheaper|record_to_sentence|review_sentiment) +(seen task|unseen template)/;
    expect(said.filter((line) => asked.test(line))).toHaveLength(6);
    expect(said.filter((line) => /^(seen task|unseen template).*(base|instruct|ppo) /.test(line))).toHaveLength(6);
  });
});

it('asks with all templates, examples in front and chains of thought, where only base and instruct are there', async () => {
  const name = lanesToTest()[0]!;
  const lane = await useLane(name);
  const {
    policies: _,
    reward: __,
    prompts: ___,
    promptCount: ____,
    sampling: _____,
    ...settings
  } = evaluateSettings(world, tinyRuns(path(name)), path('all-kinds'), {
    ...{ templates: 'all', shots: [0, 1], rowsPerTask: 2, dev: { rowsPerTask: 2 }, ranking: 'per_token' },
    ...{ data: { tasks: ['cheaper', 'record_to_sentence'] }, bootstrap: { samples: 20 } },
    chainOfThought: { samples: 3, maxNewTokens: 4 },
  });
  const config = checkConfig(EvaluateConfig, settings as never, 'test');
  expect(await evaluate.check(config)).toEqual([
    expect.stringMatching(/^2 tasks, 2 of them trained; questions: \d+ with 0 shots, \d+ with 1 shots; 0 conversation/),
  ]);
  const summary = await runStage(evaluate, config, { lane, quiet: true });
  expect(namesIn(path('all-kinds'))).not.toContain('answers.arrow');
  expect(await evaluate.firstAnswer?.(config, world.base)).toBeUndefined();
  const [first, second, ...others] = summary.table as Record<string, unknown>[];
  expect([first!.model, second!.model, others]).toEqual(['base', 'instruct', []]);
  for (const column of ['gold', 'gold_sd', 'right', 'reward', 'kl', 'length', 'win_rate'])
    expect(first![column]).toBeNull();
  const tasks = arrowRows(path('all-kinds', 'tasks.arrow'));
  const asked = (shots: number, model: string): unknown[] =>
    tasks
      .filter((each) => each.shots_asked === shots && each.model === model)
      .map(({ task, row_id, template, kind, protocol }) => [task, row_id, template, kind, protocol]);
  expect(asked(1, 'instruct')).toEqual(asked(0, 'instruct'));
  expect(asked(1, 'base')).toEqual(asked(0, 'instruct'));
  expect(new Set(tasks.map(({ kind }) => kind))).toEqual(new Set(['direct', 'chain_of_thought']));
  for (const each of tasks) {
    const isChain = each.kind === 'chain_of_thought';
    expect([0, 1 / 3, 2 / 3, 1].some((share) => Math.abs(share - Number(each.votes)) < 1e-6)).toBe(true);
    if (!isChain) expect([each.votes, each.reasoning]).toEqual([1, '']);
    if ((each.options as string[]).length > 0 && !isChain) expect(each.prediction).toBe(each.by_token);
    expect(Number(each.shots)).toBeLessThanOrEqual(Number(each.shots_asked));
  }
  expect(tasks.some(({ shots }) => shots === 1)).toBe(true);
  const protocol = arrowRows(path('all-kinds', 'protocol.arrow'));
  for (const line of protocol) expect(typeof line.best_on_dev).toBe('number');
  for (const line of protocol.filter(({ model }) => model === 'instruct')) {
    const same = ['protocol', 'kind', 'shots', 'task'];
    const base = protocol.find((other) => other.model === 'base' && same.every((name) => other[name] === line[name]));
    expect([Number(line.gain)]).toBeAllclose([Number(line.mean) - Number(base!.mean)]);
  }
  // Chains were not trained, so they are unseen templates; the plain mixture has direct and inverted ones.
  expect(protocol.filter(({ kind }) => kind === 'chain_of_thought').map((line) => line.protocol)).not.toContain(
    'seen_task',
  );
});

it('measures conversations by their loss, says so, and finds those that were trained on', async () => {
  const name = lanesToTest()[0]!;
  const runs = tinyRuns(path(name));
  const trained = arrowRows(join(runs.instruct, 'instruct.arrow'));
  const long = trained.map(({ prompt }) => String(prompt)).find((text) => text.split(/\s+/).length >= 8)!;
  mkdirSync(path('talks'));
  const rows = [
    talk(long, 'a'),
    talk('q', 'one', 'r', 'two'),
    talk('one two three four five six seven eight', 'x'.repeat(9999)),
  ].map((messages, i) => {
    return { id: `t${i}`, split: 'test', messages };
  });
  const write = (file: string, list: readonly object[]): void =>
    writeFileSync(path('talks', file), list.map((one) => `${JSON.stringify(one)}\n`).join(''));
  write('chats.jsonl', rows);
  write('empty.jsonl', [{ ...rows[0], split: 'train' }]);
  const settings = (tasks: string[]) => ({
    ...{ run: { folder: path('talked') }, base: world.base, instruct: runs.instruct },
    data: { tables: path('talks'), templates: world.templates, tasks },
  });
  const config = checkConfig(EvaluateConfig, settings(['chats', 'empty']) as never, 'test');
  expect((await evaluate.check(config)).slice(1)).toEqual([
    expect.stringMatching(/^conversations of chats: 1 of 3 are longer than \d+ tokens$/),
    'conversations of empty: no rows of split "test", so nothing is measured',
    'conversations: the loss of all answers is measured on chats; nothing is scored',
  ]);
  const said: string[] = [];
  const progress = watchProgress({ say: (line) => said.push(line) });
  const summary = await runStage(evaluate, config, { lane: await useLane(name), progress });
  const losses = arrowRows(path('talked', 'conversations.arrow'));
  expect(losses.map(({ model, task, protocol, rows: count }) => [model, task, protocol, count])).toEqual([
    ['base', 'chats', 'unseen_cluster', 2],
    ['instruct', 'chats', 'unseen_cluster', 2],
  ]);
  expect(losses.every(({ loss }) => Number(loss) > 0)).toBe(true);
  expect(summary.conversations).toEqual(losses.map(({ model, task, loss }) => ({ model, task, loss })));
  expect(said.join('\n')).toMatch(/^conversations +protocol +rows +tokens +base +instruct$/m);
  // "q", "one", "r" and "two" are too short to say anything.
  expect(arrowRows(path('talked', 'contamination.arrow'))).toEqual([
    { task: 'chats', texts: 2, touched: 0.5, overlap: 0.5 },
  ]);
  await expect(evaluate.check(checkConfig(EvaluateConfig, settings(['empty']) as never, 'test'))).rejects.toThrow(
    'no task can be measured.',
  );
});

it('refuses a reward model that was made from another instruct model', async () => {
  const runs = tinyRuns(path(lanesToTest()[0]!));
  // A random model that stands where the instruct model of another chain would.
  const strange = evaluateConfig(world, { ...runs, ppo: runs.instruct, instruct: world.base }, path('strange'));
  await expect(evaluate.check(strange)).rejects.toThrow(
    new CheckpointError(
      `reward ${runs.reward}: was made from another instruct model (${runs.instruct}) than ${world.base}. Name checkpoints of one chain.`,
    ),
  );
});

it('does not claim to know what a checkpoint of another origin was trained on', async () => {
  const name = lanesToTest()[0]!;
  const lane = await useLane(name);
  const {
    policies: _,
    reward: __,
    prompts: ___,
    promptCount: ____,
    sampling: _____,
    ...settings
  } = evaluateSettings(world, { ...tinyRuns(path(name)), instruct: world.base }, path('unknown'), {
    rowsPerTask: 2,
    bootstrap: { samples: 20 },
  });
  const config = checkConfig(EvaluateConfig, settings as never, 'test');
  const unknown =
    `contamination unknown: ${world.base} has no instruct.arrow (the examples that stage 1 trained), so held-out rows were compared with ` +
    'nothing; name the run folder of stage 1 as instruct to compare them';
  expect(await evaluate.check(config)).toEqual([expect.stringContaining('training data unknown'), unknown]);
  const said: string[] = [];
  const progress = watchProgress({ say: (line) => said.push(line) });
  await runStage(evaluate, config, { lane, progress });
  expect(said.filter((line) => line.includes('contamination'))).toEqual([unknown]);
  const protocol = arrowRows(path('unknown', 'protocol.arrow'));
  expect(new Set(protocol.map((line) => line.protocol))).toEqual(new Set(['unknown']));
  // One line a task that was asked: not compared, which is not the same as nothing found.
  const overlaps = arrowRows(path('unknown', 'contamination.arrow'));
  const measured = protocol.map(({ task }) => task).filter((task) => task !== 'all');
  expect(overlaps.map(({ task }) => task)).toEqual(expect.arrayContaining(measured));
  for (const line of overlaps) expect(line).toMatchObject({ texts: 0, touched: null, overlap: null });
  // Base against itself: no gain, and no doubt about it.
  for (const line of protocol.filter(({ model }) => model === 'instruct')) {
    expect([line.gain, line.gain_low, line.gain_high]).toEqual([0, 0, 0]);
  }
});

it('describes every column', () => {
  const folder = path(lanesToTest()[0]!, 'evaluate');
  for (const table of ['tasks', 'answers', 'protocol', 'table']) {
    expect(arrowColumns(join(folder, `${table}.arrow`))).toContain('model: Utf8');
  }
  expect(arrowColumns(join(folder, 'contamination.arrow'))).toEqual([
    'task: Utf8',
    'texts: Int32',
    'touched: Float64',
    'overlap: Float64',
  ]);
  const tasks = arrowColumns(join(folder, 'tasks.arrow'));
  for (const column of [
    'correct: Bool',
    'options: List<Utf8>',
    'log_probs: List<Float32>',
    'mutual_information: List<Float32>',
  ]) {
    expect(tasks).toContain(column);
  }
});
