/** Which files a source consists of, and in which format each is. */

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { DataError, errorMessage } from '../errors.ts';
import { readStart } from './bytes.ts';
import { isRecord } from './source-row.ts';

export const formats = ['auto', 'jsonl', 'json', 'csv', 'tsv', 'parquet', 'arrow'] as const;
export type Format = (typeof formats)[number];

/** A file of a source. */
export interface SourceFile {
  path: string;
  /** Its name without endings; with folders in front where names would be the same. Ids begin with it. */
  name: string;
  /** Split of its rows where the source says so. */
  split: string | null;
}

/**
 * The files of a source: the named one, those of a Hugging Face `save_to_disk` folder as its state.json lists them
 * (what else lies there is cache), or those of a plain folder whose ending is a known one.
 *
 * @throws DataError naming every path that is missing, and folders without data
 */
export function listFiles(paths: readonly { path: string; split?: string | undefined }[]): SourceFile[] {
  const problems: string[] = [];
  const found = paths.flatMap(({ path, split }) => {
    try {
      return expand(path, split ?? null);
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      problems.push(...error.problems);
      return [];
    }
  });
  if (problems.length > 0) throw new DataError(problems);
  const stems = found.map(({ path }) => stemOf(path));
  return found.map((file, i) => {
    const stem = stems[i] ?? '';
    const isUnique = stems.indexOf(stem) === stems.lastIndexOf(stem);
    return { ...file, name: isUnique ? stem : relative('.', file.path).replace(/[\\/]/g, '-').replace(endings, '') };
  });
}

const endings = /(\.(jsonl|ndjson|json|csv|tsv|txt|parquet|arrows?|feather|gz))+$/i;
const dataEndings = /\.(jsonl|ndjson|json|csv|tsv|parquet|arrows?|feather)(\.gz)?$/i;
const stemOf = (path: string): string => basename(path).replace(endings, '');

function expand(path: string, split: string | null): Omit<SourceFile, 'name'>[] {
  let isFolder: boolean;
  try {
    isFolder = statSync(path).isDirectory();
  } catch (error) {
    throw new DataError(`${path}: missing; expected a file or folder of data. Fetch it, or correct input.`, {
      cause: error,
    });
  }
  if (!isFolder) return [{ path, split }];
  const names = readdirSync(path).sort();
  if (names.includes('dataset_dict.json')) return expandDict(path);
  if (names.includes('state.json')) return expandSaved(path, split);
  const files = names.filter((name) => dataEndings.test(name) && statSync(join(path, name)).isFile());
  if (files.length > 0) return files.map((name) => ({ path: join(path, name), split }));
  throw new DataError(`${path}: no data in this folder; expected .jsonl, .csv, .parquet, … files. Correct input.`);
}

function expandDict(folder: string): Omit<SourceFile, 'name'>[] {
  const path = join(folder, 'dataset_dict.json');
  const { splits } = readJsonFile(path);
  if (Array.isArray(splits) && splits.length > 0 && splits.every((split) => typeof split === 'string')) {
    return splits.flatMap((split) => expandSaved(join(folder, split), split));
  }
  throw new DataError(`${path}: no splits; expected {"splits": ["train", …]}. Save the dataset again.`);
}

function expandSaved(folder: string, split: string | null): Omit<SourceFile, 'name'>[] {
  const path = join(folder, 'state.json');
  const { _data_files: files, _split: own } = readJsonFile(path);
  const names = Array.isArray(files) ? files.map((file: unknown) => (isRecord(file) ? file.filename : undefined)) : [];
  if (names.length === 0 || !names.every((name) => typeof name === 'string' && basename(name) === name)) {
    throw new DataError(`${path}: no _data_files; expected [{"filename": "…"}, …]. Save the dataset again.`);
  }
  return names.map((name) => ({
    path: join(folder, String(name)),
    split: split ?? (typeof own === 'string' ? own : null),
  }));
}

function readJsonFile(path: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return isRecord(value) ? value : {};
  } catch (error) {
    throw new DataError(`${path}: not readable (${errorMessage(error)}). Save the dataset again.`, { cause: error });
  }
}

/**
 * The format of a file, by its first bytes and its ending.
 *
 * @throws DataError where neither tells
 */
export function detectFormat(path: string): Exclude<Format, 'auto'> {
  const start = readStart(path, 8);
  const magic = start.toString('latin1');
  if (magic.startsWith('PAR1')) return 'parquet';
  if (magic.startsWith('ARROW1') || magic.startsWith('\xff\xff\xff\xff')) return 'arrow';
  const ending = dataEndings.exec(path)?.[1]?.toLowerCase();
  if (ending === 'jsonl' || ending === 'ndjson') return 'jsonl';
  if (ending === 'feather' || ending === 'arrow' || ending === 'arrows') return 'arrow';
  if (ending === 'json' || ending === 'csv' || ending === 'tsv' || ending === 'parquet') return ending;
  throw new DataError(
    `${path}: its ending names no format; expected one of ${formats.slice(1).join(', ')} in input.format.`,
  );
}
