/** The text of a source file: its bytes in the encoding given by its byte order mark or the configuration. */

import { isUtf8 } from 'node:buffer';
import { DataError } from '../errors.ts';
import { readBytes } from './bytes.ts';
import { decodeExact, decodeLossy, type Encoding, isCodePage, isWide, type WideEncoding } from './encodings.ts';

/** Raised where a file is not in the encoding that is asked for; `reason` is as of a BadRow. */
export class EncodingError extends DataError {
  readonly reason: string;
  constructor(encoding: Encoding, problem: string) {
    super(problem);
    this.reason = `not ${nameOf(encoding)}`;
  }
}

/** An encoding as people write it. */
export const nameOf = (encoding: Encoding): string => (encoding.startsWith('utf') ? encoding.toUpperCase() : encoding);

/** Bytes of a text without byte order mark; UTF-16 is already UTF-8. */
export interface TextSource {
  encoding: Exclude<Encoding, WideEncoding>;
  /** How many bytes stand in front: a byte order mark. */
  offset: number;
  pieces: AsyncGenerator<Buffer>;
}

/**
 * Opens a text. A byte order mark goes before the configuration's default, UTF-8.
 *
 * @throws EncodingError where the first bytes are of another encoding than is asked for
 */
export async function openText(path: string, encoding: Encoding): Promise<TextSource> {
  const source = readBytes(path);
  const first = await source.next();
  const start = first.done === true ? Buffer.alloc(0) : first.value;
  const mark = markOf(path, start);
  const found = mark?.encoding ?? encoding;
  if (mark !== null && encoding !== 'utf-8' && encoding !== mark.encoding) {
    const remedy = `expected encoding: ${mark.encoding}`;
    throw new EncodingError(
      encoding,
      `${path}: begins with the byte order mark of ${nameOf(mark.encoding)}; ${remedy}.`,
    );
  }
  const offset = mark?.length ?? 0;
  const pieces = joined(start.subarray(offset), source);
  if (isWide(found)) return { encoding: 'utf-8', offset: 0, pieces: fromWide(path, found, { pieces, offset }) };
  if (found === 'utf-8') checkWide(path, start);
  return { encoding: found, offset, pieces: found === 'utf-8' ? pieces : checkGuess(path, found, pieces) };
}

async function* joined(first: Buffer, rest: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  if (first.length > 0) yield first;
  yield* rest;
}

function markOf(path: string, start: Buffer): { encoding: Encoding; length: number } | null {
  const magic = start.subarray(0, 4).toString('latin1');
  if (magic === '\xff\xfe\0\0' || magic === '\0\0\xfe\xff') {
    throw new EncodingError(
      'utf-8',
      `${path}: is UTF-32; expected UTF-8, or what the key encoding offers. Convert it.`,
    );
  }
  if (magic.startsWith('\xef\xbb\xbf')) return { encoding: 'utf-8', length: 3 };
  if (magic.startsWith('\xff\xfe')) return { encoding: 'utf-16le', length: 2 };
  return magic.startsWith('\xfe\xff') ? { encoding: 'utf-16be', length: 2 } : null;
}

/** Refuses UTF-16 without mark: texts in Latin letters are half zeros then. */
function checkWide(path: string, start: Buffer): void {
  const sample = start.subarray(0, 64);
  const zeros = [0, 1].map((parity) => sample.filter((byte, i) => i % 2 === parity && byte === 0).length);
  const most = sample.length / 4;
  const wide = (zeros[1] ?? 0) > most ? 'utf-16le' : (zeros[0] ?? 0) > most ? 'utf-16be' : null;
  if (wide === null) return;
  throw new EncodingError(
    'utf-8',
    `${path}: every second byte is 0, as in UTF-16; expected UTF-8, or encoding: ${wide}.`,
  );
}

/** UTF-16 as UTF-8. */
async function* fromWide(
  path: string,
  encoding: WideEncoding,
  { pieces, offset }: { pieces: AsyncIterable<Buffer>; offset: number },
): AsyncGenerator<Buffer> {
  const decoder = new TextDecoder(encoding, { fatal: true, ignoreBOM: true });
  let at = offset;
  let line = 1;
  const decode = (piece: Buffer, stream: boolean): Buffer => {
    try {
      const text = decoder.decode(piece, { stream });
      for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', end + 1)) line++;
      at += piece.length;
      return Buffer.from(text, 'utf8');
    } catch (error) {
      const place = `after line ${line}, between bytes ${at} and ${at + piece.length}`;
      const problem = `${path}: half a sign, ${place}; expected ${nameOf(encoding)}. Mend the file.`;
      throw Object.assign(new EncodingError(encoding, problem), { cause: error });
    }
  };
  // Small pieces, so that a fault has a place.
  for await (const piece of pieces) {
    for (let from = 0; from < piece.length; from += 4096) yield decode(piece.subarray(from, from + 4096), true);
  }
  decode(Buffer.alloc(0), false);
}

