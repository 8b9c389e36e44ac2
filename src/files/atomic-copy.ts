/** Copying a file so that the copy appears whole or not at all. */

import { constants } from 'node:fs';
import { copyFile, mkdir, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { describeFailure, doneWith, syncFolder, temporaryName } from './atomic-write.ts';

/**
 * Copies a file, replacing what is at `to` in one step; on file systems that can, the two share their blocks.
 *
 * @throws UserError where it cannot be read or written; the old content of `to` stays
 */
export async function atomicCopy(from: string, to: string): Promise<void> {
  const target = resolve(to);
  const temporary = temporaryName(target);
  try {
    await mkdir(dirname(target), { recursive: true });
    await copyFile(from, temporary, constants.COPYFILE_FICLONE);
    await rename(temporary, target);
    await syncFolder(dirname(target));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw describeFailure(to, error);
  } finally {
    doneWith(temporary);
  }
}
