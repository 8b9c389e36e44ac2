/** What a stage says when it refuses to run: every problem, and proof that no step was made before. */
import { existsSync, readdirSync } from 'node:fs';
import type { Stage, StageConfig } from '../../src/run/stage.ts';
import { runStage } from '../../src/run/stage.ts';
import type { Lane } from '../../src/tensor/lane.ts';
import { problemsOf } from './temporary-folder.ts';
import { watchProgress } from './tiny-runs.ts';

/**
 * Runs a stage that must fail and returns its problems, with the folder's name taken out.
 * @throws where the stage made a step, or left anything behind that keeps the mended command from running in its folder
 */
export async function refusal<Config extends StageConfig>(
  stage: Stage<Config>,
  config: Config,
  folder: string,
  lane: Lane,
): Promise<string[]> {
  const steps: string[] = [];
  const progress = watchProgress({ step: (phase, done) => steps.push(`${phase} ${done}`) });
  const problems = await problemsOf(() => runStage(stage, config, { lane, progress }), folder);
  if (steps.length > 0) throw new Error(`steps were made: ${steps.join(', ')}`);
  if (problems.length === 0) throw new Error('the stage ran');
  const allowed = ['config.yaml', 'manifest.json'];
  const left = existsSync(config.run.folder) ? readdirSync(config.run.folder) : [];
  const work = left.filter((name) => !allowed.includes(name));
  if (work.length > 0) throw new Error(`left behind: ${work.join(', ')}`);
  return problems;
}
