/** What a stage keeps: rows without a validation part, measures that cannot be had, weights that did not change, early stops. */
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { readManifest } from '../../src/run/manifest.ts';
import { runStage } from '../../src/run/stage.ts';
import type { Lane } from '../../src/tensor/lane.ts';
import { Interrupted } from '../../src/terminal/interrupts.ts';
import { loadConfig } from '../../src/yaml/load-config.ts';
import { pretrain } from '../../stages/0-pretrain.ts';
import { instruct, instructMetrics } from '../../stages/1-instruct.ts';
import { reward, rewardMetrics } from '../../stages/2-reward.ts';
import { problemsOf } from '../helpers/temporary-folder.ts';
import { type Changes, instructConfig, pretrainConfig, rewardConfig, rewardSettings } from '../helpers/tiny-configs.ts';
import {
  arrowRows,
  filesBelow,
  interruptedAt,
  readMetrics,
  seriesOf,
  useSharedFolder,
  watchProgress,
} from '../helpers/tiny-runs.ts';
import type { TinyWorld } from '../helpers/tiny-world.ts';
import { makeTinyWorld } from '../helpers/tiny-world.ts';
import { useLane } from '../helpers/use-lane.ts';

const path = useSharedFolder();
let world: TinyWorld;
let lane: Lane;
const said: string[] = [];
beforeAll(async () => {
  world = await makeTinyWorld(path('world'));
  lane = await useLane();
});

const colours = `dataset: colours
cluster: colours
description: The colour of a thing.
columns: [thing, colour]
answer: {column: colour}
metric: exact_match
templates:
  - {id: a, split: train, input: "What colour is {thing}?", target: "{colour}"}
  - {id: b, split: train, input: "Name the colour of {thing}.", target: "{colour}"}
`;

/** Rows that are all of split train, as a folder of rows and one of templates. */
function onlyTrainRows(name: string, count: number, content = (i: number) => i): Changes {
  const [tables, templates] = [path(name, 'rows'), path(name, 'templates')];
  for (const folder of [tables, templates]) mkdirSync(folder, { recursive: true });
  const rows = Array.from({ length: count }, (_, i) => {
    return JSON.stringify({
      id: `c-${i}`,
      split: 'train',
      thing: `the thing ${content(i)}`,
      colour: ['red', 'green', 'blue'][content(i) % 3],
    });
  });
  writeFileSync(join(tables, 'colours.jsonl'), rows.join('\n'));
  writeFileSync(join(templates, 'colours.yaml'), colours);
  return { tables, templates, cache: path('cache') };
}

const progress = watchProgress({ say: (line) => said.push(line) });
function tune(folder: string, changes: Changes) {
  said.length = 0;
  return runStage(instruct, instructConfig(world, path(folder), changes), { lane, progress });
}
const weights = (folder: string): string => readFileSync(join(folder, 'model.safetensors')).toString('base64');

