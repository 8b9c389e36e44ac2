/** Text files as people's programs write them: UTF-8 with or without a byte-order mark, or UTF-16 with one. */
import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { DataError } from '../errors.ts';

/**
 * The text of a file without its byte-order mark, which is invisible, is no part of the text, and spoils the first key.
 * @throws DataError where the bytes are not text in such an encoding; Node's own error where the file cannot be read
 */
export function readText(path: string): string {
  return decodeText(readFileSync(path), path);
}

/** As `readText`, from the bytes of a file; `path` is only the name used in messages. */
export function decodeText(bytes: Buffer, path: string): string {
  const [first, second, third] = bytes;
  if (first === 0xff && second === 0xfe) return new TextDecoder('utf-16le').decode(bytes);
  if (first === 0xfe && second === 0xff) return new TextDecoder('utf-16be').decode(bytes);
  if (!isUtf8(bytes)) {
    throw new DataError(
      `${path}:${firstBadLine(bytes)}: is not UTF-8 text; expected UTF-8, or UTF-16 with a byte-order mark. Save the file as UTF-8.`,
    );
  }
  const hasMark = first === 0xef && second === 0xbb && third === 0xbf;
  return bytes.toString('utf8', hasMark ? 3 : 0);
}

/** The first line, counted from 1, that is not UTF-8. */
function firstBadLine(bytes: Buffer): number {
  let line = 1;
  for (let start = 0; start < bytes.length; line++) {
    const end = bytes.indexOf(0x0a, start);
    if (end < 0 || !isUtf8(bytes.subarray(start, end))) return line;
    start = end + 1;
  }
  return line;
}
