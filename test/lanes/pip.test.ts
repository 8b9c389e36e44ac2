import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pipIndex } from '../../src/lanes/pip.ts';
import { writeExecutable } from '../helpers/executable.ts';
import { useTemporaryFolder } from '../helpers/temporary-folder.ts';

const path = useTemporaryFolder();
const hasPip = spawnSync('python3', ['-m', 'pip', '--version']).status === 0;

/** A PATH whose python3 has a pip with this help. */
function helping(help: string): NodeJS.ProcessEnv {
  writeExecutable(join(path(), 'python3'), `#!/bin/sh\ncat <<'END'\n${help}\nEND\n`);
  return { PATH: `${path()}:/usr/bin:/bin` };
}

describe('the package index that pip asks', () => {
  it.runIf(hasPip)('is the one in its own code', async () => {
    const code = 'from pip._internal.models.index import PyPI; print(PyPI.simple_url)';
    const environment: NodeJS.ProcessEnv = { ...process.env, PIP_CONFIG_FILE: '/dev/null' };
    delete environment.PIP_INDEX_URL;
    expect(await pipIndex(environment)).toBe(execFileSync('python3', ['-c', code], { encoding: 'utf8' }).trim());
  });

  it('is read where the help breaks its lines', async () => {
    const help =
      '  -i, --index-url <url>       Base URL of the index (default\n         https://index.example/simple). This should';
    expect(await pipIndex(helping(help))).toBe('https://index.example/simple');
  });

  it('is asked for where the help tells none, or there is no pip', async () => {
    await expect(pipIndex(helping('Usage: pip'))).rejects.toThrow(
      'PIP_INDEX_URL: is not set, and pip tells of no package index. Set it to the address of one.',
    );
    await expect(pipIndex({ PATH: path('none') })).rejects.toThrow(
      'PATH: no python3 was found, which knows the package index where PIP_INDEX_URL is not set.',
    );
  });
});
