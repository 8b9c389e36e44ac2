/** The per-user folder that keeps libtensorflow and the built addon, so that `npm ci` does not lose them. */

import { mkdir, readdir, stat, statfs } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { errorMessage, LaneError } from '../errors.ts';

/** PLUMBLINE_CACHE, else $XDG_CACHE_HOME/plumbline, else ~/.cache/plumbline. */
export function cacheFolder(environment: NodeJS.ProcessEnv = process.env): string {
  if (environment.PLUMBLINE_CACHE) return resolve(environment.PLUMBLINE_CACHE);
  return join(environment.XDG_CACHE_HOME || join(homedir(), '.cache'), 'plumbline');
}

/** @throws LaneError where the cache folder cannot be made */
export async function makeCache(cache: string): Promise<void> {
  try {
    await mkdir(cache, { recursive: true });
  } catch (error) {
    throw new LaneError(
      `${cache}: the cache folder cannot be written (${errorMessage(error)}). Set PLUMBLINE_CACHE to a folder you own.`,
      { cause: error },
    );
  }
}

/** @throws LaneError where fewer than `bytes` are free on the cache's disk */
export async function requireSpace(cache: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(cache);
  if (bavail * bsize >= bytes) return;
  throw new LaneError(
    `${cache}: not enough space; expected ${megabytes(bytes)} MB free, received ${megabytes(bavail * bsize)} MB. ` +
      'Free some space, or set PLUMBLINE_CACHE to a folder on another disk.',
  );
}

/** Bytes of all files below a folder; 0 where there is none. Files that vanish while it looks are left out. */
export async function folderBytes(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) bytes += await folderBytes(path);
    else if (entry.isFile()) bytes += (await stat(path).catch(() => undefined))?.size ?? 0;
  }
  return bytes;
}

export function megabytes(bytes: number): number {
  return Math.round(bytes / 1e6);
}
