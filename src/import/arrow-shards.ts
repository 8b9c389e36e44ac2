/** Arrow files as streams of bounded size, which is how `datasets` keeps a table on disk. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Message, MessageHeader, type Schema } from 'apache-arrow';
import { DataError, errorMessage } from '../errors.ts';
import { arrowMessages } from './arrow-messages.ts';

const prefixLength = 8;
const endOfStream = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0);

/**
 * Copies an Arrow file, in either format, into streams called shard-0, shard-1, … in an existing folder. Record batches
 * are passed on as they are; a new stream, with the schema at its beginning, is begun once one holds `shardBytes`.
 *
 * @returns the table's metadata, its rows and the number of streams
 * @throws DataError where the file is empty, cut off or not Arrow
 */
export function copyShards(
  path: string,
  folder: string,
  shardBytes: number,
): { metadata: ReadonlyMap<string, string>; rows: number; shards: number } {
  const head: Uint8Array[] = [];
  let schema: Schema | null = null;
  let rows = 0;
  let shards = 1;
  let filled = 0;
  let shard = openShard(join(folder, 'shard-0'), head);
  try {
    for (const bytes of readMessages(path)) {
      const message = Message.decode(bytes.subarray(prefixLength));
      if (message.headerType === MessageHeader.RecordBatch) {
        if (filled >= shardBytes) {
          shard.close();
          shard = openShard(join(folder, `shard-${shards}`), head);
          shards++;
          filled = 0;
        }
        filled += bytes.length;
        rows += Number((message.header() as { length: number }).length);
      } else {
        // Schema and dictionaries: every later shard needs them too.
        head.push(bytes);
        if (message.headerType === MessageHeader.Schema) schema = message.header() as Schema;
      }
      shard.write(bytes);
    }
  } finally {
    shard.close();
  }
  if (schema === null) {
    throw new DataError(`${path}: the file is empty; expected an Arrow file. Run the program that wrote it again.`);
  }
  return { metadata: schema.metadata, rows, shards };
}

function* readMessages(path: string): Generator<Uint8Array> {
  try {
    yield* arrowMessages(path);
  } catch (error) {
    throw new DataError(
      `${path}: not readable as Arrow (${errorMessage(error)}); expected a whole .arrow file. ` +
        'Run the program that wrote it again.',
      { cause: error },
    );
  }
}

/** A stream under way, with the messages of `head` at its beginning. */
function openShard(path: string, head: readonly Uint8Array[]) {
  const file = openSync(path, 'wx');
  const write = (part: Uint8Array): void => {
    for (let at = 0; at < part.length; ) at += writeSync(file, part, at);
  };
  for (const part of head) write(part);
  return {
    write,
    close: (): void => {
      write(endOfStream);
      closeSync(file);
    },
  };
}
