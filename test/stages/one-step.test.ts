/** The smallest runs: one row, one pair, one step, with the warm-up that larger runs have. Each must learn something. */
import { beforeAll, describe, expect, it } from 'vitest';
import { loadModelFolder } from '../../src/checkpoint/model-folder.ts';
import { writePreferences } from '../../src/examples/pair-table.ts';
import type { Stage, StageConfig } from '../../src/run/stage.ts';
import { runStage } from '../../src/run/stage.ts';
import type { Lane } from '../../src/tensor/lane.ts';
import { parameterValues } from '../../src/tensor/parameters.ts';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { pretrain } from '../../stages/0-pretrain.ts';
import { instruct } from '../../stages/1-instruct.ts';
import { reward } from '../../stages/2-reward.ts';
import { instructConfig, pretrainConfig, rewardConfig } from '../helpers/tiny-configs.ts';
import { namesIn, useSharedFolder, watchProgress } from '../helpers/tiny-runs.ts';
import type { TinyWorld } from '../helpers/tiny-world.ts';
import { makeTinyWorld, tinyPairs } from '../helpers/tiny-world.ts';
import { useLane } from '../helpers/use-lane.ts';

const path = useSharedFolder();
let world: TinyWorld;
let lane: Lane;
beforeAll(async () => {
  lane = await useLane('wasm');
  world = await makeTinyWorld(path('world'));
});

/** Runs a stage; returns what it said. */
async function run<Config extends StageConfig>(stage: Stage<Config>, config: Config): Promise<string[]> {
  const said: string[] = [];
  await runStage(stage, config, { lane, progress: watchProgress({ say: (line) => said.push(line) }) });
  return said.filter((line) => line.includes('warmupSteps'));
}

/** The largest change of a parameter that two models share. */
function largestChange(before: string, after: string): number {
  const models = [before, after].map((folder) => loadModelFolder(folder, { tokenizer: null }).model.parameters);
  const [old, now] = models.map(({ layout, stored }) => (name: string): Float32Array | undefined => {
    return layout.specs.some((spec) => spec.name === name) ? parameterValues(layout, stored.read(), name) : undefined;
  });
  const names = models[0]?.layout.specs.map(({ name }) => name) ?? [];
  const changes = names.flatMap((name) => {
    const [first, second] = [old?.(name), now?.(name)];
    if (first === undefined || second === undefined) return [];
    return [...first].map((value, i) => Math.abs(value - (second[i] ?? Number.NaN)));
  });
  for (const { stored } of models) stored.dispose();
  return Math.max(...changes);
}

const shortened = (section: string, asked: number) =>
  `${section}.warmupSteps ${asked}: the run has 1 step and would end before its peak rate; shortened to 0, a tenth of the run. Set it below 1 to choose.`;

describe('a run of one step learns, and says that it has no room for its warm-up', () => {
  it('in stage 0', async () => {
    const changes = { training: { steps: 1 }, optimizer: { warmupSteps: 100 } };
    expect(await run(pretrain, pretrainConfig(world, path('pretrain'), changes))).toEqual([
      shortened('optimizer', 100),
    ]);
  });

  it('in stage 1, on the one row that one example makes', async () => {
    const changes = { mixture: { examples: 1 }, optimizer: { warmupSteps: 30 } };
    const config = instructConfig(world, path('instruct'), changes);
    expect(await instruct.check(config)).toContain(shortened('optimizer', 30));
    expect(await run(instruct, config)).toEqual([shortened('optimizer', 30)]);
    const [step] = namesIn(path('instruct', 'checkpoints'));
    expect(largestChange(world.base, path('instruct', 'checkpoints', step!))).toBeGreaterThan(1e-3);
  });

  it('in stage 2, on one pair', async () => {
    const tokenizer = loadTokenizer(world.tokenizer);
    await writePreferences(path('pair.arrow'), tinyPairs(world, tokenizer).slice(0, 1), tokenizer);
    const settings = { pairs: path('pair.arrow'), training: { pairs: 32, epochs: 1 }, optimizer: { warmupSteps: 10 } };
    const config = rewardConfig(world, world.base, path('reward'), settings);
    expect(await reward.check(config)).toContain(shortened('optimizer', 10));
    expect(await run(reward, config)).toEqual([shortened('optimizer', 10)]);
    expect(largestChange(world.base, path('reward', 'model'))).toBeGreaterThan(1e-4);
  });
});
