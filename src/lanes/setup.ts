/** Makes the tensorflow lane: finds it ready, or walks through the ways to get it until one works. */

import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errorMessage } from '../errors.ts';
import { atomicWrite } from '../files/atomic-write.ts';
import { type AddonNote, addonFile, addonPackage, linkAddon, readNote, writeNote } from './addon-file.ts';
import { cacheFolder, makeCache } from './cache.ts';
import { addonBuilt, compileAddon } from './compile-addon.ts';
import { hasNvidiaDriver } from './hardware.ts';
import { withLock } from './lock.ts';
import { installOfficial, officialBuilt } from './official.ts';
import { type WheelSet, wheelSetsFor } from './pinned-wheels.ts';
import { verifyAddon } from './verify-addon.ts';
import { fetchLibraries, type StepContext } from './wheel.ts';

export interface SetupOptions {
  /** Says nothing where nothing is to be done. */
  quiet?: boolean;
  /** Forgets earlier trials and failures; downloads and builds that are whole stay. */
  again?: boolean;
  /** Where lines go; standard error by default. */
  say?: (line: string) => void;
  /** The surroundings, for tests; by default those of this process. */
  environment?: NodeJS.ProcessEnv;
  packageFolder?: string;
  nvidiaDriver?: boolean;
  wheelSets?: readonly WheelSet[];
}

export interface SetupResult {
  ready: boolean;
  /** True where nothing was done. */
  cached: boolean;
  note?: AddonNote;
  /** Why each way failed, with remedies; empty where `ready`. */
  problems: string[];
}

/** One way to an addon: makes it in the cache and returns its path. */
interface Way {
  name: string;
  /** True where the cache holds its result, as after `npm ci`; such ways go first. */
  built(): boolean;
  make(context: StepContext): Promise<string>;
}

interface Failure {
  at: number;
  hadAddon: boolean;
  problems: string[];
}

/** A failed setup is not repeated by every program for an hour. */
const failureHoldsMilliseconds = 3_600_000;

/**
 * Sets up the tensorflow lane. Costs a few file reads where it is ready. Where it cannot be had the result says why,
 * and `wasm` serves: this never throws for a missing network, compiler, Python or disk space.
 */
export async function setUpTensorflow(options: SetupOptions = {}): Promise<SetupResult> {
  const environment = options.environment ?? process.env;
  const say = options.say ?? ((line: string) => process.stderr.write(`${line}\n`));
  const packageFolder = options.packageFolder ?? addonPackage();
  const nvidiaDriver = options.nvidiaDriver ?? hasNvidiaDriver();
  if (environment.PLUMBLINE_NO_TENSORFLOW === '1') {
    if (!options.quiet) say('tensorflow lane switched off by PLUMBLINE_NO_TENSORFLOW=1; the wasm lane serves');
    return { ready: false, cached: true, problems: ['PLUMBLINE_NO_TENSORFLOW=1: switched off. Unset it.'] };
  }
  if (!packageFolder || !existsSync(packageFolder)) {
    return giveUp(say, ['@tensorflow/tfjs-node-gpu: the npm package is not installed. Run: npm ci'], false);
  }
  const cache = cacheFolder(environment);
  if (!options.again) {
    const done = alreadyDone(packageFolder, cache, nvidiaDriver);
    if (done) {
      if (!options.quiet) say(doneLine(done));
      return done;
    }
  }
  try {
    await makeCache(cache);
    return await withLock(cache, say, async () => {
      // Another process may have done the work while this one waited.
      const done = options.again ? undefined : alreadyDone(packageFolder, cache, nvidiaDriver);
      if (done) {
        say(doneLine(done));
        return done;
      }
      const ways = waysFor(options, packageFolder, nvidiaDriver);
      return work({ cache, packageFolder, nvidiaDriver, environment, say, ways, again: options.again ?? false });
    });
  } catch (error) {
    return giveUp(say, [errorMessage(error)], false);
  }
}

function alreadyDone(packageFolder: string, cache: string, nvidiaDriver: boolean): SetupResult | undefined {
  const note = readNote(packageFolder);
  if (note && note.nvidiaDriver === nvidiaDriver) return { ready: true, cached: true, note, problems: [] };
  const failure = readFailure(cache, existsSync(addonFile(packageFolder)));
  if (failure) return { ready: false, cached: true, problems: failure };
  return undefined;
}

interface Work {
  cache: string;
  packageFolder: string;
  nvidiaDriver: boolean;
  environment: NodeJS.ProcessEnv;
  say: (line: string) => void;
  ways: readonly Way[];
  again: boolean;
}

