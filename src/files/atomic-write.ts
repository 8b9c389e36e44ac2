/** Files and folders that appear whole or not at all: written under a temporary name, flushed to disk, then renamed. */

import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { errorMessage, hasCode, UserError } from '../errors.ts';

/**
 * Writes a file, replacing what is there in one step; makes the folder above it. After a crash at any moment the path
 * holds the old content or the new one.
 *
 * @throws UserError where it cannot be written (disk full, no permission, path is a folder); the old content stays
 */
export async function atomicWrite(path: string, content: Uint8Array | string): Promise<void> {
  const target = resolve(path);
  const temporary = temporaryName(target);
  try {
    await mkdir(dirname(target), { recursive: true });
    const file = await open(temporary, 'wx');
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, target);
    await syncFolder(dirname(target));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw describeFailure(path, error);
  } finally {
    doneWith(temporary);
  }
}

/**
 * Fills a folder through `fill(temporaryFolder)`, then puts it at `path` in one rename. An existing folder at `path`
 * is replaced: it is moved aside first and removed last, and put back where the rename fails.
 *
 * @returns what `fill` returned
 * @throws UserError where the disk refuses; whatever `fill` throws passes through. In both cases nothing stays behind
 */
export async function atomicFolder<T>(path: string, fill: (folder: string) => Promise<T> | T): Promise<T> {
  const target = resolve(path);
  const temporary = temporaryName(target);
  try {
    await mkdir(temporary, { recursive: true });
  } catch (error) {
    doneWith(temporary);
    throw describeFailure(path, error);
  }
  try {
    const result = await fill(temporary);
    await syncTree(temporary);
    await putInPlace(temporary, target);
    return result;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
    throw isSystemError(error) ? describeFailure(path, error) : error;
  } finally {
    doneWith(temporary);
  }
}

/** Temporary files and folders in the making. */
const unfinished = new Set<string>();

/**
 * A hidden sibling on the same file system, so that the rename is one step; the process id identifies its owner. Where the
 * program ends before `doneWith`, but by a kill, it is removed.
 */
export function temporaryName(target: string): string {
  const path = siblingName(target, 'tmp');
  if (unfinished.size === 0) process.on('exit', removeUnfinished);
  unfinished.add(path);
  return path;
}

/** Says that a temporary file or folder has its name now, or is gone. */
export function doneWith(temporary: string): void {
  unfinished.delete(temporary);
  if (unfinished.size === 0) process.off('exit', removeUnfinished);
}

function removeUnfinished(): void {
  for (const path of unfinished) {
    try {
      rmSync(path, { recursive: true, force: true });
    } catch {
      // A write on another thread made one more file meanwhile; the next start sweeps it (leftovers.ts).
    }
  }
}

/** `old` is what steps aside for a new folder; `tmp` is what is being made. */
function siblingName(target: string, kind: 'tmp' | 'old'): string {
  return join(dirname(target), `.${basename(target)}.${process.pid}-${randomBytes(4).toString('hex')}.${kind}`);
}

/** What a name that `temporaryName` made says; undefined for other names. */
export function temporaryParts(name: string): { of: string; kind: 'tmp' | 'old' } | undefined {
  const match = /^\.(.+)\.\d+-[0-9a-f]{8}\.(tmp|old)$/.exec(name);
  return match?.[1] === undefined ? undefined : { of: match[1], kind: match[2] === 'old' ? 'old' : 'tmp' };
}

/** `rename` does not replace a folder that has content, so the old one steps aside first. */
async function putInPlace(temporary: string, target: string): Promise<void> {
  const aside = siblingName(target, 'old');
  let movedAside = false;
  try {
    await rename(target, aside);
    movedAside = true;
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
  }
  try {
    await rename(temporary, target);
  } catch (error) {
    if (movedAside) await rename(aside, target);
    throw error;
  }
  await syncFolder(dirname(target));
  if (movedAside) await rm(aside, { recursive: true, force: true });
}

/** Flushes every file below a folder, and the folders themselves. */
async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await syncTree(path);
    else if (entry.isFile()) await syncPath(path, 'r+');
  }
  await syncFolder(folder);
}

export async function syncPath(path: string, flags: string): Promise<void> {
  const file = await open(path, flags);
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes a rename durable. Windows cannot open folders; there the rename alone must do. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform !== 'win32') await syncPath(folder, 'r');
}

export function isSystemError(error: unknown): boolean {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === 'string';
}

const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: 'The disk is full: free some space and run again.',
  EDQUOT: 'The disk quota is used up: free some space and run again.',
  EACCES: 'You may not write there: choose another folder or change its permissions.',
  EPERM: 'You may not write there: choose another folder or change its permissions.',
  EROFS: 'The file system is read-only: choose another folder.',
  EISDIR: 'The path is a folder: choose another name or remove it.',
  ENOTDIR: 'A part of the path is a file: choose another name or remove it.',
  EEXIST: 'A part of the path is a file: choose another name or remove it.',
};

export function describeFailure(path: string, error: unknown): UserError {
  const code = (error as NodeJS.ErrnoException)?.code ?? '';
  const remedy = REMEDIES[code] ?? 'Check the folder and run again.';
  return new UserError(`${path}: could not be written (${errorMessage(error)}). ${remedy}`, { cause: error });
}
