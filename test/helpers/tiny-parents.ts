/** The parents of stage 3 for tests: an instruct model that sometimes stops, and a reward model. */
import { runStage } from '../../src/run/stage.ts';
import type { Lane } from '../../src/tensor/lane.ts';
import { instruct } from '../../stages/1-instruct.ts';
import { reward } from '../../stages/2-reward.ts';
import type { TinyRuns } from './tiny-configs.ts';
import { instructConfig, rewardConfig, tinyRuns } from './tiny-configs.ts';
import type { TinyWorld } from './tiny-world.ts';

/** Runs stages 1 and 2 with a few steps each. */
export async function makeParents(world: TinyWorld, folder: string, lane: Lane): Promise<TinyRuns> {
  const runs = tinyRuns(folder);
  const learning = { training: { epochs: 6 }, evaluation: { everySteps: 100 } };
  await runStage(instruct, instructConfig(world, runs.instruct, learning), { lane, quiet: true });
  const judging = { training: { epochs: 3 } };
  await runStage(reward, rewardConfig(world, runs.instruct, runs.reward, judging), { lane, quiet: true });
  return runs;
}
