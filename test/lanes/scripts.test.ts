import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const project = fileURLToPath(new URL('../..', import.meta.url));

function script(name: string, env: NodeJS.ProcessEnv): SpawnSyncReturns<string> {
  const args = ['--import', 'tsx', `scripts/${name}.ts`];
  return spawnSync(process.execPath, args, { cwd: project, encoding: 'utf8', env: { ...process.env, ...env } });
}

describe('npm run setup', () => {
  const off = { PLUMBLINE_NO_TENSORFLOW: '1', PLUMBLINE_REQUIRE_LANE: '' };

  it('succeeds without the tensorflow lane, because wasm serves', () => {
    const { status, stdout } = script('setup', off);
    expect(stdout).toBe('tensorflow lane switched off by PLUMBLINE_NO_TENSORFLOW=1; the wasm lane serves\n');
    expect(status).toBe(0);
  });

  it('fails without it where PLUMBLINE_REQUIRE_LANE=tensorflow insists', () => {
    expect(script('setup', { ...off, PLUMBLINE_REQUIRE_LANE: 'tensorflow' }).status).toBe(1);
  });
});

describe('npm run doctor', () => {
  it('prints the machine and a row for every lane', () => {
    const { status, stdout } = script('doctor', {});
    expect(status).toBe(0);
    expect(stdout).toMatch(/^node +v\d+/);
    expect(stdout).toMatch(/\nlane +works +device +version +remark +to mend\ntensorflow +(yes|no)/);
    expect(stdout).toMatch(/\nwasm +yes +cpu +4\.22\.0\n/);
  });
});
