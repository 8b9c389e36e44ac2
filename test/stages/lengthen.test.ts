/** A run that is made longer with --resume ends with the weights of one that was that long from its beginning. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { ppoMetrics } from '../../src/alignment/ppo-metrics.ts';
import { readManifest } from '../../src/run/manifest.ts';
import type { RunOptions, Stage, StageConfig, Summary } from '../../src/run/stage.ts';
import { runStage } from '../../src/run/stage.ts';
import type { Lane } from '../../src/tensor/lane.ts';
import { Interrupted } from '../../src/terminal/interrupts.ts';
import { pretrain } from '../../stages/0-pretrain.ts';
import { reward } from '../../stages/2-reward.ts';
import { ppo } from '../../stages/3-ppo.ts';
import { problemsOf } from '../helpers/temporary-folder.ts';
import { ppoConfig, pretrainConfig, rewardConfig } from '../helpers/tiny-configs.ts';
import { makeParents } from '../helpers/tiny-parents.ts';
import {
  filesBelow,
  interruptedAt,
  namesIn,
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
beforeAll(async () => {
  lane = await useLane('wasm');
  world = await makeTinyWorld(path('world'));
});

const said: string[] = [];
function run<Config extends StageConfig>(
  stage: Stage<Config>,
  config: Config,
  options: RunOptions = {},
): Promise<Summary> {
  said.length = 0;
  return runStage(stage, config, { lane, progress: watchProgress({ say: (line) => said.push(line) }), ...options });
}

/** Weights and moments of the last checkpoint. */
function lastCheckpoint(folder: string): Record<string, string> {
  const last = namesIn(join(folder, 'checkpoints')).at(-1) ?? '';
  const files = filesBelow(join(folder, 'checkpoints', last));
  return Object.fromEntries(Object.entries(files).filter(([name]) => name.endsWith('.safetensors')));
}

const constant = { schedule: 'constant' };

it('a finished run of stage 0', async () => {
  const config = (folder: string, steps: number) =>
    pretrainConfig(world, path(folder), { training: { steps }, optimizer: constant });
  await run(pretrain, config('whole', 5));
  await run(pretrain, config('grown', 3));
  expect(await run(pretrain, config('grown', 5), { resume: true })).toMatchObject({ steps: 5 });
  expect(said).toContain('pretrain: goes on with training.steps 5 (3 before)');
  expect(Object.keys(lastCheckpoint(path('grown')))).toContain('optimizer.safetensors');
  expect(lastCheckpoint(path('grown'))).toEqual(lastCheckpoint(path('whole')));
  expect(readManifest(path('grown'))).toMatchObject({
    status: 'finished',
    steps: 5,
    sessions: [{ changed: {} }, { changed: { 'training.steps': 5 } }],
  });
  expect(readFileSync(path('grown/config.yaml'), 'utf8')).toContain('steps: 3\n');
  // Now it is that long: the same command finds nothing to do, and says so.
  await run(pretrain, config('grown', 5), { resume: true });
  expect(said).toEqual([`pretrain: already finished in ${path('grown')}`]);
});

it('refused for a falling rate: the finished run stays as it is', async () => {
  const config = (steps: number) => pretrainConfig(world, path('cosine'), { training: { steps } });
  await run(pretrain, config(2));
  const before = filesBelow(path('cosine'));
  expect(await problemsOf(() => run(pretrain, config(4), { resume: true }), path())).toEqual([
    expect.stringMatching(
      /^cosine\/config\.yaml:\d+:\d+ training\.steps: the run goes to 2, received 4\. optimizer\.schedule cosine falls/,
    ),
    expect.stringMatching(/^Resume with/),
  ]);
  expect(filesBelow(path('cosine'))).toEqual(before);
});

it('a run of stage 2 that was stopped, by passes', async () => {
  const config = (folder: string, epochs: number) =>
    rewardConfig(world, world.base, path(folder), { training: { epochs }, optimizer: constant });
  await run(reward, config('long', 4));
  await expect(run(interruptedAt(reward, 3), config('stopped', 2))).rejects.toThrow(Interrupted);
  await run(reward, config('stopped', 4), { resume: true });
  expect(lastCheckpoint(path('stopped'))).toEqual(lastCheckpoint(path('long')));
});

it('a run of stage 3 of one rollout of two responses, to more rollouts in smaller micro-batches', async () => {
  const runs = await makeParents(world, path('parents'), lane);
  const config = (iterations: number, microBatch: number) =>
    ppoConfig(world, runs, path('ppo'), {
      ...{ rollout: { iterations, batch: 2 }, updates: { microBatch, minibatches: 1 } },
      ...{ optimizer: constant, valueOptimizer: constant },
    });
  await run(ppo, config(1, 64));
  expect(seriesOf(readMetrics(path('ppo'), ppoMetrics), 'optimizer/learning_rate')).toEqual([1e-3]);
  expect(await run(ppo, config(3, 1), { resume: true })).toMatchObject({ iterations: 3 });
  expect(said).toContain('ppo: goes on with rollout.iterations 3 (1 before), updates.microBatch 1 (64 before)');
});
