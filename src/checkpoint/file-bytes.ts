/** Parts of large files, read where they lie. */
import { readSync } from 'node:fs';
import { CheckpointError } from '../errors.ts';

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
