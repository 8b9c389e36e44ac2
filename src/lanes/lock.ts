/** One setup at a time per cache: waits for another one, and passes over a lock of another host whose beat has stopped. */

import { randomBytes } from 'node:crypto';
import { link, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasCode } from '../errors.ts';
import { type Held, holderOf, type Lock, takeLock } from '../files/lock.ts';
import { isHere } from '../files/process-identity.ts';
import { stopPrograms } from './programs.ts';

const beatMilliseconds = 5_000;
/** A lock from another host (a container with the same cache) counts as left behind when it misses this many beats. */
const staleMilliseconds = 60_000;

/**
 * Runs `work` while holding the cache's lock; waits while another living process holds it, and says so once. SIGINT
 * and SIGTERM stop the programs started here, release the lock, and end the process as usual.
 */
export async function withLock<T>(cache: string, say: (line: string) => void, work: () => Promise<T>): Promise<T> {
  const path = join(cache, 'setup.lock');
  const lock = await acquire(path, say);
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
    lock.release();
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  try {
    return await work();
  } finally {
    release();
  }
}

async function acquire(path: string, say: (line: string) => void): Promise<Lock> {
  for (let waited = false; ; waited = true) {
    const lock = await takeLock(path, 'setup');
    if ('release' in lock) return lock;
    if (await isLeftBehind(lock)) {
      await takeAway(lock);
      continue;
    }
    const { owner } = lock;
    if (!waited) say(`waiting for another setup to finish (process ${owner?.pid ?? '?'} on ${owner?.host ?? '?'})`);
    await sleep(500);
  }
}

/** True for a lock whose owner cannot be asked from here and has missed its beats. */
async function isLeftBehind({ file, owner }: Held): Promise<boolean> {
  if (owner !== undefined && isHere(owner)) return false;
  const age = Date.now() - ((await stat(file).catch(() => undefined))?.mtimeMs ?? Date.now());
  return age > staleMilliseconds;
}

/** Two processes may both find the lock left behind; the slower must not remove the faster one's new lock. */
async function takeAway({ file, owner: seen }: Held): Promise<void> {
  const aside = `${file}.${randomBytes(6).toString('hex')}`;
  try {
    await rename(file, aside);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return;
    throw error;
  }
  if (holderOf(aside)?.owner?.nonce !== seen?.nonce) await link(aside, file).catch(() => undefined);
  await rm(aside, { force: true });
}
