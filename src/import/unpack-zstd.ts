/** Unpacks zstd files as a stream, a block at a time. Format: RFC 8878. */

import { Decompress } from 'fzstd';

const magicNumber = 0xfd2fb528;
// What zstd itself unpacks without being asked to: 2^27.
const windowLimit = 1 << 27;
const blockLimit = 1 << 17;

/**
 * The content of a zstd file: any number of frames, with frames to skip among them. In memory are one block and what
 * blocks may refer to, at most 128 MB. Checksums are passed over.
 *
 * @throws RangeError where it is damaged, cut off, needs a dictionary or a larger window
 */
export async function* unpackZstd(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const input = byteQueue(pieces);
  while (!(await input.isAtEnd())) {
    const magic = (await input.take(4)).readUInt32LE();
    if (magic >>> 4 === 0x184d2a5) await input.skip((await input.take(4)).readUInt32LE());
    else if (magic === magicNumber) yield* unpackFrame(input);
    else throw new RangeError('something else follows what is packed');
  }
}

async function* unpackFrame(input: ByteQueue): AsyncGenerator<Buffer> {
  const { bytes, content, hasChecksum } = await takeHeader(input);
  let unpacked: Uint8Array[] = [];
  let length = 0;
  const decoder = new Decompress((piece) => unpacked.push(piece));
  decoder.push(bytes);
  for (let isLast = false; !isLast; ) {
    const head = await input.take(3);
    const word = head.readUIntLE(0, 3);
    isLast = (word & 1) === 1;
    const size = word >> 3;
    if (size > blockLimit) throw new RangeError('a block is too large');
    // A block of one byte repeated holds that byte only.
    const body = await input.take(((word >> 1) & 3) === 1 ? 1 : size);
    decoder.push(Buffer.concat([head, body]));
    if (isLast) decoder.push(hasChecksum ? await input.take(4) : Buffer.alloc(0), true);
    for (const piece of unpacked) {
      length += piece.length;
      if (piece.length > 0) yield Buffer.from(piece.buffer, piece.byteOffset, piece.length);
    }
    unpacked = [];
  }
  if (content !== null && BigInt(length) !== content) {
    throw new RangeError(`${content} bytes announced, ${length} there`);
  }
}

interface FrameHeader {
  /** With the magic number in front. */
  bytes: Buffer;
  /** Length of the uncompressed content, where the frame gives it. */
  content: bigint | null;
  hasChecksum: boolean;
}

async function takeHeader(input: ByteQueue): Promise<FrameHeader> {
  const descriptor = await input.take(1);
  const flags = descriptor[0] ?? 0;
  const isSingle = (flags & 0x20) !== 0;
  const dictionaryLength = [0, 1, 2, 4][flags & 3] ?? 0;
  const contentLength = [isSingle ? 1 : 0, 2, 4, 8][flags >> 6] ?? 0;
  const rest = await input.take((isSingle ? 0 : 1) + dictionaryLength + contentLength);
  const at = rest.length - contentLength;
  if (rest.subarray(at - dictionaryLength, at).some((byte) => byte !== 0)) {
    throw new RangeError('it needs a dictionary; unpack it with zstd -D');
  }
  // Two bytes begin at 256, where one ends.
  const content = contentLength === 0 ? null : littleEndian(rest.subarray(at)) + (contentLength === 2 ? 256n : 0n);
  const exponent = rest[0] ?? 0;
  const window = isSingle ? Number(content) : 2 ** (10 + (exponent >> 3)) * (1 + (exponent & 7) / 8);
  if (window > windowLimit) {
    const size = Math.ceil(window / 2 ** 20);
    throw new RangeError(`it needs ${size} MB to unpack, expected at most 128; unpack it with zstd -d --long=31`);
  }
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(magicNumber);
  return { bytes: Buffer.concat([magic, descriptor, rest]), content, hasChecksum: (flags & 4) !== 0 };
}

function littleEndian(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => value * 256n + BigInt(byte), 0n);
}

/** Bytes that arrive in pieces, taken by number. */
interface ByteQueue {
  isAtEnd(): Promise<boolean>;
  /** @throws RangeError where fewer are left */
  take(length: number): Promise<Buffer>;
  skip(length: number): Promise<void>;
}

function byteQueue(pieces: AsyncIterable<Buffer>): ByteQueue {
  const source = pieces[Symbol.asyncIterator]();
  let piece: Buffer = Buffer.alloc(0);
  const fill = async (): Promise<boolean> => {
    while (piece.length === 0) {
      const next = await source.next();
      if (next.done === true) return false;
      piece = next.value;
    }
    return true;
  };
  const some = async (most: number): Promise<Buffer> => {
    if (!(await fill())) throw new RangeError('unexpected end of file');
    const part = piece.subarray(0, most);
    piece = piece.subarray(part.length);
    return part;
  };
  return {
    isAtEnd: async () => !(await fill()),
    take: async (length) => {
      const parts: Buffer[] = [];
      for (let left = length; left > 0; left -= parts.at(-1)?.length ?? 0) parts.push(await some(left));
      return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
    },
    skip: async (length) => {
      for (let left = length; left > 0; ) left -= (await some(left)).length;
    },
  };
}
