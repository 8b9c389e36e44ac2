/** Parts of large files, read where they lie. */
import { openSync, readSync, statSync } from 'node:fs';
import { CheckpointError, errorMessage, hasCode, UserError } from '../errors.ts';
import { readText } from '../files/text-file.ts';

/** Bytes of one read or write: Node takes at most 2 GB at once. */
export const CHUNK_BYTES = 2 ** 26;

/**
 * Bytes of an open file in a buffer of their own, aligned for any element type.
 * @param path names the file in errors
 * @throws CheckpointError where the file ends before
 */
export function readBytes(file: number, from: number, length: number, path: string): Buffer {
  const bytes = Buffer.from(new ArrayBuffer(length));
  let at = 0;
  while (at < length) {
    const read = readSync(file, bytes, at, Math.min(CHUNK_BYTES, length - at), from + at);
    if (read === 0)
      throw new CheckpointError(`${path}: ends at byte ${from + at}; it was cut short while it was read.`);
    at += read;
  }
  return bytes;
}

/**
 * Refuses what is no file, before it is opened: a folder cannot be read, and opening a pipe waits for who writes into it.
 * @param what names what is expected: "the weights of a checkpoint"
 * @throws CheckpointError where it is missing, a folder, a pipe or a device, or may not be looked at
 */
function checkRegularFile(path: string, what: string): void {
  const found = attempt(path, () => statSync(path, { throwIfNoEntry: false }));
  if (found === undefined) throw new CheckpointError(`${path}: there is no such file; expected ${what}.`);
  if (found.isFile()) return;
  const kind = found.isDirectory() ? 'a folder' : found.isFIFO() ? 'a pipe' : 'a device or socket';
  throw new CheckpointError(`${path}: is ${kind}; expected a file with ${what}. Put the file itself there.`);
}

/**
 * Opens a file to read parts of it; the caller closes it.
 * @throws CheckpointError where it cannot be read, or is no file
 */
export function openRegularFile(path: string, what: string): number {
  checkRegularFile(path, what);
  return attempt(path, () => openSync(path, 'r'));
}

/**
 * The text of a small file.
 * @throws CheckpointError where it cannot be read, or is no file
 */
export function readRegularFile(path: string, what: string): string {
  checkRegularFile(path, what);
  return attempt(path, () => readText(path));
}

function attempt<Value>(path: string, work: () => Value): Value {
  try {
    return work();
  } catch (error) {
    if (error instanceof UserError) throw new CheckpointError(error.problems, { cause: error });
    const reason = hasCode(error, 'EACCES')
      ? 'may not be read by this user'
      : `cannot be read (${errorMessage(error)})`;
    throw new CheckpointError(`${path}: ${reason}. Correct its permissions, or copy it again.`, { cause: error });
  }
}
