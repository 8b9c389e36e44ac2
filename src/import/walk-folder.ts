/** The data files in a folder and below it, or of a pattern, and everything else that lies there. */

import { readdirSync, realpathSync, type Stats, statSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { globSync } from 'tinyglobby';
import { DataError } from '../errors.ts';
import { type Format, formatOfName, isUnreadName } from './file-kind.ts';
import { isSavedDataset, listSaved } from './saved-dataset.ts';

/** A file that was found. */
export interface FoundFile {
  path: string;
  /** Its path below the folder that is imported. */
  inside: string;
  /** The folder in front of that. */
  folder: string;
  /** Split that the source says: of a Hugging Face folder, or of the configuration. */
  split: string | null;
}

/** What lies in a folder. */
export interface Found {
  files: FoundFile[];
  /** Paths of what is no data, below the folder. */
  passedOver: string[];
  /** What stops the import. */
  problems: string[];
}

/** Files of Hugging Face repositories that describe data. */
const descriptions = new Set(['dataset_info.json', 'dataset_infos.json', 'dataset_dict.json', 'state.json']);

/**
 * Everything in a folder and its subfolders, by name; a Hugging Face folder among them as its state.json lists it.
 * Hidden entries, those that begin with "__" and links that lead back are not entered.
 */
export function walkFolder(root: string): Found {
  const found: Found = { files: [], passedOver: [], problems: [] };
  const walk = (inside: string, ancestors: readonly string[]): void => {
    const folder = join(root, inside);
    const here = realpathSync(folder);
    if (ancestors.includes(here)) {
      found.passedOver.push(`${inside}/ (leads back)`);
      return;
    }
    if (isSavedDataset(folder, inside === '')) {
      addSaved(found, folder, root);
      return;
    }
    for (const name of readdirSync(folder).sort()) {
      const below = join(inside, name);
      const stats = statOf(join(root, below), found);
      if (stats === null) continue;
      if (name.startsWith('.') || (stats.isDirectory() && name.startsWith('__'))) {
        found.passedOver.push(stats.isDirectory() ? `${below}/` : below);
      } else if (stats.isDirectory()) walk(below, [...ancestors, here]);
      else addFile(found, { path: join(root, below), inside: below, folder: basename(root), split: null }, stats);
    }
  };
  walk('', []);
  return found;
}

/** The entries that match a pattern such as "data/*.jsonl"; folders among them with all below. */
export function walkPattern(pattern: string, format: Format): Found {
  const found: Found = { files: [], passedOver: [], problems: [] };
  const base = staticPart(pattern);
  const matches = globSync(pattern, { onlyFiles: false, expandDirectories: false, absolute: true }).sort();
  const isAbsolute = pattern.startsWith('/');
  const entries = matches.map((match) => (isAbsolute ? match : relative('.', match)).replace(/[\\/]$/, ''));
  for (const path of entries) {
    const stats = statOf(path, found);
    if (stats === null) continue;
    const inside = relative(base, path);
    if (!stats.isDirectory()) addFile(found, { path, inside, folder: basename(base), split: null }, stats, format);
    else {
      const { files, passedOver, problems } = walkFolder(path);
      found.files.push(
        ...files.map((file) => ({ ...file, inside: join(inside, file.inside), folder: basename(base) })),
      );
      found.passedOver.push(...passedOver.map((entry) => join(inside, entry)));
      found.problems.push(...problems);
    }
  }
  // A folder and what is in it may both match.
  found.files = [...new Map(found.files.map((file) => [file.path, file])).values()];
  found.passedOver = [...new Set(found.passedOver)];
  if (entries.length === 0) throw new DataError(nothingMatches(pattern, base));
  return found;
}

function addSaved(found: Found, folder: string, root: string): void {
  const { files, passedOver } = listSaved(folder);
  const place = { inside: relative(root, folder), folder: basename(root) };
  found.files.push(...files.map(({ path, split }) => ({ path, split, ...place })));
  found.passedOver.push(...passedOver.map((path) => relative(root, path)));
}

function addFile(found: Found, file: FoundFile, stats: Stats, format: Format = 'auto'): void {
  const name = basename(file.path);
  if (isUnreadName(name)) {
    const problem =
      'data that is packed in a way that is not read here, or not all there; expected gzip, zstd or plain';
    found.problems.push(`${file.path}: ${problem}. Unpack it, or leave it out by a pattern such as "folder/*.jsonl".`);
  } else if (stats.isFile() && (format !== 'auto' || (formatOfName(name) !== null && !descriptions.has(name)))) {
    found.files.push(file);
  } else found.passedOver.push(file.inside);
}

function statOf(path: string, found: Found): Stats | null {
  try {
    return statSync(path);
  } catch {
    found.problems.push(`${path}: a link that leads nowhere, or not readable; expected a file. Mend or remove it.`);
    return null;
  }
}

/** The part of a pattern before its first folder or name with a sign that matches several. */
function staticPart(pattern: string): string {
  const parts = pattern.split('/');
  const first = parts.findIndex((part) => /[*?[\]{}()!+@]/.test(part));
  return parts.slice(0, Math.min(first, parts.length - 1)).join('/') || (pattern.startsWith('/') ? '/' : '.');
}

function nothingMatches(pattern: string, base: string): string {
  let there: string;
  try {
    const names = readdirSync(base).sort();
    there = `In ${base} there is ${names.length === 0 ? 'nothing' : listing(names)}.`;
  } catch {
    there = `There is no folder ${base}.`;
  }
  return `${pattern}: matches no file; expected at least one. ${there} Correct the path.`;
}

/** The first of many names: "a, b, c and 7 more". */
export function listing(names: readonly string[], most = 8): string {
  if (names.length <= most) return names.join(', ');
  return `${names.slice(0, most).join(', ')} and ${names.length - most} more`;
}
