/** Distillation as a program: a run, its files, resuming, and what it refuses. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { readModelConfig } from '../../src/checkpoint/model-config.ts';
import { loadModelFolder, writeModelFolder } from '../../src/checkpoint/model-folder.ts';
import { llamaStyle } from '../../src/model/dimensions.ts';
import { disposeModel, newModel } from '../../src/model/model.ts';
import { seededRandom } from '../../src/random.ts';
import { readManifest } from '../../src/run/manifest.ts';
import type { Summary } from '../../src/run/stage.ts';
import { runStage } from '../../src/run/stage.ts';
import { type Lane, tensorCount } from '../../src/tensor/lane.ts';
import { Interrupted } from '../../src/terminal/interrupts.ts';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { checkConfig } from '../../src/yaml/load-config.ts';
import { instruct } from '../../stages/1-instruct.ts';
import { DistillConfig } from '../../stages/distill.config.ts';
import { distill, distillMetrics } from '../../stages/distill.ts';
import { notAsDeclared } from '../helpers/declared.ts';
import { refusal } from '../helpers/refusals.ts';
import { problemsOf } from '../helpers/temporary-folder.ts';
import type { Changes } from '../helpers/tiny-configs.ts';
import { instructConfig } from '../helpers/tiny-configs.ts';
import {
  arrowRows,
  checkedManifest,
  filesBelow,
  interruptedAt,
  namesIn,
  readMetrics,
  seriesOf,
  timeless,
  useSharedFolder,
} from '../helpers/tiny-runs.ts';
import type { TinyWorld } from '../helpers/tiny-world.ts';
import { makeTinyWorld, tinyContext, writeBase, writeTokenizer } from '../helpers/tiny-world.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';

const path = useSharedFolder();
let world: TinyWorld;
let lane: Lane;
beforeAll(async () => {
  world = await makeTinyWorld(path('world'));
  lane = await useLane(lanesToTest()[0]);
  const learning = { training: { epochs: 10 }, evaluation: { everySteps: 100 } };
  await runStage(instruct, instructConfig(world, path('teacher'), learning), { lane, quiet: true });
});

/** Sections are replaced key by key, as deep as they are here. */
function settings(folder: string, changes: Record<string, Changes | string> = {}): Changes {
  const base: Record<string, Changes | string> = {
    run: { folder },
    teacher: path('teacher'),
    student: { layers: 1 },
    data: { examples: path('teacher/instruct.arrow'), tables: world.tables, templates: world.templates },
    sequence: { length: 144 },
    training: { rows: 4 },
    optimizer: { learningRate: 1e-2, warmupSteps: 0 },
    evaluation: { everySteps: 2, rowsPerTask: 3 },
  };
  const merged = Object.entries(changes).map(([key, value]): [string, Changes | string] => {
    const before = base[key];
    return [key, typeof value === 'string' || typeof before !== 'object' ? value : { ...before, ...value }];
  });
  return { ...base, ...Object.fromEntries(merged) };
}
const configOf = (...given: Parameters<typeof settings>): DistillConfig =>
  checkConfig(DistillConfig, settings(...given) as never, 'test');
const run = (name: string, changes: Record<string, Changes | string> = {}): Promise<Summary> =>
  runStage(distill, configOf(path(name), changes), { lane, quiet: true });

