/** What killed programs leave of files and folders that appear whole: found by their names, removed by the holder of the lock. */

import { existsSync, lstatSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { hasCode } from '../errors.ts';
import { temporaryParts } from './atomic-write.ts';

/** Leftovers of killed saves that were removed. */
export interface Swept {
  readonly count: number;
  readonly bytes: number;
  /** Names of folders that were about to be replaced when the program was killed, and have their names again. */
  readonly restored: readonly string[];
}

/**
 * Removes temporary files and folders that a killed program left directly in `folders`. Only names that
 * `temporaryName` makes are touched, so call it where no other program writes.
 *
 * @param of only those made for this name; all where left out
 */
export function sweepLeftovers(folders: readonly string[], of?: string): Swept {
  let [count, bytes] = [0, 0];
  const restored: string[] = [];
  for (const folder of folders) {
    for (const name of namesIn(folder)) {
      const parts = temporaryParts(name);
      if (parts === undefined || (of !== undefined && parts.of !== of)) continue;
      const path = join(folder, name);
      const target = join(folder, parts.of);
      if (parts.kind === 'old' && !existsSync(target)) {
        renameSync(path, target);
        restored.push(parts.of);
        continue;
      }
      bytes += sizeOf(path);
      count += 1;
      rmSync(path, { recursive: true, force: true });
    }
  }
  return { count, bytes, restored };
}

/** One line on what was swept; undefined where nothing was. */
export function describeSwept(where: string, { count, bytes, restored }: Swept): string | undefined {
  const parts: string[] = [];
  if (count > 0)
    parts.push(`removed ${count} ${count === 1 ? 'leftover' : 'leftovers'} of killed saves (${size(bytes)})`);
  if (restored.length > 0) parts.push(`put ${restored.join(', ')} back, which was being replaced`);
  return parts.length === 0 ? undefined : `${where}: ${parts.join('; ')}`;
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    throw error;
  }
}

function sizeOf(path: string): number {
  const stat = lstatSync(path);
  if (!stat.isDirectory()) return stat.size;
  return readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0);
}

function size(bytes: number): string {
  const unit = bytes >= 1e9 ? 'GB' : bytes >= 1e6 ? 'MB' : 'kB';
  const scale = { GB: 1e9, MB: 1e6, kB: 1e3 }[unit];
  return `${(bytes / scale).toFixed(1)} ${unit}`;
}
