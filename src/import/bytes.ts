/** The bytes of a source file in pieces, unpacked where they are gzip or zstd, and their lines. */

import { closeSync, createReadStream, openSync, readSync } from 'node:fs';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { DataError, errorMessage, hasCode } from '../errors.ts';
import { unpackZstd } from './unpack-zstd.ts';

const pieceLength = 1 << 20;

/** The first bytes of a file, as they lie on disk. */
export function readStart(path: string, length: number): Buffer {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) {
      throw new DataError(`${path}: the file is missing; expected a source file. Correct the path.`, { cause: error });
    }
    throw new DataError(`${path}: cannot be read (${errorMessage(error)}). Check its permissions.`, { cause: error });
  }
  try {
    const start = Buffer.alloc(length);
    return start.subarray(0, readSync(descriptor, start, 0, length, 0));
  } catch (error) {
    throw new DataError(`${path}: cannot be read (${errorMessage(error)}). Name a file.`, { cause: error });
  } finally {
    closeSync(descriptor);
  }
}

/** True for the first bytes of a gzip. */
export const isGzip = (magic: string): boolean => magic.startsWith('\x1f\x8b');
/** True for the first bytes of a zstd file: of a frame, or of one to skip. */
export const isZstd = (magic: string): boolean =>
  magic.startsWith('(\xb5/\xfd') || /^[P-_]\*M$/.test(magic.slice(0, 3));

/**
 * A file's bytes, at most a megabyte at a time; gzip and zstd are recognised by their first bytes and unpacked.
 *
 * @throws DataError where the file is missing, or its gzip or zstd is damaged or cut off (after the bytes before that)
 */
export async function* readBytes(path: string): AsyncGenerator<Buffer> {
  const magic = readStart(path, 4).toString('latin1');
  const packed = isGzip(magic) ? 'gzip' : isZstd(magic) ? 'zstd' : null;
  const file = createReadStream(path, { highWaterMark: pieceLength });
  // The error also reaches the reader of the last stream.
  const stream = packed === 'gzip' ? pipeline(file, createGunzip({ chunkSize: pieceLength }), () => undefined) : file;
  const pieces: AsyncIterable<Buffer> = packed === 'zstd' ? unpackZstd(stream) : stream;
  try {
    for await (const piece of pieces) yield piece;
  } catch (error) {
    const what = packed === null ? 'cannot be read' : `its ${packed} is damaged or cut off`;
    throw new DataError(`${path}: ${what} (${errorMessage(error)}). Fetch the file again.`, { cause: error });
  } finally {
    stream.destroy();
    file.destroy();
  }
}

/** One line of a file, without its line break. */
export interface Line {
  /** From 1 on. */
  number: number;
  /** Place of its first byte in the file (unpacked). */
  start: number;
  /** Null where the line is longer than the limit; it is not kept then. */
  bytes: Buffer | null;
}

/** The lines of a file in groups; they end in LF or CRLF. */
export async function* readLines(pieces: AsyncIterable<Buffer>, limit: number): AsyncGenerator<Line[]> {
  let held: Buffer[] = [];
  let heldLength = 0;
  let number = 0;
  let start = 0;
  const take = (last: Buffer): Line => {
    number++;
    const length = heldLength + last.length;
    let bytes = held.length === 0 ? last : Buffer.concat([...held, last]);
    const line = { number, start };
    start += length + 1;
    held = [];
    heldLength = 0;
    if (length > limit) return { ...line, bytes: null };
    if (bytes.at(-1) === 0x0d) bytes = bytes.subarray(0, -1);
    return { ...line, bytes };
  };
  for await (const piece of pieces) {
    const lines: Line[] = [];
    let from = 0;
    for (let end = piece.indexOf(0x0a); end !== -1; end = piece.indexOf(0x0a, from)) {
      lines.push(take(piece.subarray(from, end)));
      from = end + 1;
    }
    // Of a line that is too long only the length is kept.
    if (from < piece.length && heldLength <= limit) held.push(piece.subarray(from));
    else if (heldLength > limit) held = [];
    heldLength += piece.length - from;
    if (lines.length > 0) yield lines;
  }
  if (heldLength > 0) yield [take(Buffer.alloc(0))];
}
