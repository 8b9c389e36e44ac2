/** The messages of an Arrow file, one at a time: how both of Arrow's formats are read without loading the file. */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { Message } from 'apache-arrow';
import { Footer } from 'apache-arrow/ipc/metadata/file';
import { verifyFooter, verifyMessage } from '../tables/arrow-verify.ts';

const magic = 'ARROW1';
const prefixLength = 8;
const continuation = 0xffffffff;

/** Bytes of an open file. Throws RangeError where they are not inside it. */
type Read = (start: number, length: number) => Uint8Array;

/**
 * The messages of an Arrow file (schema, dictionaries, record batches) in the order of a stream, each with prefix and
 * body. In `file` format they lie where the footer says; polars writes no readable stream between the magic words.
 *
 * @throws RangeError where a message is not inside the file, or the file is cut off
 */
export function* arrowMessages(path: string): Generator<Uint8Array> {
  const descriptor = openSync(path, 'r');
  try {
    const { size } = fstatSync(descriptor);
    const read: Read = (start, length) => {
      if (!(start >= 0 && length >= 0 && start + length <= size)) throw new RangeError('the file is cut off');
      const bytes = new Uint8Array(length);
      if (readSync(descriptor, bytes, 0, length, start) < length) throw new RangeError('the file is cut off');
      return bytes;
    };
    const isFile = size >= magic.length && isMagic(read(0, magic.length));
    yield* isFile ? fileMessages(read, size) : streamMessages(read, size);
  } finally {
    closeSync(descriptor);
  }
}

const isMagic = (bytes: Uint8Array): boolean => String.fromCharCode(...bytes) === magic;

function* streamMessages(read: Read, size: number): Generator<Uint8Array> {
  for (let at = 0; at < size; ) {
    const message = readMessage(read, at);
    if (message === null) return;
    yield message;
    at += message.length;
  }
}

function* fileMessages(read: Read, size: number): Generator<Uint8Array> {
  const end = size - magic.length - 4;
  if (!isMagic(read(end + 4, magic.length))) throw new RangeError('the file is cut off');
  const footerLength = new DataView(read(end, 4).buffer).getInt32(0, true);
  const footerBytes = read(end - footerLength, footerLength);
  verifyFooter(footerBytes);
  const footer = Footer.decode(footerBytes);
  yield withPrefix(Message.encode(Message.from(footer.schema)));
  for (const blocks of [footer.dictionaryBatches(), footer.recordBatches()]) {
    let previous = -1;
    for (const { offset } of blocks) {
      // A damaged footer may announce billions of blocks; rising offsets end with the file.
      if (offset <= previous) throw new RangeError('the record batches are not in order');
      previous = offset;
      const message = readMessage(read, offset);
      if (message === null) throw new RangeError('a record batch is not where the footer says');
      yield message;
    }
  }
}

/** One message with prefix, header and body; null at the mark that ends a stream. */
function readMessage(read: Read, at: number): Uint8Array | null {
  const prefix = new DataView(read(at, prefixLength).buffer);
  if (prefix.getUint32(0, true) !== continuation) throw new RangeError('a message does not begin as one');
  const headerLength = prefix.getInt32(4, true);
  if (headerLength === 0) return null;
  const header = read(at + prefixLength, headerLength);
  verifyMessage(header);
  const message = Message.decode(header);
  if (message.isRecordBatch()) checkBatch(message.header() as BatchHeader);
  if (message.isDictionaryBatch()) checkBatch((message.header() as { data: BatchHeader }).data);
  const { bodyLength } = message;
  return read(at, prefixLength + headerLength + bodyLength);
}

/** The part of a record batch's header that is read here. */
interface BatchHeader {
  readonly length: number;
  readonly nodes: readonly { readonly length: number }[];
  readonly buffers: readonly unknown[];
  readonly variadicBufferCounts: readonly number[];
}

/** The library fills columns up with nulls to the rows that a batch claims, and makes the buffers, be they billions. */
function checkBatch({ length, nodes, buffers, variadicBufferCounts }: BatchHeader): void {
  if (Number(length) > 0 && Number(nodes[0]?.length) !== Number(length)) {
    throw new RangeError('a record batch claims another number of rows than its columns');
  }
  if (variadicBufferCounts.some((count) => !(count >= 0 && count <= buffers.length))) {
    throw new RangeError('a column claims more buffers than its record batch has');
  }
}

/** A header without body, padded to eight bytes as streams have it. */
function withPrefix(header: Uint8Array): Uint8Array {
  const padded = Math.ceil(header.length / 8) * 8;
  const message = new Uint8Array(prefixLength + padded);
  const view = new DataView(message.buffer);
  view.setUint32(0, continuation, true);
  view.setInt32(4, padded, true);
  message.set(header, prefixLength);
  return message;
}
