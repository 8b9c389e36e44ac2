/** How `npm run notebooks` ends where Python is missing or a check fails; the notebooks themselves run in .ci/run. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { hashText } from '../../src/files/hash.ts';
import { runProgram } from '../../src/lanes/programs.ts';
import { writeTable } from '../../src/tables/arrow-file.ts';
import { utf8 } from '../../src/tables/columns.ts';
import { writeExecutable } from '../helpers/executable.ts';
import { useTemporaryFolder } from '../helpers/temporary-folder.ts';

const path = useTemporaryFolder();
const root = fileURLToPath(new URL('../../', import.meta.url));
const loader = pathToFileURL(`${root}node_modules/tsx/dist/loader.mjs`).href;

/** Runs the program in the test's folder, without any Python but the one that the cache may hold. */
function notebooks(args: readonly string[], environment: Readonly<Record<string, string>>) {
  return runProgram(process.execPath, ['--import', loader, `${root}scripts/notebooks/run.ts`, ...args], {
    folder: path(),
    environment: { PATH: '', PLUMBLINE_CACHE: path('cache'), ...environment },
    limitSeconds: 600,
  });
}

describe('npm run notebooks', () => {
  const reason =
    'there is no Python with the packages of scripts/notebooks/requirements.txt (python3 -m venv: spawn python3 ENOENT)';

  it('says why it does nothing where there is no Python', async () => {
    const { ok, standardOutput } = await notebooks([], {});
    expect([ok, standardOutput.split('\n').at(-1)]).toEqual([true, `notebooks: skipped, because ${reason}`]);
  });

  it('fails for the same reason under CI=true', async () => {
    const { failure, output } = await notebooks([], { CI: 'true' });
    expect([failure, output.split('\n').at(-1)]).toEqual(['exit code 1', `notebooks: ${reason}`]);
  });

  it.skipIf(process.platform === 'win32')('ends with what a failing check printed', async () => {
    const requirements = readFileSync(`${root}scripts/notebooks/requirements.txt`, 'utf8');
    const environment = path('cache', `notebooks-${hashText(requirements).slice(7, 19)}`);
    mkdirSync(`${environment}/bin`, { recursive: true });
    writeFileSync(`${environment}/complete`, '');
    writeExecutable(`${environment}/bin/python`, '#!/bin/sh\necho "FAIL $2/ppo/metrics.arrow"\nexit 1\n');
    for (const name of ['train', 'held-out']) {
      await writeTable(path('run', 'preferences', `${name}.arrow`), { prompt: utf8('Question.') }, [{ prompt: 'a' }]);
    }
    const { failure, output } = await notebooks(['run'], {});
    expect(failure).toBe('exit code 1');
    expect(output.split('\n').slice(-2)).toEqual([
      `FAIL ${path('run')}/ppo/metrics.arrow`,
      'check_openers.py: exit code 1. The lines above say where.',
    ]);
  });
});
