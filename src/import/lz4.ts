/** Unpacks LZ4 frames, the compression of Feather files as pandas writes them. Format: https://github.com/lz4/lz4/tree/dev/doc */

const magic = 0x184d2204;
// One buffer of a record batch; more is a damaged length.
const limit = 1 << 30;
const blockLimits = [0, 0, 0, 0, 1 << 16, 1 << 18, 1 << 20, 1 << 22];

/**
 * The content of one LZ4 frame. Blocks may refer to the ones before them. Checksums are passed over.
 *
 * @throws RangeError where the frame is damaged or cut off
 */
export function unpackLz4Frame(frame: Uint8Array): Uint8Array {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (view.getUint32(0, true) !== magic) throw new RangeError('not an LZ4 frame');
  const flags = view.getUint8(4);
  const blockLimit = blockLimits[(view.getUint8(5) >> 4) & 7] ?? 0;
  if (flags >> 6 !== 1 || blockLimit === 0) throw new RangeError('not an LZ4 frame of version 1');
  const hasBlockChecksum = (flags & 0x10) !== 0;
  // Magic, flags, block size; content size and dictionary id where announced; header checksum.
  let at = 6 + ((flags & 0x08) !== 0 ? 8 : 0) + ((flags & 0x01) !== 0 ? 4 : 0) + 1;
  let output = new Uint8Array(Math.max(1024, 4 * frame.length));
  let length = 0;
  for (;;) {
    const size = view.getUint32(at, true);
    at += 4;
    if (size === 0) return output.subarray(0, length);
    const block = frame.subarray(at, at + (size & 0x7fffffff));
    if (block.length < (size & 0x7fffffff)) throw new RangeError('the LZ4 frame is cut off');
    at += block.length + (hasBlockChecksum ? 4 : 0);
    const needed = length + Math.max(blockLimit, block.length);
    if (needed > limit) throw new RangeError('the LZ4 frame is too large');
    if (needed > output.length) {
      const larger = new Uint8Array(2 * needed);
      larger.set(output.subarray(0, length));
      output = larger;
    }
    if (size >>> 31 === 1) {
      output.set(block, length);
      length += block.length;
    } else {
      length = unpackBlock(block, output, length, length + blockLimit);
    }
  }
}

/** Unpacks a block behind what is already in `output`; returns where it ends. */
function unpackBlock(block: Uint8Array, output: Uint8Array, start: number, limit: number): number {
  let at = 0;
  let end = start;
  const byte = (): number => {
    const value = block[at++];
    if (value === undefined) throw new RangeError('an LZ4 block is cut off');
    return value;
  };
  const count = (nibble: number): number => {
    let total = nibble;
    if (nibble === 15) {
      let more = 255;
      while (more === 255) {
        more = byte();
        total += more;
      }
    }
    return total;
  };
  while (at < block.length) {
    const token = byte();
    const literals = count(token >> 4);
    if (at + literals > block.length || end + literals > limit) throw new RangeError('an LZ4 block is damaged');
    output.set(block.subarray(at, at + literals), end);
    at += literals;
    end += literals;
    if (at === block.length) break;
    const offset = byte() | (byte() << 8);
    const length = count(token & 15) + 4;
    if (offset === 0 || offset > end || end + length > limit) throw new RangeError('an LZ4 block is damaged');
    // Byte by byte: a match may run into what it writes.
    for (let from = end - offset, last = end + length; end < last; ) output[end++] = output[from++] ?? 0;
  }
  return end;
}
