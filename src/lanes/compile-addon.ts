/** Builds the addon of `@tensorflow/tfjs-node-gpu` against unpacked libraries: one compiler call, no node-gyp, no network. */

import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LaneError } from '../errors.ts';
import { findProgram } from './hardware.ts';
import { runProgram, tellingLine } from './programs.ts';
import type { StepContext } from './wheel.ts';

const packageJson = createRequire(import.meta.url);

/**
 * Compiles the addon, or finds it built earlier. It links to the libraries by their absolute path in the cache.
 *
 * @param unpacked  the folder from `fetchLibraries`
 * @returns the path of the addon in the cache
 * @throws LaneError where there is no C++ compiler, or it fails
 */
export async function compileAddon(unpacked: string, packageFolder: string, context: StepContext): Promise<string> {
  const addon = builtFile(context.folder, packageFolder);
  if (existsSync(addon)) return addon;
  const compiler = findCompiler(context.environment);
  context.say('compiling the addon (about 15 s)');

  const built = dirname(addon);
  await rm(built, { recursive: true, force: true });
  await mkdir(built, { recursive: true });
  const temporary = `${addon}.partial`;
  const quietLibrary = join(built, 'libplumbline_quiet.so');
  const quietSource = fileURLToPath(new URL('./quiet-load.cc', import.meta.url));
  const common = ['-std=c++17', '-O2', '-fPIC', '-shared'];
  const quiet = ['-DPLUMBLINE_QUIET_LIBRARY', quietSource, '-Wl,-soname,libplumbline_quiet.so', '-o', quietLibrary];
  await compile(compiler, [...common, ...quiet], context);

  const library = join(unpacked, 'tensorflow');
  const sources = (await readdir(join(packageFolder, 'binding'))).filter((name) => name.endsWith('.cc'));
  const args = [...common, '-DNAPI_VERSION=8', `-I${join(library, 'include')}`, `-I${nodeApiHeaders()}`];
  args.push(...sources.map((name) => join(packageFolder, 'binding', name)), quietSource);
  args.push(join(library, 'libtensorflow_cc.so.2'), join(library, 'libtensorflow_framework.so.2'), quietLibrary);
  // The CUDA libraries need no path here: TensorFlow looks for them beside itself, in ../nvidia, as the wheels lie.
  args.push(`-Wl,-rpath,${library}`, '-Wl,-rpath,$ORIGIN', '-o', temporary);
  await compile(compiler, args, context);
  await rename(temporary, addon);
  return addon;
}

async function compile(compiler: string, args: readonly string[], context: StepContext): Promise<void> {
  const result = await runProgram(compiler, args, { environment: context.environment, limitSeconds: 600 });
  if (result.ok) return;
  throw new LaneError(
    `${compiler}: the addon does not compile (${tellingLine(result.output) || result.failure}). ` +
      'Update g++ to 9 or newer, or set CXX to another compiler.',
  );
}

/** True where `compileAddon` finished in this folder before, for this version of the package. */
export function addonBuilt(folder: string, packageFolder: string): boolean {
  return existsSync(builtFile(folder, packageFolder));
}

function builtFile(folder: string, packageFolder: string): string {
  const { version } = packageJson(join(packageFolder, 'package.json')) as { version: string };
  return join(folder, `addon-${version}`, 'tfjs_binding.node');
}

/** @throws LaneError where no compiler is on the PATH */
export function findCompiler(environment: NodeJS.ProcessEnv): string {
  if (environment.CXX) return environment.CXX;
  for (const name of ['g++', 'c++', 'clang++']) {
    const found = findProgram(name, environment.PATH);
    if (found) return found;
  }
  throw new LaneError(
    'PATH: no C++ compiler was found, which builds the addon. Install g++ (Debian: apt install g++).',
  );
}

function nodeApiHeaders(): string {
  return join(dirname(packageJson.resolve('node-api-headers/package.json')), 'include');
}
