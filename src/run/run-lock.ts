/** One program in a run folder at a time, and what killed ones left there. */

import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { CheckpointError } from '../errors.ts';
import { describeFailure, temporaryParts } from '../files/atomic-write.ts';
import { describeSwept, sweepLeftovers } from '../files/leftovers.ts';
import { describeHeld, type Held, holderOf, isOfLock, type Lock, takeLock } from '../files/lock.ts';

const LOCK = 'run.lock';

/** True for files in a run folder that are no part of the run: its lock, and what a killed save left. */
export function isHousekeeping(name: string): boolean {
  return isOfLock(name, LOCK) || temporaryParts(name) !== undefined;
}

/**
 * Looks whether a program works in a run folder, without changing anything.
 * @throws CheckpointError where one does, or may
 */
export function refuseLocked(path: string): void {
  const held = holderOf(join(path, LOCK));
  if (held !== undefined) throw inUse(path, held);
}

/**
 * Makes a run folder where there is none, takes its lock, and sweeps what killed saves left.
 *
 * @param work what the lock says of its owner
 * @param say  prints one line
 * @returns the lock; a folder that is still empty when it is given back goes too
 * @throws CheckpointError where another program works there
 */
export async function lockRunFolder(path: string, work: string, say: (line: string) => void): Promise<Lock> {
  let made: string | undefined;
  try {
    made = mkdirSync(path, { recursive: true });
  } catch (error) {
    throw describeFailure(path, error);
  }
  const lock = await takeLock(join(path, LOCK), work);
  if (!('release' in lock)) throw inUse(path, lock);
  const swept = describeSwept(path, sweepLeftovers([path, join(path, 'checkpoints')]));
  if (swept !== undefined) say(swept);
  const release = (): void => {
    process.off('exit', release);
    lock.release();
    if (made !== undefined) removeEmpty(path);
  };
  process.on('exit', release);
  return { release };
}

function removeEmpty(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // Something was made in it, which is the usual case.
  }
}

function inUse(path: string, held: Held): CheckpointError {
  return new CheckpointError(describeHeld(`run.folder ${path}`, held));
}