describe('distill', () => {
  it('writes a run folder whose best model is smaller than the teacher', async () => {
    const summary = await run('run', { training: { epochs: 3 } });
    expect(namesIn(path('run'))).toEqual(
      ['best', 'checkpoints', 'config.yaml', 'manifest.json', 'metrics.arrow', 'samples.arrow'].sort(),
    );
    const { manifest, wrong } = await checkedManifest(path('run'));
    expect(notAsDeclared(distill, path('run'))).toEqual([]);
    expect(wrong).toEqual([]);
    expect(manifest.parents.map(({ role }) => role)).toEqual(['teacher']);
    expect(manifest.inputs.map(({ role }) => role)).toEqual(['examples', 'tables', 'templates']);
    expect(readFileSync(path('run/best/README.md'), 'utf8')).toMatch(
      /# Distillation\n[\s\S]*\| loss on validation rows \| \d/,
    );
    const { model } = loadModelFolder(path('run/best'), { tokenizer: null });
    expect(model.dimensions).toMatchObject({ layers: 1, heads: 4, kvHeads: 2, dModel: 32 });
    disposeModel(model);

    const rows = readMetrics(path('run'), distillMetrics);
    const measured = rows.slice(1).filter((row) => row['loss/validation'] !== null);
    const best = measured.reduce((a, b) => (b['loss/validation']! < a['loss/validation']! ? b : a));
    expect(summary).toMatchObject({ validationLoss: best['loss/validation'], bestStep: best.step });
    for (const row of rows.slice(1)) {
      const { 'loss/kl': kl, 'loss/cross_entropy': crossEntropy } = row;
      // alpha ½, temperature 2: ½ · 4 · KL + ½ · cross-entropy.
      expect(row['loss/train']).toBeCloseTo(2 * kl! + 0.5 * crossEntropy!, 4);
    }
    for (const name of ['loss/kl', 'loss/cross_entropy', 'loss/validation']) {
      const series = seriesOf(rows, name);
      expect(series.at(-1)).toBeLessThan(0.9 * series[0]!);
    }
    const samples = arrowRows(path('run/samples.arrow'));
    expect(samples.filter(({ step }) => step === 0)).toHaveLength(9);
  });

  it('starts from a checkpoint where one is named, and without the teacher where alpha is 0', async () => {
    await run('again', { student: { layers: null, checkpoint: path('run') } as never, distill: { alpha: 0 } });
    const { manifest } = await checkedManifest(path('again'));
    expect(manifest.parents.map(({ role }) => role)).toEqual(['teacher', 'student']);
    const rows = readMetrics(path('again'), distillMetrics);
    const before = readManifest(path('run'))?.summary?.validationLoss as number;
    expect(rows[0]?.['loss/validation']).toBeCloseTo(before, 5);
    expect(seriesOf(rows, 'loss/kl').every((kl) => kl === 0)).toBe(true);
    expect(seriesOf(rows, 'loss/train')).toEqual(seriesOf(rows, 'loss/cross_entropy'));
  });

  it.each([1, 3])('repeats or cuts the windows of a teacher for a student of %d layers', async (layers) => {
    const folder = path(`windowed ${layers}`);
    mkdirSync(folder);
    const tokenizer = loadTokenizer(world.tokenizer);
    const sizes = { vocab: tokenizer.vocabSize, context: tinyContext, layers: 2, heads: 4, dModel: 32 };
    const dimensions = { ...llamaStyle(sizes), family: 'mistral', windows: [4, null] } as const;
    const model = newModel(dimensions, 'tokens', seededRandom(1));
    writeModelFolder(folder, model, { tokenizer });
    disposeModel(model);
    await run(`student ${layers}`, { teacher: folder, student: { layers } as never });
    expect(readModelConfig(path(`student ${layers}`, 'best', 'config.json')).dimensions.windows).toEqual(
      [4, null, 4].slice(0, layers),
    );
  });

  it('ends with the same bytes when it was stopped and resumed', async () => {
    const changes = { training: { epochs: 2 }, checkpoints: { everySteps: 2, keepLast: 10 } };
    const whole = await run('whole', changes);
    const config = configOf(path('stopped'), changes);
    const stopped = runStage(interruptedAt(distill, 3), config, { lane, quiet: true });
    await expect(stopped).rejects.toThrow(new Interrupted(3));
    const resumed = await runStage(distill, config, { lane, quiet: true, resume: true });
    expect(resumed).toEqual(whole);
    const last = join('checkpoints', namesIn(path('whole/checkpoints')).at(-1)!);
    for (const folder of [last, 'best']) {
      expect(filesBelow(path('stopped', folder))).toEqual(filesBelow(path('whole', folder)));
    }
    expect(timeless(readMetrics(path('stopped'), distillMetrics))).toEqual(
      timeless(readMetrics(path('whole'), distillMetrics)),
    );
    expect(arrowRows(path('stopped/samples.arrow'))).toEqual(arrowRows(path('whole/samples.arrow')));
  });

  it('frees every tensor', async () => {
    const before = tensorCount();
    await run('neutral', { training: { epochs: 0.5 } });
    expect(tensorCount()).toBe(before);
  });

  it('is a parent that the next stages take', async () => {
    const config = instructConfig(world, path('onward'), { model: path('run'), mixture: { examples: 8 } });
    await runStage(instruct, config, { lane, quiet: true });
    expect(readManifest(path('onward'))?.status).toBe('finished');
  });
});

