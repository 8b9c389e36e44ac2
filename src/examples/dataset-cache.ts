/** A cache of prepared datasets, found by the content of everything they were made from, so that it is never stale. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { atomicFolder, describeFailure } from '../files/atomic-write.ts';
import { hashFile, hashText } from '../files/hash.ts';
import { sweepLeftovers } from '../files/leftovers.ts';
import { type Lock, takeLock } from '../files/lock.ts';
import { isHere } from '../files/process-identity.ts';

/** Written last, with the hash of every other file: an entry without it, or with another hash, is made again. */
const contents = 'contents.json';

/** The code that turns rows into tokens: its source is part of every key. */
const codeFolders = ['./', '../batch/', '../tables/', '../tasks/', '../tokenizer/', '../jinja/'].map((folder) =>
  fileURLToPath(new URL(folder, import.meta.url)),
);
const codeFiles = [fileURLToPath(new URL('../random.ts', import.meta.url))];

/**
 * The folder `<root>/<key>`, filled by `write` where it is not there yet. The key is the hash of `parts` (settings and
 * hashes of rows, templates and tokenizer) and of this program's source for data and tokenizer.
 *
 * @param write fills an empty folder; it appears under its name only when all of it is written
 * @returns the folder, and whether it was filled now
 * @throws whatever `write` throws; nothing stays behind
 */
export async function cachedFolder(
  root: string,
  parts: Readonly<Record<string, string>>,
  write: (folder: string) => Promise<void>,
): Promise<{ path: string; fresh: boolean }> {
  const sorted = Object.entries(parts).sort(([a], [b]) => (a < b ? -1 : 1));
  const key = hashText(JSON.stringify([...sorted, ['code', codeHash()]])).slice(
    'sha256:'.length,
    'sha256:'.length + 20,
  );
  const path = join(root, key);
  if (await isWhole(path)) return { path, fresh: false };
  const lock = await waitFor(root, key);
  try {
    // Another run may have filled it while this one waited.
    if (await isWhole(path)) return { path, fresh: false };
    if (lock !== undefined) sweepLeftovers([root], key);
    await atomicFolder(path, async (folder) => {
      await write(folder);
      await writeFile(join(folder, contents), JSON.stringify(await hashes(folder), null, 2));
    });
    return { path, fresh: true };
  } finally {
    lock?.release();
  }
}

/**
 * The lock of an entry, after its holder in this process is done. Undefined where it cannot be known whether the holder still
 * runs (another host): then both do the work, and either result is whole and the same.
 */
async function waitFor(root: string, key: string): Promise<Lock | undefined> {
  await mkdir(root, { recursive: true }).catch((error: unknown) => {
    throw describeFailure(root, error);
  });
  for (;;) {
    const lock = await takeLock(join(root, `.${key}.lock`), 'the dataset');
    if ('release' in lock) return lock;
    if (lock.owner === undefined || !isHere(lock.owner)) return undefined;
    await sleep(200);
  }
}

async function isWhole(folder: string): Promise<boolean> {
  const list = join(folder, contents);
  if (!existsSync(list)) return false;
  return readFileSync(list, 'utf8') === JSON.stringify(await hashes(folder), null, 2);
}

async function hashes(folder: string): Promise<Record<string, string>> {
  const names = readdirSync(folder).filter((name) => name !== contents);
  const found: Record<string, string> = {};
  for (const name of names.sort()) found[name] = await hashFile(join(folder, name));
  return found;
}

function codeHash(): string {
  return hashText(JSON.stringify([hashOfFolders(codeFolders), ...codeFiles.map((file) => readFileSync(file, 'utf8'))]));
}

/** The hash of every file in folders and below. */
export function hashOfFolders(folders: readonly string[]): string {
  const files = folders.flatMap((folder) =>
    readdirSync(folder, { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name))
      .sort(),
  );
  return hashText(JSON.stringify(files.map((file) => readFileSync(file, 'utf8'))));
}
