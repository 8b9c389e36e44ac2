/** What every stage has that learns from preference pairs: the files it declares, a loss that falls, figures, refusals. */
import { existsSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadModelFolder } from '../../src/checkpoint/model-folder.ts';
import { disposeModel } from '../../src/model/model.ts';
import { runStage } from '../../src/run/stage.ts';
import type { Lane } from '../../src/tensor/lane.ts';
import { dpo } from '../../stages/dpo.ts';
import { notAsDeclared } from '../helpers/declared.ts';
import { pairStages } from '../helpers/pair-stages.ts';
import { refusal } from '../helpers/refusals.ts';
import type { Changes } from '../helpers/tiny-configs.ts';
import { pairConfig } from '../helpers/tiny-configs.ts';
import { arrowRows, checkedManifest, readMetrics, seriesOf, useSharedFolder } from '../helpers/tiny-runs.ts';
import type { TinyWorld } from '../helpers/tiny-world.ts';
import { makeTinyWorld } from '../helpers/tiny-world.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';

const path = useSharedFolder();
let world: TinyWorld;
let lane: Lane;
beforeAll(async () => {
  world = await makeTinyWorld(path('world'));
  lane = await useLane(lanesToTest()[0]);
});

it('there is one', () => {
  expect(pairStages.map(({ name }) => name)).toContain('reward');
});

describe.each(pairStages)('$name', (stage) => {
  const at = (name: string): string => path(stage.name, name);
  const config = (name: string, changes: Changes = {}) => pairConfig(stage, world, world.base, at(name), changes);

  it.each([
    ['full', {}],
    ['lora', { tuning: { method: 'lora' }, optimizer: { learningRate: 0.03 } }],
  ])('learns what is preferred, and writes what it says it writes: tuned %s', async (method, tuning) => {
    const summary = await runStage(stage, config(method, { ...tuning, training: { epochs: 8 } }), {
      lane,
      quiet: true,
    });
    expect(notAsDeclared(stage, at(method))).toEqual([]);
    const { manifest, wrong } = await checkedManifest(at(method));
    expect(wrong).toEqual([]);
    // A policy is told from other instruct models by what it was made from.
    const role = stage === dpo ? 'policy' : 'model';
    expect(manifest).toMatchObject({ stage: stage.name, status: 'finished', parents: [{ role }], summary });
    expect(manifest.inputs.map(({ role }) => role)).toEqual(['pairs', 'heldOut']);
    const losses = seriesOf(readMetrics(at(method), stage.metrics ?? {}), 'loss/train');
    expect(losses).toHaveLength(16);
    // A pass is two updates, and each is of other pairs: passes are compared, not updates.
    expect(losses.at(-2)! + losses.at(-1)!).toBeLessThan(losses[0]! + losses[1]!);
    expect(arrowRows(at(`${method}/samples.arrow`))).toHaveLength(2);
    disposeModel(loadModelFolder(at(`${method}/model`), { tokenizer: null }).model);
  });

  it('says in figures what it would read, and makes nothing', async () => {
    const lines = await stage.check(config('unmade', { training: { epochs: 8 } }));
    expect(lines[0]).toMatch(/^train {5}6 pairs, [\d,]+ tokens, longest \d+; 0 prompts cut, 0 pairs dropped$/);
    expect(lines[1]).toMatch(/^held out {2}2 pairs, /);
    expect(lines[2]).toBe('16 steps');
    expect(existsSync(at('unmade'))).toBe(false);
  });

  it('refuses to choose a step by nothing', async () => {
    const none = config('refused', { heldOut: null, evaluation: { share: 0 } });
    expect(await refusal(stage, none, path(), lane)).toEqual([
      expect.stringMatching(/^evaluation\.best: loss needs held-out pairs, and of the 6 in .* none are held out/),
    ]);
  });
});
