/** Runs one stage: checks its folder, opens the lane, keeps the manifest, and turns interrupts and full disks into clear ends. */

import { existsSync } from 'node:fs';
import type { z } from 'zod';
import { CheckpointError, hasCode, InvariantError, UserError } from '../errors.ts';
import type { CompileSettings } from '../graph/mode.ts';
import type { Lane, RuntimeOptions } from '../tensor/lane.ts';
import { INTERRUPTED, Interrupted, watchInterrupts } from '../terminal/interrupts.ts';
import { openProgress, type Progress } from '../terminal/progress.ts';
import type { ChainNumbers, Figure, FirstAnswer, Outputs, Parents } from './declaration.ts';
import type { LaneSettings } from './lane-settings.ts';
import { laneNotes, refuseForLane, usableOn } from './lane-settings.ts';
import type { Manifest } from './manifest.ts';
import { readManifest } from './manifest.ts';
import type { MetricDescriptions } from './metrics.ts';
import { compareSettings, resumeRules } from './resume-settings.ts';
import { checkRunFolder, openRunFolder, type RunFolder, type RunRequest } from './run-folder.ts';
import { lockRunFolder, refuseLocked } from './run-lock.ts';
import { staleProblems } from './stale.ts';

/** The parts of a configuration that running needs; every stage's schema has them. */
export interface StageConfig {
  readonly run: { readonly folder: string; readonly seed: number };
  readonly runtime: RuntimeOptions & Partial<CompileSettings>;
  readonly memory?: LaneSettings['memory'];
}

/** What a stage returns: the numbers that matter, by name. They go into the manifest and the chain's summary. */
export type Summary = Record<string, unknown>;

/** What a stage is given beside its configuration. */
export interface RunContext {
  readonly folder: RunFolder;
  readonly lane: Lane;
  readonly progress: Progress;
  /** True once Ctrl-C was pressed: save at the next step and throw `Interrupted`. Seen only after `breathe()`, or a turn while tokens are drawn. */
  interrupted(): boolean;
}

/** One program: what it declares of itself, a check and a function. */
export interface Stage<Config extends StageConfig> {
  /** In manifests, in messages, and of its folder in a chain. Its file is called so too, after a number or none. */
  readonly name: string;
  /** What it does, in one sentence. */
  readonly purpose: string;
  readonly schema: z.ZodType<Config>;
  readonly parents: Parents;
  /** What it writes beside config.yaml, manifest.json and what training stages all write: metrics.arrow and checkpoints/. */
  readonly outputs: Outputs;
  /** The series of metrics.arrow; of training stages. */
  readonly metrics?: MetricDescriptions;
  /** Those of them that a chain draws at its end, by what they are called there. */
  readonly curves?: Readonly<Record<string, string>>;
  /** Its lines in the report of a chain. */
  figures?(numbers: ChainNumbers): readonly Figure[];
  /**
   * Looks at everything the stage would read, without weights and without a lane, and returns lines with figures; for
   * `npm run validate`.
   * @throws ConfigError, DataError or CheckpointError with all problems at once
   */
  check(config: Config): Promise<readonly string[]>;
  run(config: Config, context: RunContext): Promise<Summary>;
  /**
   * What a checkpoint answers, greedily, to the first prompt that the stage will ask; undefined where it asks none. A chain
   * shows it of every model as soon as it is made.
   * @param path run folder or model folder
   */
  firstAnswer?(config: Config, path: string): Promise<FirstAnswer | undefined>;
}

export interface RunOptions {
  /** 'where-possible' continues a run that is there and starts one where there is none. */
  readonly resume?: boolean | 'where-possible';
  /** Print nothing. */
  readonly quiet?: boolean;
  /** A lane that is open already. */
  readonly lane?: Lane;
  readonly progress?: Progress;
}

/**
 * Runs a stage to its end and returns its summary; a finished run that is resumed is not run again.
 *
 * @throws CheckpointError where the folder is taken or cannot be resumed, or holds a finished run whose parents or
 *   inputs have changed since; LaneError where the lane cannot be had;
 *   Interrupted after Ctrl-C; whatever the stage throws. The manifest then says interrupted or failed
 */
export async function runStage<Config extends StageConfig>(
  stage: Stage<Config>,
  config: Config,
  options: RunOptions = {},
): Promise<Summary> {
  const path = config.run.folder;
  const progress = options.progress ?? openProgress({ quiet: options.quiet ?? false });
  const resume = options.resume === 'where-possible' ? readManifest(path) !== undefined : (options.resume ?? false);
  const request: RunRequest = {
    stage: stage.name,
    config,
    seed: config.run.seed,
    resume,
    rules: resumeRules(stage.schema),
  };
  // Before the lane is opened, which takes a second, and set up, which can take minutes.
  refuseLocked(path);
  const state = checkRunFolder(path, request);
  const manifest = resume ? readManifest(path) : undefined;
  // A finished run that is to grow must still fit what it was made from, before it is opened.
  if (manifest?.status === 'finished') {
    const stale = await staleProblems(path, config);
    if (stale.length > 0) throw new CheckpointError([...stale, makeAgain([path])]);
  }
  if (state === 'finished') {
    progress.say(`${stage.name}: already finished in ${path}`);
    return manifest?.summary ?? {};
  }
  const lock = await lockRunFolder(path, stage.name, progress.say);
  const watch = watchRun(progress);
  try {
    const lane = options.lane ?? (await openLaneFor(config.runtime, progress));
    refuseForLane(config, lane);
    if (manifest !== undefined) sayWhatChanged(stage.name, lane, manifest, request, progress, path);
    const folder = await openRunFolder(path, request, lane);
    watch.opened(folder);
    return await runToEnd(stage, config, { folder, lane, progress: watch.progress, interrupted: watch.interrupted });
  } finally {
    watch.stop();
    lock.release();
  }
}

