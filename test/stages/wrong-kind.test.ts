/** Checkpoints of the wrong kind, or too short for what they would read, are refused before any step. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import type { Lane } from '../../src/tensor/lane.ts';
import { instruct } from '../../stages/1-instruct.ts';
import { reward } from '../../stages/2-reward.ts';
import { ppo } from '../../stages/3-ppo.ts';
import { evaluate } from '../../stages/4-evaluate.ts';
import { refusal } from '../helpers/refusals.ts';
import type { TinyRuns } from '../helpers/tiny-configs.ts';
import { evaluateConfig, instructConfig, ppoConfig, rewardConfig } from '../helpers/tiny-configs.ts';
import { makeParents } from '../helpers/tiny-parents.ts';
import { useSharedFolder } from '../helpers/tiny-runs.ts';
import type { TinyWorld } from '../helpers/tiny-world.ts';
import { makeTinyWorld } from '../helpers/tiny-world.ts';
import { useLane } from '../helpers/use-lane.ts';

const path = useSharedFolder();
let lane: Lane;
let world: TinyWorld;
let runs: TinyRuns;
beforeAll(async () => {
  lane = await useLane();
  world = await makeTinyWorld(path('world'));
  runs = await makeParents(world, path('chain'), lane);
});

const judge = (): string => join(runs.reward, 'model');
const refusePpo = (folder: string, changes: object): Promise<string[]> =>
  refusal(ppo, ppoConfig(world, runs, path(folder), { ...changes }), path(), lane);
const refuseEvaluate = (folder: string, changes: object): Promise<string[]> =>
  refusal(evaluate, evaluateConfig(world, { ...runs, ppo: runs.instruct }, path(folder), { ...changes }), path(), lane);

it('a reward model where a language model is wanted', async () => {
  const message = 'is a reward model; expected a language model. Name another checkpoint.';
  expect(await refusal(instruct, instructConfig(world, path('a'), { model: judge() }), path(), lane)).toEqual([
    `base model chain/reward/model: ${message}`,
  ]);
  expect(await refusal(reward, rewardConfig(world, judge(), path('b')), path(), lane)).toEqual([
    `instruct model chain/reward/model: ${message}`,
  ]);
  expect(await refusePpo('c', { policy: judge() })).toEqual([`policy chain/reward/model: ${message}`]);
  expect(await refuseEvaluate('d', { policies: { ppo: runs.reward } })).toEqual([`ppo chain/reward: ${message}`]);
});

it('a language model where a reward model is wanted', async () => {
  const message = 'expected a reward model. Name another checkpoint.';
  expect(await refusePpo('e', { reward: world.base })).toEqual([
    `reward model world/base: is a language model; ${message}`,
  ]);
  // Of a run its manifest says more.
  expect(await refuseEvaluate('f', { reward: runs.instruct })).toEqual([
    `reward chain/instruct: is a tuned model; ${message}`,
  ]);
});

it('a reward or base model whose context is shorter than prompt and response', async () => {
  for (const [from, to] of [
    [judge(), path('short judge')],
    [world.base, path('short base')],
  ] as const) {
    cpSync(from, to, { recursive: true });
    const file = join(to, 'config.json');
    writeFileSync(
      file,
      readFileSync(file, 'utf8').replace('"max_position_embeddings": 144', '"max_position_embeddings": 16'),
    );
  }
  for (const found of [
    await refusePpo('g', { reward: path('short judge') }),
    await refuseEvaluate('h', { base: path('short base') }),
  ]) {
    expect(found[0]).toMatch(
      /^world\/seed\/chat\.jsonl:\d+: the prompt has \d+ tokens and the context leaves 8 beside the response\. Lower sampling\.maxNewTokens or use a model with a longer context\.$/,
    );
  }
});
