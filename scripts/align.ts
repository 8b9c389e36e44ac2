/**
 * The whole chain: instruction tuning → preference pairs → reward model → PPO → evaluation.
 *
 *   Run      npm run align                         (configs/align/tiny.yaml)
 *            npm run align -- run.seed=2 run.folder=data/runs/seed-2
 *   Writes   <run.folder>/{instruct, preferences, reward, ppo, evaluate}/, summary.json, report.md
 *
 * A chain that was stopped goes on where it was when the same command is given again.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CheckpointError, UserError } from '../src/errors.ts';
import { atomicWrite } from '../src/files/atomic-write.ts';
import { chainReport } from '../src/report/chain-report.ts';
import type { ChainSummary } from '../src/report/chain-summary.ts';
import { chainSummary } from '../src/report/chain-summary.ts';
import { readManifest } from '../src/run/manifest.ts';
import { readArguments, runMain } from '../src/run/program.ts';
import { lockRunFolder, refuseLocked } from '../src/run/run-lock.ts';
import { describeChanges } from '../src/run/show-config.ts';
import { makeAgain, openLaneFor, runStage } from '../src/run/stage.ts';
import { staleProblems } from '../src/run/stale.ts';
import type { Lane } from '../src/tensor/lane.ts';
import { INTERRUPTED, watchInterrupts } from '../src/terminal/interrupts.ts';
import type { Progress } from '../src/terminal/progress.ts';
import { formatSeconds, openProgress } from '../src/terminal/progress.ts';
import { loadConfig } from '../src/yaml/load-config.ts';
import { pathArgument } from '../src/yaml/overrides.ts';
import { instruct } from '../stages/1-instruct.ts';
import { reward } from '../stages/2-reward.ts';
import { ppo } from '../stages/3-ppo.ts';
import { evaluate } from '../stages/4-evaluate.ts';
import { preferences } from '../stages/preferences.ts';
import { AlignConfig } from './align.config.ts';

/**
 * The configuration of every stage: its file, the chain's paths, seed and runtime, then the overrides.
 * @throws ConfigError as `loadConfig`, of the first file that is wrong
 */
function stageConfigs(config: AlignConfig) {
  const { folder, seed } = config.run;
  const at = (stage: string): string => join(folder, stage);
  const pairs = (name: string): string => join(at('preferences'), `${name}.arrow`);
  const parents = {
    instruct: { model: config.base },
    preferences: { model: at('instruct') },
    reward: { model: at('instruct'), pairs: pairs('train'), heldOut: pairs('held-out') },
    ppo: { policy: at('instruct'), reward: at('reward') },
    evaluate: { base: config.base, instruct: at('instruct'), reward: at('reward'), ppo: at('ppo') },
  };
  const settings = (stage: keyof typeof parents): string[] => [
    pathArgument('run.folder', at(stage)),
    `run.seed=${seed}`,
    ...Object.entries(config.runtime).map(([key, value]) => `runtime.${key}=${value}`),
    ...Object.entries(parents[stage]).map(([key, path]) => pathArgument(key, path)),
    ...config.overrides[stage],
  ];
  return {
    instruct: loadConfig(instruct.schema, config.stages.instruct, settings('instruct')),
    preferences: loadConfig(preferences.schema, config.stages.preferences, settings('preferences')),
    reward: loadConfig(reward.schema, config.stages.reward, settings('reward')),
    ppo: loadConfig(ppo.schema, config.stages.ppo, settings('ppo')),
    evaluate: loadConfig(evaluate.schema, config.stages.evaluate, settings('evaluate')),
  };
}

/**
 * Checks every stage of the chain as far as what it reads is there, and returns lines with figures.
 * @throws UserError with the problems of all stages
 */
