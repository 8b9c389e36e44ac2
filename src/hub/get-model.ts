/** A model of a hub as a folder that appears whole or not at all; what came of it before is kept beside it. */

import { mkdir, readdir, readFile, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { CheckpointError, hasCode, UserError } from '../errors.ts';
import { syncFolder } from '../files/atomic-write.ts';
import { isFile } from './check-file.ts';
import { chooseFiles, INDEX, shardsOf } from './choose-files.ts';
import { bytesHere, downloadFile, partName } from './download-file.ts';
import type { HubFile, Listing } from './listing.ts';
import { listModel } from './listing.ts';
import { byHand } from './messages.ts';
import { onDisk, requireSpace } from './on-disk.ts';
import type { Asking } from './request.ts';
import { UnreachableError } from './request.ts';

/** The record of where a folder came from. */
const RECORD = 'source.json';

/** What is fetched and where it goes. */
export interface ModelDownload extends Asking {
  /** The folder to make; must not exist, but as an earlier download of the same. */
  readonly folder: string;
  /** Called once sizes are known, before the weights: bytes in all, and of them here already. */
  readonly begins: (total: number, here: number) => void;
  /** Called with the bytes that are here, as they come. */
  readonly received: (bytes: number, file: string) => void;
  /** Looks at the settings before the weights are fetched; what it throws ends the download. */
  readonly checkConfig: (path: string) => void;
}

/** What came of it. */
export interface FetchedModel {
  readonly commit: string;
  readonly files: readonly string[];
  /** False where everything was there and right. */
  readonly fetched: boolean;
}

/**
 * Fetches a model. Interrupted at any moment, by a signal or a lost connection, the next call goes on where it was.
 * @throws CheckpointError where the model is not there, not for you, or not one that can be used here
 * @throws UnreachableError with the files to copy by hand
 */
export async function getModel(download: ModelDownload): Promise<FetchedModel> {
  const record = await readRecord(download.folder);
  const listing = await list(download);
  if (record !== undefined) return checkPresent(download, record, listing);
  const { repository } = download.model;
  const chosen = chooseFiles(listing, download.model, `${download.hub.endpoint}/${repository}`);
  const target = resolve(download.folder);
  // On the same file system, so that the last step is one rename.
  const scratch = join(dirname(target), `.${basename(target)}.download`);
  await onDisk(scratch, () => mkdir(scratch, { recursive: true }));
  const sum = (sizes: readonly number[]): number => sizes.reduce((total, size) => total + size, 0);
  const smallBytes = sum(chosen.small.map(({ size }) => size));
  await requireSpace(scratch, smallBytes);
  const pathOf = ({ name }: HubFile): string => `/${repository}/resolve/${listing.commit}/${encodeURIComponent(name)}`;
  const into = { ...download, folder: scratch, pathOf };
  for (const file of chosen.small) await downloadFile({ ...into, received: () => {} }, file);
  try {
    download.checkConfig(join(scratch, 'config.json'));
  } catch (error) {
    await rm(scratch, { recursive: true, force: true });
    if (!(error instanceof UserError)) throw error;
    // The folder they were in is gone.
    throw new CheckpointError(
      error.problems.map((problem) => problem.replaceAll(scratch, repository)),
      { cause: error },
    );
  }
  const weights =
    chosen.weights === undefined
      ? shardsOf(await readFile(join(scratch, INDEX), 'utf8'), listing, repository)
      : [chosen.weights];
  const all = [...chosen.small, ...weights];
  await removeOthers(scratch, all);
  const total = sum(all.map(({ size }) => size));
  const before = sum(await Promise.all(all.map((file) => bytesHere(scratch, file))));
  await requireSpace(scratch, total - before);
  download.begins(total, before);
  let finished = smallBytes;
  for (const file of weights) {
    await downloadFile({ ...into, received: (bytes) => download.received(finished + bytes, file.name) }, file);
    finished += file.size;
  }
  download.signal.throwIfAborted();
  await finish(download, scratch, target, { commit: listing.commit, files: all });
  return { commit: listing.commit, files: all.map(({ name }) => name), fetched: true };
}

async function list(download: ModelDownload): Promise<Listing> {
  try {
    return await listModel(download);
  } catch (error) {
    if (!(error instanceof UnreachableError)) throw error;
    throw new UnreachableError([...error.problems, ...byHand(download)], { cause: error });
  }
}

interface SourceRecord {
  readonly repository: string;
  readonly commit: string;
}

/** The record of an earlier download; undefined where the folder is free. */
async function readRecord(folder: string): Promise<SourceRecord | undefined> {
  try {
    if ((await readdir(folder)).length === 0) return undefined;
    return JSON.parse(await readFile(join(folder, RECORD), 'utf8')) as SourceRecord;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) {
      if ((await readdir(folder).catch(() => [])).length === 0) return undefined;
    } else if (!(error instanceof SyntaxError) && !hasCode(error, 'ENOTDIR')) throw error;
    throw new CheckpointError(
      `${folder}: is there already and was not made by get-model. It is not touched: choose another folder with --to.`,
      { cause: error },
    );
  }
}

/** Compares a folder with what it should be. */
async function checkPresent(
  { folder, model, hub }: ModelDownload,
  record: SourceRecord,
  listing: Listing,
): Promise<FetchedModel> {
  const { repository, revision } = model;
  const other = 'It is not touched: choose another folder with --to, or remove it.';
  if (record?.repository !== repository || record.commit !== listing.commit) {
    throw new CheckpointError(
      `${folder}: holds ${record?.repository} at ${record?.commit}; ${repository}@${revision} is at ${listing.commit}. ${other}`,
    );
  }
  const { small, weights } = chooseFiles(listing, model, `${hub.endpoint}/${repository}`);
  const shards = async (): Promise<HubFile[]> =>
    shardsOf(await readFile(join(folder, INDEX), 'utf8').catch(() => ''), listing, repository);
  const all = [...small, ...(weights === undefined ? await shards() : [weights])];
  const changed: string[] = [];
  for (const file of all) if (!(await isFile(join(folder, file.name), file))) changed.push(file.name);
  if (changed.length > 0) {
    throw new CheckpointError(
      `${folder}: was changed since it was fetched (${changed.join(', ')} ${changed.length === 1 ? 'is' : 'are'} missing or different). ${other}`,
    );
  }
  return { commit: record.commit, files: all.map(({ name }) => name), fetched: false };
}

/** Removes what earlier calls left for other commits. */
async function removeOthers(scratch: string, files: readonly HubFile[]): Promise<void> {
  const wanted = new Set(files.flatMap((file) => [file.name, partName(file)]));
  for (const name of await readdir(scratch)) {
    if (!wanted.has(name)) await rm(join(scratch, name), { recursive: true, force: true });
  }
}

/** Writes the record and gives the folder its name. */
async function finish(
  { model }: ModelDownload,
  scratch: string,
  target: string,
  { commit, files }: { commit: string; files: readonly HubFile[] },
): Promise<void> {
  const hashes = Object.fromEntries(files.map(({ name, hash }) => [name, `${hash.kind}:${hash.digits}`]));
  const record = { ...model, commit, files: hashes };
  await onDisk(target, async () => {
    await removeOthers(scratch, files);
    await writeFile(join(scratch, RECORD), `${JSON.stringify(record, null, 2)}\n`, { flush: true });
    await syncFolder(scratch);
    // An empty folder of that name gives way; one that was filled meanwhile does not.
    await rmdir(target).catch(() => undefined);
    await rename(scratch, target);
    await syncFolder(dirname(target));
  });
}
