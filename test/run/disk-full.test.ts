import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { atomicWrite } from '../../src/files/atomic-write.ts';
import { openLaneFor, type RunContext, runStage } from '../../src/run/stage.ts';
import { openProgress } from '../../src/terminal/progress.ts';
import { checkConfig } from '../../src/yaml/load-config.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { TinyConfig, tiny } from './tiny-stage.ts';

const path = useTemporaryFolder();
let isMounted = false;
beforeEach(() => {
  // Only root may mount; elsewhere stage.test.ts covers the message with a planted error.
  mkdirSync(path('small'));
  isMounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', path('small')]).status === 0;
});
afterEach(() => {
  if (isMounted) spawnSync('umount', [path('small')]);
});

test('a disk that is really full ends the stage with a remedy and leaves the last checkpoint as it was', async (context) => {
  context.skip(!isMounted, 'a small disk can only be mounted as root');
  const lane = await openLaneFor({ backend: 'cpu', device: 'auto' }, openProgress({ quiet: true }));
  const folder = path('small', 'run');
  const config = checkConfig(TinyConfig, { run: { folder } }, 'test');
  const saving = async (_: unknown, run: RunContext) => {
    await atomicWrite(run.folder.file('checkpoint.bin'), new Uint8Array(8_000).fill(1));
    await atomicWrite(run.folder.file('checkpoint.bin'), new Uint8Array(1_000_000).fill(2));
    return {};
  };
  const problems = await problemsOf(() => runStage({ ...tiny, run: saving }, config, { quiet: true, lane }), path());
  expect(problems.at(-1)).toBe(
    'run.folder small/run: the checkpoint saved before is intact. Free space, then continue with --resume.',
  );
  expect(problems[0]).toMatch(/small\/run\/checkpoint\.bin.*ENOSPC.*full/);
  expect(readFileSync(path('small', 'run', 'checkpoint.bin')).equals(Buffer.alloc(8_000, 1))).toBe(true);
});
