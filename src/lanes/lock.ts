/** One setup at a time per cache: a lock file with its owner, taken over when the owner is gone. */

import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { link, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasCode } from '../errors.ts';
import { isAlive, isHere, type Process, thisProcess } from '../files/process-identity.ts';
import { stopPrograms } from './programs.ts';

interface Owner extends Process {
  nonce: string;
}

const beatMilliseconds = 5_000;
/** A lock from another host (a container with the same cache) counts as left behind when it misses this many beats. */
const staleMilliseconds = 60_000;

/**
 * Runs `work` while holding the cache's lock; waits while another living process holds it, and says so once. SIGINT
 * and SIGTERM stop the programs started here, release the lock, and end the process as usual.
 */
export async function withLock<T>(cache: string, say: (line: string) => void, work: () => Promise<T>): Promise<T> {
  const path = join(cache, 'setup.lock');
  const own: Owner = { ...thisProcess(), nonce: nonce() };
  await acquire(path, own, say);
  const beat = setInterval(() => void utimes(path, new Date(), new Date()).catch(() => undefined), beatMilliseconds);
  beat.unref();
  const onSignal = (signal: NodeJS.Signals): void => {
    stopPrograms();
    release();
    process.kill(process.pid, signal); // no handler is left, so this ends the process the ordinary way
  };
  const release = (): void => {
    clearInterval(beat);
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
    if (readOwner(path)?.nonce === own.nonce) rmSync(path, { force: true });
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  try {
    return await work();
  } finally {
    release();
  }
}

async function acquire(path: string, own: Owner, say: (line: string) => void): Promise<void> {
  for (let waited = false; ; waited = true) {
    const draft = `${path}.${own.nonce}`;
    await writeFile(draft, JSON.stringify(own));
    try {
      await link(draft, path); // fails where the lock exists, and never shows a half-written file
      return;
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error;
    } finally {
      await rm(draft, { force: true });
    }
    const owner = readOwner(path);
    if (await isStale(path, owner)) {
      await takeAway(path, owner);
      continue;
    }
    if (!waited) say(`waiting for another setup to finish (process ${owner?.pid ?? '?'} on ${owner?.host ?? '?'})`);
    await sleep(500);
  }
}

async function isStale(path: string, owner: Owner | undefined): Promise<boolean> {
  if (owner !== undefined && isHere(owner)) return !isAlive(owner);
  const age = Date.now() - ((await stat(path).catch(() => undefined))?.mtimeMs ?? Date.now());
  return age > staleMilliseconds;
}

/** Two processes may both find the lock stale; the slower must not remove the faster one's new lock. */
async function takeAway(path: string, seen: Owner | undefined): Promise<void> {
  const aside = `${path}.${nonce()}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return;
    throw error;
  }
  const taken = await readFile(aside, 'utf8').catch(() => '');
  if (taken !== '' && parseOwner(taken)?.nonce !== seen?.nonce) await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
}

function readOwner(path: string): Owner | undefined {
  try {
    return parseOwner(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

function parseOwner(text: string): Owner | undefined {
  try {
    return JSON.parse(text) as Owner;
  } catch {
    return undefined;
  }
}

function nonce(): string {
  return randomBytes(6).toString('hex');
}
