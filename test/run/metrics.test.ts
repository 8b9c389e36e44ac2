import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { metricGlossary, openMetrics } from '../../src/run/metrics.ts';
import { openSamples } from '../../src/run/samples.ts';
import { inspectTable } from '../../src/tables/arrow-file.ts';
import { float32, utf8 } from '../../src/tables/columns.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';

const path = useTemporaryFolder();
const descriptions = {
  'loss/policy': 'Mean of max(−A·r, −A·clip(r, 1−ε, 1+ε)) over response tokens.',
  'policy/clip_fraction': 'Share of response tokens with |r − 1| > ε.',
};
const rowsOf = () =>
  Array.from({ length: inspectTable(path('metrics.arrow')).rowCount }, (_, i) =>
    inspectTable(path('metrics.arrow')).row(i),
  );

describe('openMetrics', () => {
  test('writes a described column for each metric, and null where none was measured', async () => {
    const metrics = openMetrics(path('metrics.arrow'), descriptions);
    await metrics.add({ step: 1, 'loss/policy': 0.5 });
    await metrics.add({ step: 2, 'loss/policy': 0.25, 'policy/clip_fraction': null });
    await metrics.flush();
    expect(inspectTable(path('metrics.arrow')).columns).toEqual([
      {
        name: 'step',
        type: 'Int32',
        description:
          'Steps done when the row was written: updates of the parameters, or, in PPO, rollouts with their updates.',
      },
      { name: 'loss/policy', type: 'Float64', description: descriptions['loss/policy'] },
      { name: 'policy/clip_fraction', type: 'Float64', description: descriptions['policy/clip_fraction'] },
    ]);
    expect(rowsOf()).toEqual([
      { step: 1, 'loss/policy': 0.5, 'policy/clip_fraction': null },
      { step: 2, 'loss/policy': 0.25, 'policy/clip_fraction': null },
    ]);
  });

  test('accepts only declared names', async () => {
    const metrics = openMetrics(path('metrics.arrow'), descriptions);
    // @ts-expect-error: a metric that is not declared
    const add = () => metrics.add({ step: 1, 'loss/polcy': 1 });
    await expect(add()).rejects.toThrow(/metric "loss\/polcy" is not declared; expected one of loss\/policy/);
    // @ts-expect-error: a row without a step
    await metrics.add({ 'loss/policy': 1 }).catch(() => undefined);
  });

  test('saves by itself once enough time has passed', async () => {
    const patient = openMetrics(path('patient.arrow'), descriptions, { saveEverySeconds: 3600 });
    await patient.add({ step: 1 });
    expect(existsSync(path('patient.arrow'))).toBe(false);
    const eager = openMetrics(path('eager.arrow'), descriptions, { saveEverySeconds: 0 });
    await eager.add({ step: 1 });
    expect(inspectTable(path('eager.arrow')).rowCount).toBe(1);
  });

  test('drops the rows after the checkpoint it resumes from', async () => {
    const first = openMetrics(path('metrics.arrow'), descriptions);
    for (const step of [1, 2, 3, 4]) await first.add({ step, 'loss/policy': step });
    await first.flush();
    const second = openMetrics(path('metrics.arrow'), descriptions, { resumeFromStep: 2 });
    await second.add({ step: 3, 'loss/policy': 30 });
    await second.flush();
    expect(rowsOf().map((row) => row['loss/policy'])).toEqual([1, 2, 30]);
  });

  test('resumes where no row had been saved, and starts anew where it does not resume', async () => {
    const first = openMetrics(path('metrics.arrow'), descriptions, { resumeFromStep: 0 });
    await first.add({ step: 1, 'loss/policy': 1 });
    await first.flush();
    const second = openMetrics(path('metrics.arrow'), descriptions);
    await second.flush();
    expect(rowsOf()).toEqual([]);
  });

  test('says what to do with a damaged file', async () => {
    writeFileSync(path('metrics.arrow'), 'ARROW1 and then nothing');
    expect(
      await problemsOf(() => openMetrics(path('metrics.arrow'), descriptions, { resumeFromStep: 1 }), path()),
    ).toEqual([
      'metrics.arrow: the file is cut off; expected it to end with ARROW1, received 23 bytes that do not. Run the stage again with another run.folder.',
    ]);
  });

  test('an interrupted and resumed series equals the uninterrupted one, byte for byte', async () => {
    const values = fc.array(fc.double({ noNaN: true }), { minLength: 2, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(values, fc.nat(), async (series, cut) => {
        const [whole, resumed] = [path('whole.arrow'), path('resumed.arrow')];
        const write = async (file: string, from: number, to: number, resumeFromStep?: number) => {
          const metrics = openMetrics(file, descriptions, { resumeFromStep });
          for (let step = from; step < to; step++) await metrics.add({ step, 'loss/policy': series[step] });
          await metrics.flush();
        };
        const checkpoint = cut % (series.length - 1);
        await write(whole, 0, series.length);
        await write(resumed, 0, series.length - 1);
        await write(resumed, checkpoint + 1, series.length, checkpoint);
        expect(readFileSync(resumed).equals(readFileSync(whole))).toBe(true);
      }),
      { numRuns: 15 },
    );
  });
});

test('the glossary lists the step and every metric as a Markdown table', () => {
  expect(metricGlossary({ 'reward/score': 'Score | normalised.' })).toEqual([
    '| metric | meaning |',
    '|---|---|',
    '| `step` | Steps done when the row was written: updates of the parameters, or, in PPO, rollouts with their updates. |',
    '| `reward/score` | Score \\| normalised. |',
  ]);
});

test('samples carry their step before the declared columns', async () => {
  const samples = openSamples(path('samples.arrow'), { prompt: utf8('The prompt.'), score: float32('Its score.') });
  await samples.add({ step: 5, prompt: 'Where is the mill?', score: 0.5 });
  await samples.flush();
  expect(inspectTable(path('samples.arrow')).columns.map((column) => column.name)).toEqual(['step', 'prompt', 'score']);
  expect(inspectTable(path('samples.arrow')).row(0)).toEqual({ step: 5, prompt: 'Where is the mill?', score: 0.5 });
});
