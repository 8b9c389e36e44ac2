/** A fresh folder for each test, removed afterwards. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';

/** Call at the top of a test file; the returned function gives a path inside the current test's folder. */
export function useTemporaryFolder(): (...parts: string[]) => string {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'plumbline-test-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  return (...parts) => join(folder, ...parts);
}

/** The problems of the UserError that `work` throws, with a folder's name taken out. */
export async function problemsOf(work: () => unknown, folder: string): Promise<string[]> {
  try {
    await work();
  } catch (error) {
    const problems = (error as { problems?: readonly string[] }).problems;
    if (problems === undefined) throw error;
    return problems.map((line) => line.replaceAll(`${folder}/`, ''));
  }
  return [];
}
