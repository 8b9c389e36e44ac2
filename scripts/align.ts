/**
 * The whole chain: every stage that the configuration names, each on what the earlier ones made, as stages declare it.
 *
 *   Run      npm run align                         (configs/align/tiny.yaml)
 *            npm run align -- run.seed=2 run.folder=data/runs/seed-2
 *   Writes   <run.folder>/<stage>/, summary.json, report.md
 *   Prints   answers to one held-out prompt, of the base and of each model as it is made; at the end the report
 *
 * A chain that was stopped goes on where it was when the same command is given again.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CheckpointError, ConfigError, UserError } from '../src/errors.ts';
import { atomicWrite } from '../src/files/atomic-write.ts';
import { chainReport } from '../src/report/chain-report.ts';
import type { ChainSummary } from '../src/report/chain-summary.ts';
import { chainSummary } from '../src/report/chain-summary.ts';
import { answersSoFar, type PaintMark } from '../src/report/show-answer.ts';
import { type FirstAnswer, fits, type Kind } from '../src/run/declaration.ts';
import { readManifest } from '../src/run/manifest.ts';
import { readArguments, runMain } from '../src/run/program.ts';
import { lockRunFolder, refuseLocked } from '../src/run/run-lock.ts';
import { describeChanges } from '../src/run/show-config.ts';
import { makeAgain, openLaneFor, runStage, type Stage, type StageConfig } from '../src/run/stage.ts';
import { staleProblems } from '../src/run/stale.ts';
import type { Lane } from '../src/tensor/lane.ts';
import { INTERRUPTED, watchInterrupts } from '../src/terminal/interrupts.ts';
import type { Progress } from '../src/terminal/progress.ts';
import { formatSeconds, openProgress } from '../src/terminal/progress.ts';
import { loadConfig } from '../src/yaml/load-config.ts';
import { pathArgument } from '../src/yaml/overrides.ts';
import { AlignConfig, chainable } from './align.config.ts';
import { painter } from './use/show-messages.ts';

/** A stage of a chain with its configuration. */
interface ChainStage {
  readonly stage: Stage<StageConfig>;
  readonly config: StageConfig;
  /** Earlier stages of the chain whose outputs it takes. */
  readonly after: readonly string[];
}

/**
 * The stages that a chain names, in order. The configuration of each is its file, then the chain's paths, seed and runtime,
 * then the overrides.
 * @throws ConfigError as `loadConfig`, of the first file that is wrong; where there are overrides for a stage that has no file
 */
function chainOf(config: AlignConfig): ChainStage[] {
  const { folder, seed } = config.run;
  const chain: ChainStage[] = [];
  for (const stage of chainable) {
    const file = config.stages[stage.name];
    const overrides = config.overrides[stage.name] ?? [];
    if (file === undefined) {
      if (overrides.length === 0) continue;
      throw new ConfigError(
        `overrides.${stage.name}: the chain has no such stage. Name its file in stages.${stage.name}.`,
      );
    }
    const parents = parentsInChain(stage, chain);
    // What a chain fills itself holds nothing of another chain.
    const filled = Object.entries(stage.parents).flatMap(([key, { inChain }]) => (inChain === 'every' ? [key] : []));
    const settings = [
      pathArgument('run.folder', join(folder, stage.name)),
      `run.seed=${seed}`,
      ...Object.entries(config.runtime).map(([key, value]) => `runtime.${key}=${value}`),
      ...filled.map((key) => `${key}=null`),
      ...parents.map(({ key, path }) => pathArgument(key, path === 'base' ? config.base : join(folder, path))),
      ...overrides,
    ];
    const after = [...new Set(parents.flatMap(({ path }) => (path === 'base' ? [] : path.split('/').slice(0, 1))))];
    chain.push({ stage, config: loadConfig(stage.schema, file, settings), after });
  }
  return chain;
}

/** What a stage takes from the chain: the configuration's key, and the path within the chain; "base" is the base. */
function parentsInChain(
  { parents }: Stage<StageConfig>,
  earlier: readonly ChainStage[],
): { key: string; path: string }[] {
  return Object.entries(parents).flatMap(([key, { takes, inChain }]) => {
    if (inChain === 'every') {
      const others = Object.values(parents).map((parent) => parent.inChain);
      const made = earlier.filter(({ stage }) => makes(stage, takes) && !others.includes(stage.name));
      return made.map(({ stage: { name } }) => ({ key: `${key}.${name}`, path: name }));
    }
    const isThere = inChain === 'base' || earlier.some(({ stage }) => stage.name === inChain?.split('/')[0]);
    return inChain !== undefined && isThere ? [{ key, path: inChain }] : [];
  });
}