/** Passes the bytes of a code page on; refuses UTF-8, which has signs in nearly every code page and makes no sense there. */
async function* checkGuess(path: string, encoding: Encoding, pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let isOpen = true;
  for await (const piece of pieces) {
    if (isOpen) {
      const text = piece.subarray(0, wholeLength(piece));
      const signs = text.reduce((count, byte) => count + (byte >= 0xc0 ? 1 : 0), 0);
      // In encodings of several bytes a few signs may be UTF-8 by chance.
      if (signs >= (isCodePage(encoding) ? 1 : 8) && isUtf8(text)) {
        throw new EncodingError(
          encoding,
          `${path}: is UTF-8, not ${encoding}; expected to be told so. Leave encoding out.`,
        );
      }
      isOpen = text.every((byte) => byte < 128);
    }
    yield piece;
  }
}

/** The length of the whole signs of a piece of UTF-8: without a sign that is cut off at its end. */
function wholeLength(piece: Buffer): number {
  for (let back = 1; back <= Math.min(3, piece.length); back++) {
    const byte = piece[piece.length - back] ?? 0;
    if (byte >= 0xc0) {
      const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return length > back ? piece.length - back : piece.length;
    }
    if (byte < 0x80) break;
  }
  return piece.length;
}

/** A part of a text as it was decoded, and its lines that could not be. */
export interface TextBlock {
  text: string;
  faults: { line: number; problem: string }[];
}

/**
 * A text in blocks of whole lines. In a line with a fault U+FFFD stands for what has no meaning.
 *
 * @param limit longest line in bytes; a longer one is cut
 */
export async function* readBlocks({ encoding, offset, pieces }: TextSource, limit: number): AsyncGenerator<TextBlock> {
  let held = Buffer.alloc(0);
  let line = 1;
  let at = offset;
  const take = (block: Buffer): TextBlock => {
    const whole = decodeExact(block, encoding);
    const faults: TextBlock['faults'] = [];
    const text = typeof whole === 'string' ? whole : decodeLines(block, encoding, { line, at, faults });
    line += breaks(block);
    at += block.length;
    return { text, faults };
  };
  for await (const piece of pieces) {
    const all = held.length === 0 ? piece : Buffer.concat([held, piece]);
    const end = all.lastIndexOf(0x0a) + 1 || (all.length > limit ? wholeLength(all) : 0);
    held = Buffer.from(all.subarray(end));
    if (end > 0) yield take(all.subarray(0, end));
  }
  if (held.length > 0) yield take(held);
}

function decodeLines(
  block: Buffer,
  encoding: Encoding,
  { line, at, faults }: { line: number; at: number; faults: TextBlock['faults'] },
): string {
  const texts: string[] = [];
  for (let start = 0, number = line; start < block.length; number++) {
    const end = block.indexOf(0x0a, start) + 1 || block.length;
    const bytes = block.subarray(start, end);
    const text = decodeExact(bytes, encoding);
    if (typeof text !== 'string') faults.push({ line: number, problem: placed(text, at + start) });
    texts.push(typeof text === 'string' ? text : decodeLossy(bytes, encoding));
    start = end;
  }
  return texts.join('');
}

/** A fault with its place in the file, from 0 on as tools count bytes. */
export function placed({ at, problem }: { at: number; problem: string }, start: number): string {
  return `${problem.replace(/^byte 0x../, (byte) => `${byte} at ${start + at}`)}`;
}

/** A part of a text as UTF-8, and the first place in it that has no meaning; U+FFFD stands there. */
export interface Utf8Piece {
  bytes: Buffer;
  fault: { line: number; problem: string } | null;
}

/** A text as UTF-8 in pieces that end between signs, for parsers that take bytes. */
export async function* readUtf8({ encoding, offset, pieces }: TextSource): AsyncGenerator<Utf8Piece> {
  let held = Buffer.alloc(0);
  let line = 1;
  let at = offset;
  const take = (part: Buffer): Utf8Piece => {
    const text = encoding === 'utf-8' && isUtf8(part) ? '' : decodeExact(part, encoding);
    const isWhole = typeof text === 'string';
    const isSame = encoding === 'utf-8' && isWhole;
    const bytes = isSame ? part : Buffer.from(isWhole ? text : decodeLossy(part, encoding), 'utf8');
    const fault = isWhole ? null : { line: line + breaks(part.subarray(0, text.at)), problem: placed(text, at) };
    line += breaks(part);
    at += part.length;
    return { bytes, fault };
  };
  for await (const piece of pieces) {
    const all = held.length === 0 ? piece : Buffer.concat([held, piece]);
    const end = wholeEnd(all, encoding);
    held = Buffer.from(all.subarray(end));
    if (end > 0) yield take(all.subarray(0, end));
  }
  if (held.length > 0) yield take(held);
}

function wholeEnd(piece: Buffer, encoding: Encoding): number {
  if (encoding === 'utf-8') return wholeLength(piece);
  if (isCodePage(encoding)) return piece.length;
  // A comma is never part of another sign, but where signs are told apart by what stands before them in the line.
  return piece.lastIndexOf(encoding === 'iso-2022-jp' ? 0x0a : 0x2c) + 1;
}

function breaks(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(0x0a); at !== -1; at = bytes.indexOf(0x0a, at + 1)) count++;
  return count;
}
