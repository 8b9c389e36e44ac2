/** Builds our own TensorFlow ops (src/native) on the machine where they will run, tries and times them, and keeps them in the cache. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { errorMessage, LaneError } from '../errors.ts';
import { atomicWrite } from '../files/atomic-write.ts';
import { addonPackage, readNote } from './addon-file.ts';
import { cacheFolder, makeCache } from './cache.ts';
import type { ProductRatios } from './choose-products.ts';
import { chooseProducts, timeProducts } from './choose-products.ts';
import { findCompiler } from './compile-addon.ts';
import { readCpuInfo } from './hardware.ts';
import { withLock } from './lock.ts';
import { runProgram, tellingLine } from './programs.ts';

/** What became of the last build for this machine. */
export interface NativeBuild {
  /** The library; null where it could not be built, or its kernels computed something wrong. */
  readonly file: string | null;
  /** What the unit test printed and whose products are used, or why there is no library and what to do. */
  readonly says: string;
  /** Whose products linear layers use; all other ops are ours where there is a library. */
  readonly products: 'native' | 'tensorflow';
  /** Empty where nothing was timed. */
  readonly ratios: ProductRatios;
}

const SOURCES = fileURLToPath(new URL('../native/', import.meta.url));
/** No -ffast-math: a step must see values that are not finite. */
const FLAGS = ['-std=c++17', '-O3', '-march=native', '-fno-math-errno', '-fno-trapping-math', '-pthread'];
/** The name under which TensorFlow's symbols are in the process already. */
const FRAMEWORK = 'libtensorflow_framework.so.2';
const LIBRARY = 'libplumbline_ops.so';

/** The build for these sources, flags, processor and TensorFlow, if there was one. Costs a few file reads. */
export function nativeBuild(environment: NodeJS.ProcessEnv = process.env): NativeBuild | undefined {
  try {
    return JSON.parse(readFileSync(join(buildFolder(environment), 'build.json'), 'utf8')) as NativeBuild;
  } catch {
    return undefined;
  }
}

/**
 * Builds the ops where that was not tried before; `again` tries anew. Half a minute. Never throws for want of a compiler: the
 * result says why there is no library, and TensorFlow's own ops serve. The tensorflow lane must be set up.
 * @param options.time how layers are timed, for tests
 */
export async function setUpNativeOps(options: {
  say: (line: string) => void;
  again?: boolean;
  environment?: NodeJS.ProcessEnv;
  time?: typeof timeProducts;
}): Promise<NativeBuild> {
  const { environment = process.env, time = timeProducts } = options;
  const known = options.again ? undefined : nativeBuild(environment);
  if (known !== undefined) return known;
  const cache = cacheFolder(environment);
  try {
    await makeCache(cache);
    return await withLock(cache, options.say, async () => {
      // Another process may have done the work while this one waited.
      const done = options.again ? undefined : nativeBuild(environment);
      return done ?? (await build(environment, options.say, time));
    });
  } catch (error) {
    return withoutLibrary(error);
  }
}

function withoutLibrary(error: unknown): NativeBuild {
  return { file: null, says: errorMessage(error), products: 'tensorflow', ratios: {} };
}

async function build(
  environment: NodeJS.ProcessEnv,
  say: (line: string) => void,
  time: typeof timeProducts,
): Promise<NativeBuild> {
  const folder = buildFolder(environment);
  const work = `${folder}.partial`;
  await rm(work, { recursive: true, force: true });
  await mkdir(work, { recursive: true });
  say('compiling native ops (half a minute)');
  let made: NativeBuild;
  try {
    const tried = await compileAndTry(work, environment);
    const ratios = await time(join(work, LIBRARY), environment);
    const { products, says } = chooseProducts(ratios);
    made = { file: join(folder, LIBRARY), says: `${tried}; ${says}`, products, ratios };
  } catch (error) {
    made = withoutLibrary(error);
  }
  await rm(folder, { recursive: true, force: true });
  await atomicWrite(join(work, 'build.json'), `${JSON.stringify(made, null, 2)}\n`);
  await rename(work, folder);
  say(made.file === null ? `no native ops: ${made.says}` : `native ops ready: ${made.says}`);
  return made;
}

/**
 * Compiles the unit test, runs it, then compiles the library.
 * @returns the unit test's last line
 * @throws LaneError where there is no compiler, it fails, or a kernel does
 */
async function compileAndTry(folder: string, environment: NodeJS.ProcessEnv): Promise<string> {
  if (process.platform !== 'linux')
    throw new LaneError(`${process.platform}: native ops are built on Linux only so far.`);
  const compiler = findCompiler(environment);
  const compile = async (args: readonly string[]): Promise<void> => {
    const compiled = await runProgram(compiler, args, { environment, limitSeconds: 600 });
    if (compiled.ok) return;
    throw new LaneError(
      `${compiler}: src/native does not compile (${tellingLine(compiled.output) || compiled.failure}). ` +
        'Update g++ to 9 or newer, or set CXX to another compiler; then run npm run setup -- --again.',
    );
  };
  const test = join(folder, 'unit-test');
  await compile([...FLAGS, join(SOURCES, 'unit-test.cc'), '-o', test]);
  const tried = await runProgram(test, [], { environment, limitSeconds: 300 });
  if (!tried.ok) {
    throw new LaneError(
      `${test}: the kernels do not compute right here (${tellingLine(tried.output)}; ${tried.failure}).`,
    );
  }
  // An empty library of TensorFlow's name: ours needs it by that name, and finds what is loaded already.
  const stand = join(folder, FRAMEWORK);
  await compile(['-shared', '-x', 'c++', '/dev/null', `-Wl,-soname,${FRAMEWORK}`, '-o', stand]);
  await compile([
    ...FLAGS,
    '-fPIC',
    '-shared',
    ...['ops.cc', 'decoder.cc'].map((name) => join(SOURCES, name)),
    '-Wl,--no-as-needed',
    stand,
    '-o',
    join(folder, LIBRARY),
  ]);
  await rm(stand);
  return tried.standardOutput.split('\n').at(-1) ?? '';
}

/** A folder for these sources, flags, processor and the TensorFlow that the ops were timed beside. */
function buildFolder(environment: NodeJS.ProcessEnv): string {
  const hash = createHash('sha256');
  for (const name of readdirSync(SOURCES).sort()) hash.update(name).update(readFileSync(join(SOURCES, name)));
  const addon = addonPackage();
  const tensorflow = addon && readNote(addon)?.tensorflow;
  hash.update(JSON.stringify([FLAGS, environment.CXX ?? '', process.arch, processor(), tensorflow]));
  return join(cacheFolder(environment), `native-${hash.digest('hex').slice(0, 12)}`);
}

/** Model and instruction sets: virtual machines call different processors by one name. */
function processor(): string {
  const known = readCpuInfo();
  return [cpus()[0]?.model, /^(flags|Features)\s*:.*$/m.exec(known)?.[0]].join(' ');
}
