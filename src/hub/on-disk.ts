/** What a disk refuses, in words. */
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CheckpointError } from '../errors.ts';
import { describeFailure, isSystemError } from '../files/atomic-write.ts';

/** Does what writes at `path`, and says what a disk refuses; trying again would not help. */
export async function onDisk<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw isSystemError(error) ? describeFailure(path, error) : error;
  }
}

/** @throws CheckpointError where the disk of a folder has less room than this */
export async function requireSpace(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize >= bytes) return;
  const megabytes = (count: number): string => `${Math.ceil(count / 1e6).toLocaleString('en-US')} MB`;
  throw new CheckpointError(
    `${dirname(folder)}: has ${megabytes(bavail * bsize)} free; the files need ${megabytes(bytes)} more. Free some space, or choose a folder on another disk with --to.`,
  );
}