export async function checkChain(config: AlignConfig): Promise<string[]> {
  const configs = stageConfigs(config);
  const lines: string[] = [];
  const problems: string[] = [];
  const look = async (stage: string, after: readonly string[], check: () => Promise<readonly string[]>) => {
    const missing = after.filter((name) => readManifest(join(config.run.folder, name))?.status !== 'finished');
    if (missing.length > 0) {
      lines.push(`${stage}: reads what ${missing.join(' and ')} will make; its configuration is right`);
      return;
    }
    try {
      lines.push(`${stage}:`, ...(await check()).map((line) => `  ${line}`));
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      problems.push(...error.problems);
    }
  };
  await look('instruct', [], () => instruct.check(configs.instruct));
  await look('preferences', ['instruct'], () => preferences.check(configs.preferences));
  await look('reward', ['instruct', 'preferences'], () => reward.check(configs.reward));
  await look('ppo', ['instruct', 'reward'], () => ppo.check(configs.ppo));
  await look('evaluate', ['instruct', 'reward', 'ppo'], () => evaluate.check(configs.evaluate));
  if (problems.length > 0) throw new UserError([...new Set(problems)]);
  return lines;
}

/** Runs the chain and returns its summary, which is also written to summary.json. */
export async function align(config: AlignConfig, progress: Progress = openProgress({})): Promise<ChainSummary> {
  const { folder, seed } = config.run;
  // Every file is checked before the first stage starts, so that a misspelt key of the last one costs seconds, not minutes.
  const configs = stageConfigs(config);
  refuseLocked(folder);
  await refuseStale(configs);
  const lock = await lockRunFolder(folder, 'align', progress.say);
  // Stages watch by themselves; this is for what is between them.
  const end = (): void => process.exit(INTERRUPTED);
  const watch = watchInterrupts(() => {
    progress.close();
    progress.say('stopped before a stage began; the same command goes on.');
    // A setup that is under way hears of it too and stops its programs first.
    setImmediate(end);
  }, end);
  try {
    const lane: Lane = await openLaneFor(config.runtime, progress);
    const options = { resume: 'where-possible', lane, progress } as const;
    await runStage(instruct, configs.instruct, options);
    await runStage(preferences, configs.preferences, options);
    await runStage(reward, configs.reward, options);
    await runStage(ppo, configs.ppo, options);
    await runStage(evaluate, configs.evaluate, options);

    const summary = chainSummary(folder, seed);
    await atomicWrite(join(folder, 'summary.json'), `${JSON.stringify(summary, null, 2)}\n`);
    const report = chainReport(folder, summary);
    await atomicWrite(join(folder, 'report.md'), report.markdown);
    for (const line of report.terminal) progress.say(line);
    return summary;
  } finally {
    watch.stop();
    lock.release();
  }
}

/**
 * Looks at all finished stages before the first one starts, so that nothing is trained in vain.
 * @throws CheckpointError naming what has changed and the folders to make again: the first stale stage and those after it
 */
async function refuseStale(
  configs: Readonly<Record<string, { readonly run: { readonly folder: string } }>>,
): Promise<void> {
  const problems: string[] = [];
  const folders: string[] = [];
  for (const config of Object.values(configs)) {
    problems.push(...(await staleProblems(config.run.folder, config)));
    if (problems.length > 0 && existsSync(config.run.folder)) folders.push(config.run.folder);
  }
  if (problems.length > 0) throw new CheckpointError([...new Set(problems), makeAgain(folders)]);
}

await runMain(import.meta.url, async (argv) => {
  const usage = 'Runs the whole chain: instruct → preference pairs → reward model → PPO → evaluation.';
  const defaultFile = 'configs/align/tiny.yaml';
  const parsed = readArguments(AlignConfig, { argv, script: 'scripts/align.ts', usage, defaultFile });
  if (parsed.help !== undefined) {
    process.stdout.write(`${parsed.help}\n`);
    return;
  }
  const progress = openProgress({});
  for (const line of describeChanges(AlignConfig, parsed.config)) progress.say(`  ${line}`);
  const { seconds } = await align(parsed.config, progress);
  progress.say(`done in ${formatSeconds(seconds)} (set-up aside)`);
  progress.close();
});
