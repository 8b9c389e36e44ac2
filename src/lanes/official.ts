/** The addon as its makers publish it: libtensorflow and a prebuilt addon, fetched by the package's own install script. */

import { existsSync } from 'node:fs';
import { cp, mkdir, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { delimiter, join, resolve } from 'node:path';
import { errorMessage, LaneError } from '../errors.ts';
import { addonFile } from './addon-file.ts';
import { requireSpace } from './cache.ts';
import { runProgram, tellingLine } from './programs.ts';
import type { StepContext } from './wheel.ts';

const defaultHost = 'https://storage.googleapis.com/';

/**
 * Runs the install script in a copy of the package inside the cache, so that its downloads outlive `npm ci` and a
 * killed download leaves nothing in `node_modules`.
 *
 * @returns the path of the addon in the cache; its libraries lie beside it, where it looks for them
 * @throws LaneError where the host cannot be reached, or the script fails
 */
export async function installOfficial(packageFolder: string, gpu: boolean, context: StepContext): Promise<string> {
  const copy = join(context.folder, 'package');
  if (existsSync(addonFile(copy))) return addonFile(copy);
  await requireReachable(context.environment);
  await requireSpace(context.folder, gpu ? 3e9 : 1.2e9);
  context.say(
    `downloading the official libtensorflow 2.9.1 (${gpu ? 'gpu, about 400' : 'cpu, about 100'} MB) to ${copy}`,
  );

  const temporary = `${copy}.partial`;
  await rm(temporary, { recursive: true, force: true });
  await mkdir(temporary, { recursive: true });
  for (const part of ['package.json', 'binding.gyp', 'binding', 'scripts']) {
    await cp(join(packageFolder, part), join(temporary, part), { recursive: true, dereference: true });
  }
  const modules = modulesFolders(packageFolder);
  const result = await runProgram(process.execPath, ['scripts/install.js', gpu ? 'gpu' : 'cpu', 'download'], {
    folder: temporary,
    limitSeconds: 1800,
    environment: {
      ...context.environment,
      NODE_PATH: modules.join(delimiter),
      PATH: [...modules.map((folder) => join(folder, '.bin')), context.environment.PATH ?? ''].join(delimiter),
    },
  });
  if (!result.ok || !existsSync(addonFile(temporary))) {
    await rm(temporary, { recursive: true, force: true });
    const line = tellingLine(result.output) || result.failure;
    throw new LaneError(`official download: the package's install script failed (${line}).`);
  }
  await rm(copy, { recursive: true, force: true });
  await rename(temporary, copy);
  return addonFile(copy);
}

/** True where `installOfficial` finished in this folder before. */
export function officialBuilt(folder: string): boolean {
  return existsSync(addonFile(join(folder, 'package')));
}

/** A quick look, because the script itself waits long and dies without a message on a DNS failure. */
async function requireReachable(environment: NodeJS.ProcessEnv): Promise<void> {
  // Node's fetch does not use proxies and the script does, so behind one only the script can tell.
  if (environment.HTTPS_PROXY || environment.https_proxy || environment.HTTP_PROXY || environment.http_proxy) return;
  const address =
    environment.TFJS_NODE_BASE_URI || environment.TFJS_NODE_CDN_STORAGE || environment.CDN_STORAGE || defaultHost;
  try {
    await fetch(new URL('/', address), { method: 'HEAD', signal: AbortSignal.timeout(4000) });
  } catch (error) {
    const cause = (error as { cause?: NodeJS.ErrnoException }).cause;
    const why = cause?.code ?? errorMessage(cause ?? error);
    throw new LaneError(
      `official download: ${address} cannot be reached (${why}). Name a mirror with TFJS_NODE_BASE_URI, or go without.`,
    );
  }
}

/** Every `node_modules` from the package upwards, where its script finds `tar`, `rimraf` and `node-pre-gyp`. */
function modulesFolders(packageFolder: string): string[] {
  const paths = createRequire(join(packageFolder, 'package.json')).resolve.paths('tar') ?? [];
  return paths.map((folder) => resolve(folder)).filter((folder) => existsSync(folder));
}
