/** The checkpoints of one run: numbered folders, written whole, the last few kept. */
import { existsSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { atomicFolder } from '../files/atomic-write.ts';

const NAME = /^step-(\d+)$/;

/** Numbered checkpoints of a run folder, oldest first. */
export function listCheckpoints(runFolder: string): { step: number; path: string }[] {
  const folder = join(runFolder, 'checkpoints');
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .flatMap((name) => {
      const match = NAME.exec(name);
      return match ? [{ step: Number(match[1]), path: join(folder, name) }] : [];
    })
    .sort((a, b) => a.step - b.step);
}

/**
 * Saves the checkpoint of a step in one rename, then removes the oldest beyond `keepLast`. Only numbered folders that
 * this run wrote are ever removed.
 */
export async function saveCheckpoint(
  runFolder: string,
  step: number,
  keepLast: number,
  fill: (folder: string) => void,
): Promise<void> {
  await atomicFolder(join(runFolder, 'checkpoints', `step-${String(step).padStart(6, '0')}`), fill);
  const all = listCheckpoints(runFolder);
  for (const { path } of all.slice(0, Math.max(0, all.length - keepLast))) await rm(path, { recursive: true });
}
