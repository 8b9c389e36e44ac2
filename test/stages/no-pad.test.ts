/** Every program that lets a model answer or judge takes one whose tokenizer was given its PAD here. */
import { beforeAll, describe, expect, it } from 'vitest';
import { generateCommand } from '../../scripts/generate.ts';
import { checkModelFolder } from '../../src/checkpoint/model-folder.ts';
import { runStage } from '../../src/run/stage.ts';
import { currentLane, type Lane } from '../../src/tensor/lane.ts';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { checkConfig } from '../../src/yaml/load-config.ts';
import { instruct } from '../../stages/1-instruct.ts';
import { evaluate } from '../../stages/4-evaluate.ts';
import { DistillConfig } from '../../stages/distill.config.ts';
import { distill } from '../../stages/distill.ts';
import { preferences } from '../../stages/preferences.ts';
import { takePadAway } from '../helpers/no-pad.ts';
import { evaluateConfig, instructConfig, preferencesConfig, tinyRuns } from '../helpers/tiny-configs.ts';
import { arrowRows, namesIn, useSharedFolder } from '../helpers/tiny-runs.ts';
import type { TinyWorld } from '../helpers/tiny-world.ts';
import { makeTinyWorld } from '../helpers/tiny-world.ts';
import { useLane } from '../helpers/use-lane.ts';

const path = useSharedFolder();
let lane: Lane;
let world: TinyWorld;
beforeAll(async () => {
  lane = await useLane();
  world = await makeTinyWorld(path('world'));
  takePadAway(world.base);
  await runStage(instruct, instructConfig(world, path('instruct')), { lane, quiet: true });
});

describe('a model without a PAD of its own', () => {
  it('has one row less than its tokenizer has tokens', () => {
    const tokenizer = loadTokenizer(world.base);
    expect(tokenizer).toMatchObject({ padId: 448, vocabSize: 449, addedPad: true });
    expect(checkModelFolder(world.base, { where: 'base', kind: 'language model', tokenizer }).vocab).toBe(449);
  });

  it('draws samples that end at different places', async () => {
    const texts: string[] = [];
    const output = { write: (text: string) => texts.push(text), note: () => undefined, terminal: false, width: 80 };
    const stops = ['e', 'a', 'o'].flatMap((stop) => ['--stop', stop]);
    const drawing = ['--samples', '6', '--temperature', '1', '--max-new-tokens', '30', '--seed', '1', '--json'];
    await generateCommand(
      [world.base, '--prompt', 'The lamp', ...drawing, ...stops, '--backend', currentLane()],
      output,
    );
    const lengths = texts.map((line) => (JSON.parse(line) as { tokens: number }).tokens);
    expect(new Set(lengths).size).toBeGreaterThan(1);
  });

  it('gives answers to be compared', async () => {
    await runStage(preferences, preferencesConfig(world, world.base, path('preferences')), { lane, quiet: true });
    expect(arrowRows(path('preferences/responses.arrow')).length).toBeGreaterThan(0);
  });

  it('is evaluated beside what was made of it', async () => {
    const runs = tinyRuns(path());
    const without = {
      ...{ policies: undefined, reward: undefined },
      ...{ prompts: undefined, promptCount: undefined, sampling: undefined },
    };
    const { table } = await runStage(evaluate, evaluateConfig(world, runs, path('evaluate'), without), {
      ...{ lane, quiet: true },
    });
    expect(table).toMatchObject([{ model: 'base' }, { model: 'instruct' }]);
  });

  it.each([
    ['a smaller student', { layers: 1 }],
    ['itself', { checkpoint: 'base' }],
  ])('teaches %s', async (name, student) => {
    const settings = {
      run: { folder: path(name) },
      teacher: world.base,
      student: 'checkpoint' in student ? { checkpoint: world.base } : student,
      data: { examples: path('instruct/instruct.arrow'), tables: world.tables, templates: world.templates },
      sequence: { length: 144 },
      training: { rows: 4 },
      evaluation: { everySteps: 100, rowsPerTask: 2 },
    };
    await runStage(distill, checkConfig(DistillConfig, settings as never, 'test'), { lane, quiet: true });
    expect(namesIn(path(name))).toContain('best');
    const tokenizer = loadTokenizer(path(name, 'best'));
    expect(tokenizer).toMatchObject({ padId: 448, addedPad: false });
    expect(checkModelFolder(path(name, 'best'), { where: 'best', kind: 'language model', tokenizer }).vocab).toBe(449);
  });
});
