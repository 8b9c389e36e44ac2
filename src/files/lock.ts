/** One program at a time: a lock file that names its owner. The lock of a dead owner is taken over by exactly one of those that try. */

import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorMessage, hasCode, UserError } from '../errors.ts';
import { describeFailure, doneWith, syncPath, temporaryName } from './atomic-write.ts';
import { describeSwept, sweepLeftovers } from './leftovers.ts';
import { isAlive, isHere, type Process, thisProcess } from './process-identity.ts';

/** Who holds a lock; the content of its file. */
export interface Owner extends Process {
  /** What it does there: "instruct", "import". */
  readonly work: string;
  /** When it took the lock. */
  readonly since: string;
  /** Tells two locks of one process apart. */
  readonly nonce: string;
}

/** A lock that is held. It is given back at the end of the process too, however that ends but by a kill. */
export interface Lock {
  release(): void;
}

/** What was found instead of a lock to take: its holder, or text that names none. */
export interface Held {
  readonly file: string;
  readonly owner: Owner | undefined;
}

/**
 * Takes a lock atomically, where it is free or its owner is dead. The folder must be there.
 * @returns the lock, or who holds it
 * @throws UserError where the file cannot be written
 */
export async function takeLock(file: string, work: string): Promise<Lock | Held> {
  const path = resolve(file);
  const own: Owner = { ...thisProcess(), work, since: new Date().toISOString(), nonce: nonce() };
  const owner = await attempt(path, own);
  if (owner !== own) return { file, owner };
  const release = (): void => {
    process.off('exit', release);
    if (isOf(readOwner(path), own.nonce)) rmSync(path, { force: true });
  };
  process.on('exit', release);
  return { release };
}

/** Who holds a lock at this moment; undefined where it is free, or its owner is dead. Changes nothing. */
export function holderOf(file: string): Held | undefined {
  const owner = readOwner(file);
  if (owner === undefined) return undefined;
  if (owner === 'damaged') return { file, owner: undefined };
  return isDead(owner) ? undefined : { file, owner };
}

/** Why a lock cannot be had, for people; `what` is what it guards, with the place where it was named. */
export function describeHeld(what: string, { file, owner }: Held): string {
  if (owner === undefined) {
    return `${what}: its lock ${file} is damaged and does not tell whose it is. Where no program works there, remove that file and run again.`;
  }
  const { pid, host, work, since } = owner;
  if (!isHere(owner)) {
    return `${what}: is in use by ${work}, process ${pid} on ${host}, since ${since}; from here nobody can tell whether it still runs. Where it does not, remove ${file} and run again.`;
  }
  return `${what}: is in use by ${work}, process ${pid}, since ${since}; two programs never share it. Wait for its end, stop it, or choose another.`;
}

/**
 * Makes an output while holding its lock, `.<name>.lock` beside it, after what killed programs left of it was swept.
 *
 * @param output the file or folder that `make` makes; the folder above it is made
 * @param say    prints one line
 * @throws UserError where another program is making it
 */
export async function makeAlone<T>(
  output: string,
  { work, say }: { work: string; say: (line: string) => void },
  make: () => Promise<T>,
): Promise<T> {
  const [folder, name] = [dirname(output), basename(output)];
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw describeFailure(output, error);
  }
  const lock = await takeLock(join(folder, `.${name}.lock`), work);
  if (!('release' in lock)) throw new UserError(describeHeld(output, lock));
  try {
    const swept = describeSwept(output, sweepLeftovers([folder], name));
    if (swept !== undefined) say(swept);
    return await make();
  } finally {
    lock.release();
  }
}

/** True for names that locks make: of files beside the lock while it is taken over, left there by a kill. */
export function isOfLock(name: string, lock: string): boolean {
  return name === lock || (name.startsWith(`${lock}.`) && /^[0-9a-f]{12}$/.test(name.slice(lock.length + 1)));
}

function isDead(owner: Owner): boolean {
  return isHere(owner) && !isAlive(owner);
}

function isOf(owner: Owner | 'damaged' | undefined, nonce: string): boolean {
  return typeof owner === 'object' && owner.nonce === nonce;
}

/** One try after another until the lock is ours or somebody's who lives; returns the owner, or undefined where damaged. */
async function attempt(path: string, own: Owner): Promise<Owner | undefined> {
  for (;;) {
    if (await create(path, own)) return own;
    const owner = await settledOwner(path);
    if (owner === undefined) continue; // It was given back meanwhile.
    if (owner === 'damaged') return undefined;
    if (!isDead(owner)) return owner;
    // Only the one who holds the right to this very lock may replace it. A lock is needed for that too, named for the
    // dead one; a late process finds another owner in place and gives up.
    const right = `${path}.${owner.nonce}`;
    const holder = await attempt(right, own);
    if (holder !== own) return holder;
    try {
      if (isOf(readOwner(path), owner.nonce)) {
        const whole = await draft(path, own);
        renameSync(whole, path);
        doneWith(whole);
        return own;
      }
    } finally {
      rmSync(right, { force: true });
    }
  }
}

/** Makes the lock file, whole; false where there is one. */
async function create(path: string, own: Owner): Promise<boolean> {
  const whole = await draft(path, own);
  try {
    linkSync(whole, path);
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    // File systems without links: a reader in between sees a partial file and tries again.
    if (['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].some((code) => hasCode(error, code))) {
      return createInPlace(path, own);
    }
    throw describeFailure(path, error);
  } finally {
    rmSync(whole, { force: true });
    doneWith(whole);
  }
}

function createInPlace(path: string, own: Owner): boolean {
  try {
    writeFileSync(path, JSON.stringify(own), { flag: 'wx' });
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw describeFailure(path, error);
  }
}

/** The content of a lock under a temporary name, on the disk before it has its name: a power cut leaves no empty lock. */
async function draft(path: string, own: Owner): Promise<string> {
  const temporary = temporaryName(path);
  try {
    writeFileSync(temporary, JSON.stringify(own, null, 2), { flag: 'wx' });
    await syncPath(temporary, 'r+');
  } catch (error) {
    throw describeFailure(path, error);
  }
  return temporary;
}

/** The owner a file tells, after a moment for one that is being written. */
async function settledOwner(path: string): Promise<Owner | 'damaged' | undefined> {
  for (let tries = 0; ; tries++) {
    const owner = readOwner(path);
    if (owner !== 'damaged' || tries === 5) return owner;
    await sleep(100);
  }
}

function readOwner(path: string): Owner | 'damaged' | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    // In a file there are no locks either; that a folder was expected is for the caller to say.
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) return undefined;
    throw describeUnreadable(path, error);
  }
  try {
    const owner = JSON.parse(text) as Partial<Owner> | null;
    const texts = [owner?.host, owner?.space, owner?.startedAt, owner?.work, owner?.since, owner?.nonce];
    const isWhole = Number.isInteger(owner?.pid) && texts.every((value) => typeof value === 'string');
    return isWhole && /^[0-9a-f]{12}$/.test(owner?.nonce ?? '') ? (owner as Owner) : 'damaged';
  } catch {
    return 'damaged';
  }
}

function describeUnreadable(path: string, error: unknown): UserError {
  return new UserError(`${path}: cannot be read (${errorMessage(error)}). Check its permissions.`, { cause: error });
}

function nonce(): string {
  return randomBytes(6).toString('hex');
}
