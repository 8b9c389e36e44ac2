import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { listCheckpoints, saveCheckpoint } from '../../src/checkpoint/checkpoint-list.ts';
import { useTemporaryFolder } from '../helpers/temporary-folder.ts';

const inFolder = useTemporaryFolder();
const save = (step: number, keepLast: number): Promise<void> =>
  saveCheckpoint(inFolder(), step, keepLast, (folder) => writeFileSync(join(folder, 'x'), String(step)));
const steps = (): number[] => listCheckpoints(inFolder()).map(({ step }) => step);

describe('checkpoints of a run', () => {
  it('are none where none were saved', () => {
    expect(listCheckpoints(inFolder())).toEqual([]);
  });

  it('are kept up to the last few, oldest first, by number and not by name', async () => {
    for (const step of [9, 10, 999_999, 1_000_000]) await save(step, 3);
    expect(steps()).toEqual([10, 999_999, 1_000_000]);
    expect(listCheckpoints(inFolder())[0]!.path).toBe(inFolder('checkpoints', 'step-000010'));
    expect(readFileSync(inFolder('checkpoints', 'step-000010', 'x'), 'utf8')).toBe('10');
  });

  it('leave other files in the folder alone', async () => {
    mkdirSync(inFolder('checkpoints', 'step-best'), { recursive: true });
    await save(1, 1);
    await save(2, 1);
    expect(readdirSync(inFolder('checkpoints')).sort()).toEqual(['step-000002', 'step-best']);
  });

  it('replace one of the same step', async () => {
    await save(5, 2);
    await saveCheckpoint(inFolder(), 5, 2, (folder) => writeFileSync(join(folder, 'y'), ''));
    expect(readdirSync(inFolder('checkpoints', 'step-000005'))).toEqual(['y']);
  });

  it('stay as they were when saving fails, and nothing half-written is listed', async () => {
    await save(1, 1);
    const failing = saveCheckpoint(inFolder(), 2, 1, (folder) => {
      writeFileSync(join(folder, 'x'), 'half');
      throw new Error('out of memory');
    });
    await expect(failing).rejects.toThrow('out of memory');
    expect(steps()).toEqual([1]);
    expect(existsSync(inFolder('checkpoints', 'step-000001', 'x'))).toBe(true);
    expect(readdirSync(inFolder('checkpoints'))).toEqual(['step-000001']);
  });
});