describe('before anything is trained, distill', () => {
  it('checks what it would read and says how much that is', async () => {
    const lines = await distill.check(configOf(path('unmade')));
    expect(lines[0]).toMatch(
      /^teacher: 2 layers of 32, [\d,]+ parameters; student: 1 layers of 32, [\d,]+ parameters$/,
    );
    expect(lines[1]).toMatch(/^24 examples in \d+ packed rows of 144 tokens; \d+ steps of 4 rows$/);
    expect(lines[2]).toBe('validation  loss on 9 rows, accuracy on 9 questions of 3 tasks');
    expect(lines[3]).toBe('no validation row with an answer, so nothing is measured: chat');
    expect(existsSync(path('unmade'))).toBe(false);
  });

  const refused = (changes: Record<string, Changes | string>) =>
    refusal(distill, configOf(path('refused'), changes), path(), lane);

  it('refuses a student or examples with another tokenizer', async () => {
    mkdirSync(path('other'), { recursive: true });
    const texts = readFileSync(world.corpus, 'utf8').split('\n').slice(0, 5);
    writeBase(path('other'), writeTokenizer(path('other'), texts));
    const student = { student: { layers: null, checkpoint: path('other') } } as never;
    expect(await refused(student)).toEqual([
      expect.stringMatching(/^student other: was made with another tokenizer; expected sha256:\S+, received sha256:/),
    ]);
    expect(await refused({ teacher: path('other') })).toEqual([
      expect.stringMatching(/^teacher\/instruct\.arrow: made with another tokenizer; expected sha256:/),
    ]);
  });

  it('refuses sizes that do not fit, a reward model, and rows longer than the context', async () => {
    expect(await refused({ student: { dModel: 30 } })).toEqual([
      'student.heads: expected a divisor of dModel 30, received 4. Name both, or neither.',
    ]);
    expect(await refused({ sequence: { length: 1000 } })).toEqual([
      expect.stringMatching(/^teacher teacher: reads at most 144 tokens/),
    ]);
    expect(await refused({ student: { heads: 4, kvHeads: 3, dModel: 32 } })).toEqual([
      'student.kvHeads: 3 does not divide heads 4.',
    ]);
    const both = settings(path('refused'), { student: { layers: 1, checkpoint: path('other') } });
    expect(await problemsOf(() => checkConfig(DistillConfig, both as never, 'test'), path())).toEqual([
      expect.stringContaining('student.checkpoint: expected null beside sizes'),
    ]);
    const uneven = settings(path('refused'), { training: { rows: 4, microBatch: 3 } });
    expect(await problemsOf(() => checkConfig(DistillConfig, uneven as never, 'test'), path())).toEqual([
      expect.stringContaining('training.microBatch: expected a divisor of training.rows 4, received 3'),
    ]);
  });

  it('holds rows out, with their examples, where validation rows have no answers', async () => {
    const config = configOf(path('unmade'), { data: { tasks: ['chat'] } as never });
    const lines = await distill.check(config);
    // Six of the 24 examples are of chat, each of another row: one of its eight rows is held out.
    expect(lines[1]).toMatch(/^2[34] examples in /);
    expect(lines.slice(2)).toEqual([
      'held out of training for validation, by run.seed, in tasks whose validation rows have no answers: chat 1 (evaluation.share)',
      'validation  loss on 1 rows, accuracy on 0 questions of 0 tasks',
    ]);
    expect(await refused({ data: { tasks: ['chat'] }, evaluation: { best: 'accuracy' } })).toEqual([
      expect.stringMatching(
        /^evaluation\.best: accuracy needs validation rows .* none in world\/seed .* Set evaluation\.best to loss or last/,
      ),
    ]);
    expect(await refused({ data: { tasks: ['chat'] }, evaluation: { share: 0 } })).toEqual([
      expect.stringMatching(
        /^evaluation\.best: loss needs held-out rows, and none can be measured in world\/seed: .*chat/,
      ),
    ]);
  });

  it('refuses examples that are not there', async () => {
    const data = (changes: Changes) => ({ data: changes });
    expect(await refused(data({ examples: path('none.arrow'), tasks: ['cheaper'] }))).toEqual([
      'none.arrow: the file is missing; expected an Arrow file. Run node --import tsx stages/1-instruct.ts.',
    ]);
    writeFileSync(path('empty.arrow'), '');
    expect(await refused(data({ examples: path('empty.arrow') }))).toHaveLength(1);
  });
});
