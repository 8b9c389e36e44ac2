/** Memory: the number of tensors is the same after every step, and none are left when a stage is over. */
import { beforeAll, describe, expect, it } from 'vitest';
import { openEngine } from '../../src/graph/engine.ts';
import type { Stage, StageConfig } from '../../src/run/stage.ts';
import { runStage } from '../../src/run/stage.ts';
import type { Lane } from '../../src/tensor/lane.ts';
import { tensorCount } from '../../src/tensor/lane.ts';
import { pretrain } from '../../stages/0-pretrain.ts';
import { instruct } from '../../stages/1-instruct.ts';
import { ppo } from '../../stages/3-ppo.ts';
import { evaluate } from '../../stages/4-evaluate.ts';
import { preferences } from '../../stages/preferences.ts';
import { pairStages } from '../helpers/pair-stages.ts';
import type { TinyRuns } from '../helpers/tiny-configs.ts';
import {
  evaluateConfig,
  instructConfig,
  pairConfig,
  ppoConfig,
  preferencesConfig,
  pretrainConfig,
} from '../helpers/tiny-configs.ts';
import { makeParents } from '../helpers/tiny-parents.ts';
import { useSharedFolder, watchProgress } from '../helpers/tiny-runs.ts';
import type { TinyWorld } from '../helpers/tiny-world.ts';
import { makeTinyWorld } from '../helpers/tiny-world.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';

const path = useSharedFolder();
let world: TinyWorld;
beforeAll(async () => {
  world = await makeTinyWorld(path('world'));
});

describe.each(lanesToTest())('tensor count on the %s lane', (name) => {
  let lane: Lane;
  let runs: TinyRuns;
  beforeAll(async () => {
    lane = await useLane(name);
    runs = await makeParents(world, path(name), lane);
  });
  const at = (folder: string): string => path(name, folder);

  /** Runs a stage and returns the number of tensors it added: after each step, and at its end. */
  async function countTensors<Config extends StageConfig>(stage: Stage<Config>, config: Config) {
    const count = (): number => tensorCount() + (openEngine()?.live.size ?? 0);
    const before = count();
    const steps: number[] = [];
    const progress = watchProgress({ step: () => steps.push(count() - before) });
    await runStage(stage, config, { lane, progress });
    return { steps, left: count() - before };
  }

  it.each([
    ['pretrain', 5, () => countTensors(pretrain, pretrainConfig(world, at('pretrain'), { training: { steps: 5 } }))],
    [
      'pretrain in micro-batches',
      3,
      () => countTensors(pretrain, pretrainConfig(world, at('micro'), { training: { steps: 3, microBatch: 2 } })),
    ],
    ['instruct', 4, () => countTensors(instruct, instructConfig(world, at('tuned'), { training: { epochs: 2 } }))],
    ...pairStages.map((stage) => {
      return [
        stage.name,
        4,
        () => countTensors(stage, pairConfig(stage, world, world.base, at(`counted ${stage.name}`))),
      ] as const;
    }),
    ['ppo', 4, () => countTensors(ppo, ppoConfig(world, runs, runs.ppo, { rollout: { iterations: 4 } }))],
  ] as const)('is flat from step to step of %s', async (_, count, run) => {
    const { steps, left } = await run();
    expect(steps.length).toBeGreaterThanOrEqual(count);
    // A model and two moments at least, and the same after every step.
    expect(steps[0]).toBeGreaterThanOrEqual(3);
    expect(new Set(steps).size).toBe(1);
    expect(left).toBe(0);
  });

  it.each([
    ['preferences', () => countTensors(preferences, preferencesConfig(world, runs.instruct, at('pairs')))],
    ['evaluate', () => countTensors(evaluate, evaluateConfig(world, { ...runs, ppo: runs.instruct }, at('table')))],
  ] as const)('is back where it was after %s', async (_, run) => {
    expect((await run()).left).toBe(0);
  });
});
