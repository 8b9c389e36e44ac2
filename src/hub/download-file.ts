/** One file of a repository: what came so far stays in a `.part` file, which gets its name once its hash is right. */

import { open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CheckpointError } from '../errors.ts';
import { digitsOf, isFile, sizeOf } from './check-file.ts';
import type { HubFile } from './listing.ts';
import { onDisk } from './on-disk.ts';
import { type Answer, type Asking, ask, patiently } from './request.ts';

/** Where a file comes from and goes to. */
export interface FileDownload extends Asking {
  /** Where a file lies at the endpoint, encoded. */
  readonly pathOf: (file: HubFile) => string;
  /** An existing folder. */
  readonly folder: string;
  /** Called with the bytes of this file that are here, as they come. */
  readonly received: (bytes: number) => void;
}

/** The unfinished file; the hash in its name keeps apart what other commits have under the same name. */
export function partName({ name, hash }: HubFile): string {
  return `${name}.${hash.digits.slice(0, 16)}.part`;
}

/** Bytes of a file that an earlier call left here, whole or in part. */
export async function bytesHere(folder: string, file: HubFile): Promise<number> {
  const whole = await sizeOf(join(folder, file.name));
  return Math.min(file.size, whole > 0 ? whole : await sizeOf(join(folder, partName(file))));
}

/**
 * Fetches a file, or the rest of it, and checks it. Does nothing where it is there and right.
 * @throws CheckpointError where the bytes are not those of the listing; nothing of them is kept
 * @throws UnreachableError where it could not be had; what came is kept
 */
export async function downloadFile(download: FileDownload, file: HubFile): Promise<void> {
  const { folder, received } = download;
  const path = join(folder, file.name);
  const part = join(folder, partName(file));
  if (!(await isFile(path, file))) {
    // Bytes that were damaged on the way are worth a second attempt; twice the same is the server's doing.
    if (!(await fetchOnce(download, file, part)) && !(await fetchOnce(download, file, part))) {
      throw new CheckpointError(
        `${file.name}: came twice with another ${file.hash.kind} than the ${file.hash.digits} that ${download.hub.endpoint} lists. ` +
          `Nothing of it was kept. A proxy or a mirror changes it: try another network or ${download.hub.variable}.`,
      );
    }
    await onDisk(path, () => rename(part, path));
  }
  received(file.size);
}

/** Completes the part and checks it; removes it and returns false where it is wrong. */
async function fetchOnce(download: FileDownload, file: HubFile, part: string): Promise<boolean> {
  // What was never here before is progress; a server without ranges that breaks off at the same place makes none.
  let most = await sizeOf(part);
  await patiently(download, file.name, async (progressed) => {
    const came = (bytes: number): void => {
      if (bytes > most) progressed();
      most = Math.max(most, bytes);
      download.received(bytes);
    };
    if ((await sizeOf(part)) !== file.size || file.size === 0) await fetchRest(download, file, part, came);
    // A connection may end early without an error.
    const size = await sizeOf(part);
    if (size < file.size) throw new Error(`the connection ended after ${size} of ${file.size} bytes`);
  });
  download.signal.throwIfAborted();
  const isRight = (await sizeOf(part)) === file.size && (await digitsOf(part, file.hash.kind)) === file.hash.digits;
  if (!isRight) await rm(part, { force: true });
  return isRight;
}

async function fetchRest(
  download: FileDownload,
  file: HubFile,
  part: string,
  came: (bytes: number) => void,
): Promise<void> {
  const here = await sizeOf(part);
  const from = here < file.size ? here : 0;
  const range = from > 0 ? { range: `bytes=${from}-` } : undefined;
  await ask(download, download.pathOf(file), { ...range }, async (answer) => {
    const start = startOf(answer.response, from, file);
    await append(answer, file, { part, start, came });
  });
}

/** Where in the file the body begins: a server may ignore that a range was asked for. */
function startOf({ status, headers }: Response, from: number, { name, size }: HubFile): number {
  if (status === 200 || status === 416) return 0;
  const [, start, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers.get('content-range') ?? '') ?? [];
  if (status === 206 && Number(start) === from && (total === '*' || Number(total) === size)) return from;
  throw new CheckpointError(
    `${name}: asked for bytes ${from} to ${size}, and the server answered ${status} with ${headers.get('content-range') ?? 'no range'}.`,
  );
}

async function append(
  { response, pieces }: Answer,
  { name, size }: HubFile,
  { part, start, came }: { part: string; start: number; came: (bytes: number) => void },
): Promise<void> {
  const target = await onDisk(part, () => open(part, start > 0 ? 'a' : 'w'));
  try {
    // The server has no such range: begin anew with an empty part.
    if (response.status === 416) throw new Error('the server has no rest of this file');
    let at = start;
    for await (const piece of pieces()) {
      at += piece.length;
      if (at > size) throw new CheckpointError(`${name}: more than the ${size} bytes came that the server lists.`);
      await onDisk(part, () => target.appendFile(piece));
      came(at);
    }
    await onDisk(part, () => target.sync());
  } finally {
    await target.close();
  }
}
