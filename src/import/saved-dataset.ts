/** Folders as Hugging Face's `save_to_disk` writes them: state.json lists the files, dataset_dict.json the splits. */

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { DataError, errorMessage } from '../errors.ts';
import { isRecord } from './source-row.ts';

/** True for such a folder; below another one it has to hold a dataset_info.json too: other programs write a state.json. */
export function isSavedDataset(folder: string, isRoot: boolean): boolean {
  const holds = (name: string): boolean => existsSync(join(folder, name));
  return holds('dataset_dict.json') || (holds('state.json') && (isRoot || holds('dataset_info.json')));
}

/** Files of a saved dataset with their splits, and what else lies there: descriptions, cache. */
export interface SavedFiles {
  files: { path: string; split: string | null }[];
  passedOver: string[];
}

/** @throws DataError where the descriptions are damaged */
export function listSaved(folder: string): SavedFiles {
  if (!existsSync(join(folder, 'dataset_dict.json'))) return listSplit(folder, null);
  const path = join(folder, 'dataset_dict.json');
  const { splits } = readJsonFile(path);
  if (!(Array.isArray(splits) && splits.length > 0 && splits.every((split) => typeof split === 'string'))) {
    throw new DataError(`${path}: no splits; expected {"splits": ["train", …]}. Save the dataset again.`);
  }
  const parts = splits.map((split) => listSplit(join(folder, split), split));
  return {
    files: parts.flatMap(({ files }) => files),
    passedOver: [...others(folder, ['dataset_dict.json', ...splits]), ...parts.flatMap(({ passedOver }) => passedOver)],
  };
}

function listSplit(folder: string, split: string | null): SavedFiles {
  const path = join(folder, 'state.json');
  const { _data_files: files, _split: own } = readJsonFile(path);
  const names = Array.isArray(files) ? files.map((file: unknown) => (isRecord(file) ? file.filename : undefined)) : [];
  if (names.length === 0 || !names.every((name) => typeof name === 'string' && basename(name) === name)) {
    throw new DataError(`${path}: no _data_files; expected [{"filename": "…"}, …]. Save the dataset again.`);
  }
  return {
    files: names.map((name) => ({
      path: join(folder, String(name)),
      split: split ?? (typeof own === 'string' ? own : null),
    })),
    passedOver: others(folder, ['state.json', 'dataset_info.json', ...names.map(String)]),
  };
}

/** Entries of a folder besides the known ones. */
function others(folder: string, known: readonly string[]): string[] {
  const names = readdirSync(folder).filter((name) => !known.includes(name));
  return names
    .sort()
    .map((name) => (statSync(join(folder, name)).isDirectory() ? join(folder, name, '/') : join(folder, name)));
}

function readJsonFile(path: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return isRecord(value) ? value : {};
  } catch (error) {
    throw new DataError(`${path}: not readable (${errorMessage(error)}). Save the dataset again.`, { cause: error });
  }
}