const makes = ({ outputs }: Stage<StageConfig>, wanted: Kind): boolean =>
  Object.values(outputs).some(({ kind }) => fits(kind, wanted));

/**
 * Checks every stage of the chain as far as what it reads is there, and returns lines with figures.
 * @throws UserError with the problems of all stages
 */
export async function checkChain(config: AlignConfig): Promise<string[]> {
  const lines: string[] = [];
  const problems: string[] = [];
  for (const { stage, config: own, after } of chainOf(config)) {
    const missing = after.filter((name) => readManifest(join(config.run.folder, name))?.status !== 'finished');
    if (missing.length > 0) {
      lines.push(`${stage.name}: reads what ${missing.join(' and ')} will make; its configuration is right`);
      continue;
    }
    try {
      lines.push(`${stage.name}:`, ...(await stage.check(own)).map((line) => `  ${line}`));
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      problems.push(...error.problems);
    }
  }
  if (problems.length > 0) throw new UserError([...new Set(problems)]);
  return lines;
}

/**
 * Runs the chain and returns its summary, which is also written to summary.json.
 * @param paint colours the marks of answers
 */
export async function align(
  config: AlignConfig,
  progress: Progress = openProgress({}),
  paint: PaintMark = painter(false),
): Promise<ChainSummary> {
  const { folder, seed } = config.run;
  // Every file is checked before the first stage starts, so that a misspelt key of the last one costs seconds, not minutes.
  const chain = chainOf(config);
  refuseLocked(folder);
  await refuseStale(chain);
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
    const showAnswer = openAnswers(chain, progress.say, paint);
    await showAnswer('base', config.base);
    for (const { stage, config: own } of chain) {
      await runStage(stage, own, options);
      if (makes(stage, 'language model')) await showAnswer(stage.name, own.run.folder);
    }

    const stages = chain.map(({ stage }) => stage);
    const results = chainSummary(folder, seed, stages);
    await atomicWrite(join(folder, 'summary.json'), `${JSON.stringify(results.summary, null, 2)}\n`);
    const report = chainReport(folder, stages, results, paint);
    await atomicWrite(join(folder, 'report.md'), report.markdown);
    for (const line of report.terminal) progress.say(line);
    return results.summary;
  } finally {
    watch.stop();
    lock.release();
  }
}

/** Shows what the models so far answer to the first prompt of the chain's evaluation, where it has prompts. */
function openAnswers(chain: readonly ChainStage[], say: Progress['say'], paint: PaintMark) {
  const answers: (FirstAnswer & { model: string })[] = [];
  return async (model: string, path: string): Promise<void> => {
    for (const { stage, config } of chain) {
      const answer = await stage.firstAnswer?.(config, path);
      if (answer === undefined) continue;
      answers.push({ model, ...answer });
      for (const line of answersSoFar(answers, paint)) say(line);
    }
  };
}

/**
 * Looks at all finished stages before the first one starts, so that no training is wasted on stale parents.
 * @throws CheckpointError naming what has changed and the folders to make again: the first stale stage and those after it
 */
async function refuseStale(chain: readonly ChainStage[]): Promise<void> {
  const problems: string[] = [];
  const folders: string[] = [];
  for (const { config } of chain) {
    problems.push(...(await staleProblems(config.run.folder, config)));
    if (problems.length > 0 && existsSync(config.run.folder)) folders.push(config.run.folder);
  }
  if (problems.length > 0) throw new CheckpointError([...new Set(problems), makeAgain(folders)]);
}

await runMain(import.meta.url, async (argv) => {
  const usage = `Runs a chain of stages (${chainable.map(({ name }) => name).join(' → ')}), those that the configuration names.`;
  const defaultFile = 'configs/align/tiny.yaml';
  const parsed = readArguments(AlignConfig, { argv, script: 'scripts/align.ts', usage, defaultFile });
  if (parsed.help !== undefined) {
    process.stdout.write(`${parsed.help}\n`);
    return;
  }
  const progress = openProgress({});
  for (const line of describeChanges(AlignConfig, parsed.config)) progress.say(`  ${line}`);
  const paint = painter(process.stdout.isTTY === true && process.env.NO_COLOR === undefined);
  const { seconds } = await align(parsed.config, progress, paint);
  progress.say(`done in ${formatSeconds(seconds)} (set-up aside)`);
  progress.close();
});
