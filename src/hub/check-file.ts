/** Whether a file on disk is the one a repository lists: by size, then by hash. */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { hasCode } from '../errors.ts';
import type { FileHash, HubFile } from './listing.ts';

/** Bytes of a file; 0 where there is none. */
export async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return 0;
    throw error;
  }
}

/** The hash of a file, as hex digits. https://git-scm.com/book/en/v2/Git-Internals-Git-Objects */
export async function digitsOf(path: string, kind: FileHash['kind']): Promise<string> {
  const hash = createHash(kind === 'sha256' ? 'sha256' : 'sha1');
  if (kind === 'git-sha1') hash.update(`blob ${await sizeOf(path)}\0`);
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}

/** True where the file at `path` has the listed size and hash; false where there is none or another. */
export async function isFile(path: string, { size, hash }: HubFile): Promise<boolean> {
  try {
    return (await stat(path)).size === size && (await digitsOf(path, hash.kind)) === hash.digits;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false;
    throw error;
  }
}