describe('rows without a validation part', () => {
  it('lose a share to it, and the model that is kept has been trained', async () => {
    const data = onlyTrainRows('sixteen', 16);
    const summary = await tune('sixteen/run', { data, mixture: { examples: 48 }, training: { epochs: 3 } });
    expect(said).toContain(
      'held out of training for validation, by run.seed, in tasks which have no validation rows: colours 1 (evaluation.share)',
    );
    expect(summary).toMatchObject({ keptBy: 'loss', beatsStart: true, stoppedEarly: null });
    expect(summary.bestStep).toBeGreaterThan(0);
    expect(weights(path('sixteen/run/best')) === weights(world.base)).toBe(false);
    // What is measured is never trained on.
    const trained = new Set(arrowRows(path('sixteen/run/instruct.arrow')).map(({ row_id }) => row_id));
    expect(trained.size).toBe(15);
    expect(readFileSync(path('sixteen/run/best/README.md'), 'utf8')).toContain('| better than before training | yes |');
  });

  it('are refused where there is only one, or nothing may be held out: unless the last step is kept', async () => {
    const one = onlyTrainRows('one', 1);
    const refused = (data: Changes, evaluation: Changes) =>
      problemsOf(() => instruct.check(instructConfig(world, path('none'), { data, evaluation })), path());
    for (const [data, evaluation] of [
      [one, {}],
      [onlyTrainRows('two', 2), { share: 0 }],
    ] as const) {
      const [problem, ...more] = await refused(data, evaluation);
      expect(problem).toMatch(
        /^evaluation\.best: loss needs held-out rows, .*colours.*evaluation\.share.*evaluation\.best to last\.$/,
      );
      expect(more).toEqual([]);
    }
    const same = onlyTrainRows('same', 3, () => 0);
    for (const data of [one, same]) {
      const [problem] = await refused(data, {});
      expect(problem).toContain('colours: fewer than two different training rows');
    }
    const summary = await tune('one/run', { data: one, mixture: { examples: 4 }, evaluation: { best: 'last' } });
    expect(summary).toMatchObject({ keptBy: 'last', validationLoss: null, accuracy: null, beatsStart: null });
  });

  it('hold the same rows out when a run is resumed', async () => {
    const changes = {
      data: onlyTrainRows('again', 20),
      mixture: { examples: 60 },
      evaluation: { patience: 3, everySteps: 1 },
    };
    const whole = await tune('again/whole', changes);
    const config = instructConfig(world, path('again/stopped'), changes);
    await expect(runStage(interruptedAt(instruct, 2), config, { lane, quiet: true })).rejects.toThrow(Interrupted);
    expect(await runStage(instruct, config, { lane, quiet: true, resume: true })).toEqual(whole);
    expect(filesBelow(path('again/stopped/best'))).toEqual(filesBelow(path('again/whole/best')));
  });
});

describe('an accuracy', () => {
  it('that no task has is refused as what is to choose', async () => {
    const config = instructConfig(world, path('gold'), { data: { tasks: ['chat'] }, evaluation: { best: 'accuracy' } });
    expect(await problemsOf(() => instruct.check(config), path())).toEqual([
      expect.stringMatching(
        /^evaluation\.best: accuracy needs validation rows .* Set evaluation\.best to loss or last/,
      ),
    ]);
  });

  it('of 0 throughout keeps the later step, and says that nothing is better than before', async () => {
    const data = onlyTrainRows('zero', 12);
    const summary = await tune('zero/run', {
      data,
      mixture: { examples: 12 },
      evaluation: { best: 'accuracy', everySteps: 1 },
      optimizer: { learningRate: 1e-6 },
    });
    expect(
      seriesOf(readMetrics(path('zero/run'), instructMetrics), 'accuracy/validation').every((value) => value === 0),
    ).toBe(true);
    expect(summary).toMatchObject({ bestStep: summary.steps, beatsStart: false });
    expect(said.at(-1)).toMatch(
      /^instruct {2}no better than before training: validation accuracy 0\.0000 before the first step/,
    );
  });
});

describe('weights that did not change', () => {
  it.each([
    ['full', { optimizer: { learningRate: 1e-30 } }],
    ['lora', { optimizer: { learningRate: 1e-30, weightDecay: 0 }, tuning: { method: 'lora' } }],
  ])('fail the run, tuned %s', async (method, changes) => {
    const problems = await problemsOf(() => tune(`unchanged ${method}`, changes), path());
    expect(problems).toEqual([
      expect.stringMatching(/^instruct: after \d+ steps the trained weights are those the run began with; /),
    ]);
    expect(readManifest(path(`unchanged ${method}`))?.status).toBe('failed');
    expect(existsSync(path(`unchanged ${method}`, 'best'))).toBe(false);
  });
});

