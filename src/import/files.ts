/** Which files a source consists of, each with its format and its split, and what was passed over. */

import { realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { isDynamicPattern } from 'tinyglobby';
import { DataError } from '../errors.ts';
import { detectFormat, type FileFormat, type Format, formatOfName, stemOfName } from './file-kind.ts';
import { splitOfPath } from './split-names.ts';
import { type Found, listing, walkFolder, walkPattern } from './walk-folder.ts';

/** A file of a source. */
export interface SourceFile {
  path: string;
  /** Its name without endings; with folders in front where names would be the same. Ids begin with it. */
  name: string;
  format: FileFormat;
  /** Split of its rows where the configuration or a Hugging Face folder says so. */
  split: string | null;
  /** Split indicated by its name or a folder's; null for none, and for two. */
  namedSplit: string | null;
}

/** The files of a source, and a line about what else lies among them for each input. */
export interface SourceFiles {
  files: SourceFile[];
  notes: string[];
}

/**
 * The files of a source: the named ones; those that match a pattern; those in a folder and below it whose endings tell
 * of data; and in a Hugging Face `save_to_disk` folder those that its state.json lists (what else lies there is cache).
 *
 * @param byName  whether splits are taken from names, so that a name that indicates two is an error
 * @throws DataError naming every path that is missing, empty of data, or not readable here
 */
export function listFiles(
  inputs: readonly { path: string; split?: string | undefined }[],
  { format = 'auto', byName = false }: { format?: Format; byName?: boolean } = {},
): SourceFiles {
  const problems: string[] = [];
  const notes: string[] = [];
  const gather = <T>(work: () => T): T | null => {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      problems.push(...error.problems);
      return null;
    }
  };
  const found = inputs.flatMap(({ path, split }) => {
    const one = gather(() => expand(path, format));
    if (one === null) return [];
    problems.push(...one.problems);
    if (one.passedOver.length > 0) notes.push(`${path}: passed over ${listing(one.passedOver)}.`);
    return one.files.map((file) => ({ ...file, split: split ?? file.split }));
  });
  const files = distinct(found, notes).flatMap((file) => {
    const detected = gather(() => detectFormat(file.path, format));
    const inside = join(dirname(file.inside), stemOfName(basename(file.inside)));
    const isAsked = byName && file.split === null;
    const read = () => splitOfPath(file.path, inside, file.folder);
    const namedSplit = isAsked ? gather(read) : quietly(read);
    return detected === null ? [] : [{ path: file.path, split: file.split, format: detected, namedSplit }];
  });
  if (problems.length > 0) throw new DataError(problems);
  return { files: withNames(files), notes };
}

/** True for a pattern such as "data/*.jsonl", unless a file has just that name. */
export function isPattern(path: string): boolean {
  return isDynamicPattern(path) && statSync(path, { throwIfNoEntry: false }) === undefined;
}

/** True where a path names rows by what it is: a folder, a pattern, or a file whose ending tells of data. */
export function holdsRows(path: string): boolean {
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  return isFolder || isPattern(path) || formatOfName(path) !== null;
}

function expand(path: string, format: Format): Found {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) {
    if (isDynamicPattern(path)) return required(path, walkPattern(path, format));
    throw new DataError(`${path}: missing; expected a file or folder of data. Fetch it, or correct the path.`);
  }
  if (stats.isDirectory()) return required(path, walkFolder(path));
  const folder = basename(dirname(path));
  return { files: [{ path, inside: basename(path), folder, split: null }], passedOver: [], problems: [] };
}

/** Raises DataError where nothing was found. */
function required(path: string, found: Found): Found {
  if (found.files.length > 0 || found.problems.length > 0) return found;
  const there = found.passedOver.length === 0 ? '' : ` There is ${listing(found.passedOver)}.`;
  const remedy = isDynamicPattern(path)
    ? 'Correct the path, or set input.format of npm run import.'
    : 'Correct the path.';
  throw new DataError(`${path}: no data in this folder; expected .jsonl, .csv, .parquet, … files.${there} ${remedy}`);
}

/** Each file once, however many links, patterns and folders lead to it. */
function distinct<T extends { path: string }>(files: readonly T[], notes: string[]): T[] {
  const seen = new Map<string, string>();
  const doubled: string[] = [];
  const kept = files.filter(({ path }) => {
    const real = statSync(path, { throwIfNoEntry: false }) === undefined ? path : realpathSync(path);
    const first = seen.get(real);
    if (first === undefined) seen.set(real, path);
    else doubled.push(path === first ? path : `${path} (${first})`);
    return first === undefined;
  });
  if (doubled.length > 0) notes.push(`read once, though named twice: ${listing(doubled)}.`);
  return kept;
}

function quietly<T>(work: () => T): T | null {
  try {
    return work();
  } catch (error) {
    if (error instanceof DataError) return null;
    throw error;
  }
}

function withNames<T extends { path: string }>(files: readonly T[]): (T & { name: string })[] {
  const stems = files.map(({ path }) => stemOfName(basename(path)));
  const long = files.map(({ path }, i) => join(dirname(relative('.', path)), stems[i] ?? '').replace(/[\\/]/g, '-'));
  const [stemCounts, longCounts] = [countOf(stems), countOf(long)];
  return files.map((file, i) => {
    const [stem = '', path = ''] = [stems[i], long[i]];
    if (stemCounts.get(stem) === 1) return { ...file, name: stem };
    // Two files that differ in their endings only keep them.
    return { ...file, name: longCounts.get(path) === 1 ? path : relative('.', file.path).replace(/[\\/]/g, '-') };
  });
}

function countOf(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}