async function work({ cache, packageFolder, nvidiaDriver, environment, say, ways, again }: Work): Promise<SetupResult> {
  const problems: string[] = [];
  const started = performance.now();
  for (const way of ways) {
    const folder = join(cache, way.name);
    try {
      if (way.name !== 'installed') await mkdir(folder, { recursive: true });
      const addon = await way.make({ folder, environment, say });
      const verified = await verifyAddon(addon, environment).catch(async (error) => {
        // Not kept, so that the next setup builds it anew. The libraries stay, unless the user doubts everything.
        if (way.name !== 'installed') await rm(again ? folder : dirname(addon), { recursive: true, force: true });
        throw error;
      });
      if (addon !== addonFile(packageFolder)) await linkAddon(addon, packageFolder);
      const note = await writeNote(packageFolder, { ...verified, source: way.name, nvidiaDriver });
      await rm(failureFile(cache), { force: true });
      say(readyLine(note, ` after ${Math.round((performance.now() - started) / 1000)} s`));
      return { ready: true, cached: false, note, problems: [] };
    } catch (error) {
      const problem = errorMessage(error);
      problems.push(problem);
      if (way.name !== 'installed') say(problem);
      await rmdir(folder).catch(() => undefined); // only where nothing was kept in it
    }
  }
  await atomicWrite(
    failureFile(cache),
    JSON.stringify({ at: Date.now(), hadAddon: existsSync(addonFile(packageFolder)), problems }),
  );
  return giveUp(say, problems, true);
}

/**
 * The ways in order: an addon that is already in `node_modules`; the makers' own download; the wheels. On a machine
 * with an NVIDIA driver the wheels come first, because the official 2.9.1 wants CUDA 11.2, which no current GPU runs.
 */
function waysFor(options: SetupOptions, packageFolder: string, nvidiaDriver: boolean): Way[] {
  const cache = cacheFolder(options.environment);
  const file = addonFile(packageFolder);
  const installed: Way = { name: 'installed', built: () => true, make: async () => file };
  const kind = nvidiaDriver ? 'gpu' : 'cpu';
  const official: Way = {
    name: `official-2.9.1-${kind}`,
    built: () => officialBuilt(join(cache, `official-2.9.1-${kind}`)),
    make: (context) => installOfficial(packageFolder, nvidiaDriver, context),
  };
  const sets = options.wheelSets ?? wheelSetsFor(process.platform, process.arch, nvidiaDriver);
  const wheels = sets.map((set) => ({
    name: set.name,
    built: () => addonBuilt(join(cache, set.name), packageFolder),
    make: async (context: StepContext) => compileAddon(await fetchLibraries(set, context), packageFolder, context),
  }));
  const fresh = nvidiaDriver ? [...wheels, official] : [official, ...wheels];
  const ordered = [...fresh.filter((way) => way.built()), ...fresh.filter((way) => !way.built())];
  return nvidiaDriver || options.again || !existsSync(file) ? ordered : [installed, ...ordered];
}

function doneLine(done: SetupResult): string {
  if (done.ready) return readyLine(done.note, ' (cached)');
  return `${summary(done.problems)} Try again: npm run setup -- --again`;
}

function readyLine(note: AddonNote | undefined, how: string): string {
  const line = `tensorflow lane ready${how}: TensorFlow ${note?.tensorflow} on ${note?.device === 'gpu' ? 'GPU' : 'CPU'}`;
  const unused = note?.nvidiaDriver && note.device === 'cpu';
  return unused ? `${line}; an NVIDIA driver is here, but TensorFlow sees no GPU: check nvidia-smi` : line;
}

function giveUp(say: (line: string) => void, problems: string[], saidEach: boolean): SetupResult {
  if (!saidEach) for (const problem of problems) say(problem);
  say(summary(problems));
  return { ready: false, cached: false, problems };
}

function summary(problems: readonly string[]): string {
  return `tensorflow lane not available (${problems.length} ways tried); the wasm lane serves.`;
}

function failureFile(cache: string): string {
  return join(cache, 'setup-failed.json');
}

/** The problems of a recent failure, unless an addon has appeared or gone since. */
function readFailure(cache: string, hasAddon: boolean): string[] | undefined {
  try {
    const failure = JSON.parse(readFileSync(failureFile(cache), 'utf8')) as Failure;
    const holds = Date.now() - failure.at < failureHoldsMilliseconds && failure.hadAddon === hasAddon;
    return holds ? failure.problems : undefined;
  } catch {
    return undefined;
  }
}