describe('stage 2', () => {
  const judge = (folder: string, changes: Changes) => {
    said.length = 0;
    return runStage(reward, rewardConfig(world, world.base, path(folder), changes), { lane, progress });
  };

  it('goes back to the weights of the best step, after an early stop and in a resumed run too', async () => {
    // So high a rate that the held-out loss rises again.
    const changes = {
      training: { epochs: 20 },
      optimizer: { learningRate: 0.1, schedule: 'constant' },
      evaluation: { everySteps: 1, patience: 4 },
    };
    const summary = await judge('rising', changes);
    const losses = seriesOf(readMetrics(path('rising'), rewardMetrics), 'loss/held_out');
    const trained = losses.slice(1);
    expect(summary.heldOutLoss).toBeCloseTo(Math.min(...trained), 10);
    expect(summary.bestStep).toBe(1 + trained.lastIndexOf(Math.min(...trained)));
    expect(summary.stoppedEarly).toBe((summary.bestStep as number) + 4);
    expect(said.at(-1)).toMatch(/4 measurements without a better held-out loss|no better than before/);
    const config = rewardConfig(world, world.base, path('rising again'), changes);
    const middle = (summary.stoppedEarly as number) - 1;
    await expect(runStage(interruptedAt(reward, middle), config, { lane, quiet: true })).rejects.toThrow(Interrupted);
    expect(await runStage(reward, config, { lane, quiet: true, resume: true })).toEqual(summary);
    expect(filesBelow(path('rising again/model'))).toEqual(filesBelow(path('rising/model')));
  });

  it('holds pairs out by prompt where none are, and refuses where that cannot be', async () => {
    const summary = await judge('share', { heldOut: null, evaluation: { share: 0.3 }, training: { epochs: 1 } });
    expect(summary).toMatchObject({ data: { train: { pairs: 4 }, heldOut: { pairs: 2 } } });
    expect(said).toContain('2 of 6 pairs are held out, by run.seed (evaluation.share)');
    const config = rewardConfig(world, world.base, path('none'), { heldOut: null, evaluation: { share: 0 } });
    expect(await problemsOf(() => reward.check(config), path())).toEqual([
      expect.stringMatching(
        /^evaluation\.best: loss needs held-out pairs, and of the 6 in world\/train\.arrow none are held out/,
      ),
    ]);
  });

  it('names the new place of a key that has moved', async () => {
    const { evaluation, ...rest } = rewardSettings(world, world.base, path('moved'));
    writeFileSync(path('moved.yaml'), `${JSON.stringify(rest).slice(0, -1)},\n  "evaluateEverySteps": 7}`);
    expect(await problemsOf(() => loadConfig(reward.schema, path('moved.yaml')), path())).toEqual([
      'moved.yaml:2:3 evaluateEverySteps: is now evaluation.everySteps. Write evaluation.everySteps: 7 instead.',
    ]);
  });
});

it('stage 0 holds documents out, says so, and does not wait for what is not compared', async () => {
  said.length = 0;
  const config = pretrainConfig(world, path('documents'), { heldOut: null, training: { steps: 2 } });
  await runStage(pretrain, config, { lane, progress });
  expect(said.join('\n')).toMatch(/held out {2}\d+ rows: 2 of 40 documents, by run\.seed \(evaluation\.share\)/);
  expect(readManifest(path('documents'))?.inputs.map(({ role }) => role)).not.toContain('heldOut');
  cpSync(world.corpus, path('single.jsonl'));
  writeFileSync(path('single.jsonl'), readFileSync(world.corpus, 'utf8').split('\n')[0] ?? '');
  const single = pretrainConfig(world, path('none'), { heldOut: null, corpus: path('single.jsonl') });
  expect(await problemsOf(() => pretrain.check(single), path())).toEqual([
    expect.stringMatching(
      /^evaluation\.best: loss needs held-out documents, and of single\.jsonl none are held out: 1 documents/,
    ),
  ]);
  expect(() => pretrainConfig(world, path('none'), { evaluation: { best: 'last', patience: 3 } })).toThrow(
    /evaluation\.patience: expected null beside evaluation\.best: last/,
  );
});
