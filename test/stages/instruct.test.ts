/** Stage 1 on a tiny world: the table it makes, what it learns, and which model it keeps. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { loadModelFolder } from '../../src/checkpoint/model-folder.ts';
import { disposeModel } from '../../src/model/model.ts';
import type { Summary } from '../../src/run/stage.ts';
import { runStage } from '../../src/run/stage.ts';
import type { Lane } from '../../src/tensor/lane.ts';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { instruct, instructMetrics } from '../../stages/1-instruct.ts';
import '../helpers/allclose.ts';
import { instructConfig } from '../helpers/tiny-configs.ts';
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
import { makeTinyWorld, tinyTasks } from '../helpers/tiny-world.ts';
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
    summary = await run('run', { training: { epochs: 2 } });
  });
  const at = (folder: string): string => path(name, folder);
  const run = (folder: string, changes = {}) =>
    runStage(instruct, instructConfig(world, at(folder), changes), { lane, quiet: true });

  it('writes what it says it writes, and a manifest whose hashes are those on disk', async () => {
    expect(namesIn(at('run'))).toEqual([
      'best',
      'checkpoints',
      'config.yaml',
      'instruct.arrow',
      'manifest.json',
      'metrics.arrow',
      'mixture.arrow',
      'samples.arrow',
    ]);
    const { manifest, wrong } = await checkedManifest(at('run'));
    expect(wrong).toEqual([]);
    expect(manifest).toMatchObject({ stage: 'instruct', status: 'finished', lane: name, seed: 1, summary });
    expect(manifest.parents).toMatchObject([{ role: 'model', path: world.base }]);
    expect(manifest.inputs.map(({ role, path: file }) => [role, file])).toEqual([
      ['tables', world.tables],
      ['templates', world.templates],
    ]);
    expect(manifest.outputs.map(({ role, path: file }) => [role, file])).toEqual([
      ['dataset', 'instruct.arrow'],
      ['mixture', 'mixture.arrow'],
      ['samples', 'samples.arrow'],
      ['model', 'best'],
    ]);
    expect(summary).toMatchObject({ examples: 24 });
  });

  it('measures before the first step, and keeps the step with the lowest validation loss', async () => {
    const rows = readMetrics(at('run'), instructMetrics);
    expect(rows.map(({ step }) => step)).toEqual(rows.map((_, step) => step));
    const measured = rows.filter((row) => row['accuracy/validation'] !== null);
    const steps = summary.steps as number;
    expect(rows).toHaveLength(steps + 1);
    expect(measured.map(({ step }) => step)).toEqual(
      rows.map(({ step }) => step).filter((step) => step! % 2 === 0 || step === steps),
    );
    const trained = measured.slice(1);
    const best = trained.reduce((a, b) => (b['loss/validation']! <= a['loss/validation']! ? b : a));
    const { manifest } = await checkedManifest(at('run'));
    const { 'loss/validation': validationLoss, 'accuracy/validation': accuracy, step: bestStep } = best;
    expect(manifest.summary).toMatchObject({ validationLoss, accuracy, bestStep, keptBy: 'loss', beatsStart: true });
    const samples = arrowRows(at('run/samples.arrow'));
    for (const row of measured) {
      const own = samples.filter(({ step }) => step === row.step);
      // Three rows of each of the three tasks that have a right answer; every task counts the same.
      expect(own).toHaveLength(9);
      expect([own.filter(({ correct }) => correct).length / 9]).toBeAllclose([row['accuracy/validation']!]);
    }
    expect(samples.every(({ correct, prediction, target }) => correct === (prediction === target))).toBe(true);
  });

  it('lowers the loss on the targets', async () => {
    await run('longer', { training: { epochs: 10 }, evaluation: { everySteps: 100 } });
    const losses = seriesOf(readMetrics(at('longer'), instructMetrics), 'loss/train');
    expect(losses[0]).toBeGreaterThan(5.9);
    expect(losses.at(-1)).toBeLessThan(4.5);
  });

  it('stores a model that loads', () => {
    const { model } = loadModelFolder(at('run/best'), { tokenizer: null });
    expect(model.head).toBe('tokens');
    disposeModel(model);
  });
});

describe('instruct.arrow', () => {
  const file = (): string => path(lanesToTest()[0]!, 'run/instruct.arrow');

  it('has described columns', () => {
    expect(arrowColumns(file())).toEqual([
      'input_ids: List<Int32>',
      'loss_mask: List<Int32>',
      'part: Utf8',
      'task: Utf8',
      'cluster: Utf8',
      'template_id: Utf8',
      'kind: Utf8',
      'shots: Int32',
      'row_id: Utf8',
      'split: Utf8',
      'prompt: Utf8',
      'target: Utf8',
      'options: List<Utf8>',
      'cut_tokens: Int32',
    ]);
    expect(arrowColumns(file().replace('instruct.arrow', 'samples.arrow'))).toEqual([
      'step: Int32',
      ...['task', 'template', 'prompt', 'target', 'prediction'].map((column) => `${column}: Utf8`),
      'correct: Bool',
    ]);
  });

  it('learns target and EOS of each row, and nothing of its prompt', () => {
    const tokenizer = loadTokenizer(world.tokenizer);
    for (const { input_ids, loss_mask, prompt, target } of arrowRows(file())) {
      const [ids, mask] = [input_ids as number[], loss_mask as number[]];
      const learned = ids.filter((_, t) => mask[t] === 1);
      expect(learned.at(-1)).toBe(tokenizer.eosId);
      expect(tokenizer.decode(learned)).toBe(` ${target}`);
      expect(tokenizer.decode(ids.filter((_, t) => mask[t] === 0))).toBe(`${prompt}\n`);
    }
  });

  it('mixes tasks by their number of rows, and never trains on held-out rows or templates', () => {
    const rows = arrowRows(file());
    // Eight training rows of each task, so each has a quarter of the 24 examples.
    expect(tinyTasks.map((task) => rows.filter((row) => row.task === task).length)).toEqual([6, 6, 6, 6]);
    expect(new Set(rows.map(({ split }) => split))).toEqual(new Set(['train']));
    for (const task of tinyTasks) {
      const { templates } = parse(readFileSync(join(world.templates, `${task}.yaml`), 'utf8')) as {
        templates: { id: string; split: string }[];
      };
      const trained = templates.filter(({ split }) => split === 'train').map(({ id }) => id);
      expect(trained.length).toBeLessThan(templates.length);
      const used = rows.filter((row) => row.task === task).map((row) => String(row.template_id));
      expect(used.filter((id) => !trained.includes(id))).toEqual([]);
    }
  });

  it('leaves out what is held out, says so in mixture.arrow, and shows solved examples in their part', async () => {
    const lane = await useLane();
    const changes = {
      holdOut: { clusters: ['sentiment'], templates: ['cheaper/what'] },
      mixture: {
        parts: { plain: { share: 1 }, few_shot: { share: 1, kinds: ['direct'], shots: [1], tasks: ['cheaper'] } },
      },
      sequence: { length: 144 },
      training: { epochs: 0.1 },
    };
    await runStage(instruct, instructConfig(world, path('parts'), changes), { lane, quiet: true });
    const rows = arrowRows(path('parts/instruct.arrow'));
    expect(rows.filter(({ part }) => part === 'few_shot').map(({ task, shots }) => [task, shots])).toEqual(
      Array(12).fill(['cheaper', 1]),
    );
    expect(rows.filter(({ part }) => part === 'plain').every(({ shots }) => shots === 0)).toBe(true);
    expect(rows.some(({ task }) => task === 'review_sentiment')).toBe(false);
    expect(rows.some(({ task, template_id }) => task === 'cheaper' && template_id === 'what')).toBe(false);
    const mixture = arrowRows(path('parts/mixture.arrow'));
    expect(mixture.map(({ part, task, examples, held_out }) => [part, task, examples, held_out])).toEqual([
      ['plain', 'chat', 4, ''],
      ['plain', 'cheaper', 4, ''],
      ['plain', 'record_to_sentence', 4, ''],
      ['few_shot', 'cheaper', 12, ''],
      ['', 'review_sentiment', 0, 'cluster sentiment'],
    ]);
    const tokensOf = (task: string) =>
      rows.filter((row) => row.task === task).reduce((sum, row) => sum + (row.input_ids as number[]).length, 0);
    expect(mixture.map(({ tokens }) => tokens as number).reduce((a, b) => a + b)).toBe(
      ['chat', 'cheaper', 'record_to_sentence'].reduce((sum, task) => sum + tokensOf(task), 0),
    );
    const validated = new Set(arrowRows(path('parts/samples.arrow')).map(({ task }) => task));
    expect([...validated].sort()).toEqual(['cheaper', 'record_to_sentence']);
  });

  it('is checked without weights: the figures are those of the run', async () => {
    const lines = await instruct.check(instructConfig(world, path('checked')));
    const tokens = arrowRows(file()).reduce((sum, { input_ids }) => sum + (input_ids as number[]).length, 0);
    expect(lines[0]).toContain(`24 examples, ${tokens.toLocaleString('en-US')} tokens`);
    expect(lines.join('\n')).toMatch(/plain +cheaper +commonsense +8 +25\.0 % +25\.0 % +6 /);
  });

  it('trains on batches of like length where buckets are given', async () => {
    const lane = await useLane();
    const changes = { training: { epochs: 1 }, sequence: { length: 144, buckets: [48, 144] } };
    const padded = await runStage(instruct, instructConfig(world, path('padded'), changes), { lane, quiet: true });
    // 24 examples in batches of 4: at most one batch more than 6, as each bucket fills its last one.
    expect([6, 7]).toContain(padded.steps);
    const losses = readMetrics(path('padded'), instructMetrics).flatMap((row) => row['loss/train'] ?? []);
    expect(losses).toHaveLength(padded.steps as number);
    expect(losses.every((loss) => loss! > 0 && Number.isFinite(loss))).toBe(true);
  });

  it('holds only the tasks that were asked for', async () => {
    const lane = await useLane();
    const changes = { data: { tasks: ['cheaper', 'chat'] }, mixture: { cap: 2 }, training: { epochs: 0.1 } };
    await runStage(instruct, instructConfig(world, path('two tasks'), changes), { lane, quiet: true });
    const tasks = arrowRows(path('two tasks/instruct.arrow')).map(({ task }) => task);
    expect(tasks.filter((task) => task === 'cheaper')).toHaveLength(12);
    expect(tasks.filter((task) => task === 'chat')).toHaveLength(12);
  });
});
