/** A file written in pieces that appears whole or not at all: for tables too large to hold in memory. */

import { closeSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { describeFailure, doneWith, syncFolder, temporaryName } from './atomic-write.ts';

/** A file under its temporary name, until it is committed or discarded. */
export interface AtomicFile {
  /** Appends bytes. Writes are synchronous: nothing queues up in memory. */
  write(bytes: Uint8Array): void;
  /** Flushes the file to disk and gives it its name, replacing what is there in one step. */
  commit(): Promise<void>;
  /** Removes what was written; does nothing after `commit`. */
  discard(): void;
}

/**
 * Opens a file that is written in pieces; makes the folder above it. A program that ends without `commit` leaves the
 * old content at the path (and, where it was killed, a hidden `.tmp` file beside it).
 *
 * @throws UserError where it cannot be written (disk full, no permission); what was written is discarded
 */
export async function openAtomicFile(path: string): Promise<AtomicFile> {
  const target = resolve(path);
  const temporary = temporaryName(target);
  let descriptor: number | null = null;
  const discard = (): void => {
    if (descriptor === null) return;
    closeSync(descriptor);
    descriptor = null;
    rmSync(temporary, { force: true });
    doneWith(temporary);
  };
  const attempt = async (work: () => unknown): Promise<void> => {
    try {
      await work();
    } catch (error) {
      discard();
      doneWith(temporary);
      throw describeFailure(path, error);
    }
  };
  await attempt(async () => {
    await mkdir(dirname(target), { recursive: true });
    descriptor = openSync(temporary, 'wx');
  });
  return {
    write: (bytes) => {
      try {
        // A single call may write less than it was given.
        for (let at = 0; at < bytes.length; ) at += writeSync(descriptor ?? -1, bytes, at);
      } catch (error) {
        discard();
        throw describeFailure(path, error);
      }
    },
    commit: () =>
      attempt(async () => {
        if (descriptor === null) throw new Error('the file is closed');
        fsyncSync(descriptor);
        await rename(temporary, target);
        closeSync(descriptor);
        descriptor = null;
        doneWith(temporary);
        await syncFolder(dirname(target));
      }),
    discard,
  };
}