/** Runs the stage's function and writes into the manifest what it made and how it ended. */
async function runToEnd<Config extends StageConfig>(
  stage: Stage<Config>,
  config: Config,
  context: RunContext,
): Promise<Summary> {
  const { folder, progress } = context;
  try {
    const summary = await stage.run(config, context);
    await recordOutputs(stage, folder);
    await folder.finish('finished', summary);
    return summary;
  } catch (error) {
    progress.close();
    // The manifest may be what cannot be written; the first error is the one to show.
    await folder.finish(error instanceof Interrupted ? 'interrupted' : 'failed').catch(() => undefined);
    throw isDiskFull(error) ? diskFull(error, folder.path) : error;
  }
}

/** What a stage declares that it writes must be there. */
async function recordOutputs({ name, outputs }: Pick<Stage<StageConfig>, 'name' | 'outputs'>, folder: RunFolder) {
  for (const [role, { path, kind, written }] of Object.entries(outputs)) {
    if (existsSync(folder.file(path))) await folder.recordOutput(role, path, kind);
    else if (written === undefined) throw new InvariantError(`${name}: declares ${path} and has not written it.`);
  }
}

/**
 * Watches for Ctrl-C. Until the stage shows how far it is, nothing is there to save: the first press ends the program at
 * once, and the same command starts again. From then on the first asks to save and the second ends the program.
 */
function watchRun(progress: Progress) {
  let hasBegun = false;
  let folder: RunFolder | undefined;
  const end = (): void => {
    // The bar hides the cursor; a shell would be left without one.
    progress.close();
    process.exit(INTERRUPTED);
  };
  const stopEarly = async (): Promise<void> => {
    progress.close();
    progress.say('stopped before the first step; nothing was lost. Start it again with the same command.');
    // Where the manifest cannot be written it says "running", as after a kill.
    await folder?.finish('interrupted').catch(() => undefined);
    end();
  };
  const watch = watchInterrupts((line) => {
    if (hasBegun) progress.say(line);
    else void stopEarly();
  }, end);
  return {
    interrupted: watch.interrupted,
    stop: watch.stop,
    opened: (opened: RunFolder): void => {
      folder = opened;
    },
    progress: {
      ...progress,
      phase: (...phase: Parameters<Progress['phase']>) => {
        hasBegun = true;
        return progress.phase(...phase);
      },
    },
  };
}

/** Says what this start of a run has otherwise than the last. */
function sayWhatChanged(
  stage: string,
  lane: Lane,
  manifest: Manifest,
  { config, rules }: RunRequest,
  { say }: Progress,
  folder: string,
): void {
  if (manifest.lane !== lane.name) {
    say(
      `${stage}: began on lane ${manifest.lane} and goes on with ${lane.name}; the numbers will differ in their last digits.`,
    );
  }
  const { lines } = compareSettings(folder, config, rules, manifest);
  if (lines.length > 0) say(`${stage}: goes on with ${lines.join(', ')}`);
}

/** What to do about finished runs whose parents or inputs are others by now. */
export function makeAgain(folders: readonly string[]): string {
  return `Remove or rename ${folders.join(', ')} to make ${folders.length === 1 ? 'it' : 'them'} again, or put the old content back.`;
}

/** Sets up and opens the lane a configuration asks for, and prints which one it is. */
export async function openLaneFor(
  runtime: RuntimeOptions & Partial<CompileSettings>,
  progress: Pick<Progress, 'say'>,
): Promise<Lane> {
  // Loaded here because TensorFlow.js takes a second to load, and --help or a misspelt key need not wait for it.
  const { openLane } = await import('../tensor/lane.ts');
  const { native = 'auto' } = runtime;
  if (runtime.backend === 'auto' || runtime.backend === 'tensorflow') {
    const { setUpTensorflow } = await import('../lanes/setup.ts');
    const { note } = await setUpTensorflow({ quiet: true });
    if (native !== 'off' && note?.device === 'cpu') {
      const { setUpNativeOps } = await import('../lanes/compile-native.ts');
      await setUpNativeOps({ say: progress.say });
    }
  }
  const lane = await openLane({ ...runtime, native });
  progress.say(lane.note);
  const usable = usableOn(runtime, lane);
  for (const note of laneNotes(runtime, lane, usable)) progress.say(note);
  const { setCompilation } = await import('../graph/mode.ts');
  setCompilation({ ...runtime, ...usable }, progress.say);
  return lane;
}

function isDiskFull(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  return hasCode(error, 'ENOSPC') || hasCode(error, 'EDQUOT') || isDiskFull(error.cause);
}

function diskFull(error: Error, path: string): CheckpointError {
  const first = error instanceof UserError ? error.problems : [`${path}: ${error.message}.`];
  return new CheckpointError(
    [...first, `run.folder ${path}: the checkpoint saved before is intact. Free space, then continue with --resume.`],
    { cause: error },
  );
}
