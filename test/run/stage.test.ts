import { existsSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { CheckpointError, DataError } from '../../src/errors.ts';
import { readManifest } from '../../src/run/manifest.ts';
import { openLaneFor, type RunContext, runStage } from '../../src/run/stage.ts';
import type { Lane } from '../../src/tensor/lane.ts';
import { breathe, Interrupted, watchInterrupts } from '../../src/terminal/interrupts.ts';
import { openProgress } from '../../src/terminal/progress.ts';
import { checkConfig } from '../../src/yaml/load-config.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { TinyConfig, tiny } from './tiny-stage.ts';

const path = useTemporaryFolder();
let lane: Lane;
beforeAll(async () => {
  lane = await openLaneFor({ backend: 'cpu', device: 'auto' }, openProgress({ quiet: true }));
});
const configure = (changes: Record<string, unknown> = {}) =>
  checkConfig(TinyConfig, { run: { folder: path('run') }, ...changes }, 'test');
const run = (changes: Record<string, unknown> = {}, options: Parameters<typeof runStage>[2] = {}) =>
  runStage(tiny, configure(changes), { quiet: true, lane, ...options });

describe('runStage', () => {
  test('returns the summary and stores it in the manifest', async () => {
    expect(await run()).toEqual({ steps: 3 });
    expect(readManifest(path('run'))).toMatchObject({
      status: 'finished',
      stage: 'instruct',
      seed: 1,
      summary: { steps: 3 },
    });
  });

  test('records what the stage declares with its kind, and refuses a run that did not write it', async () => {
    const outputs = {
      count: { path: 'metrics.arrow', holds: 'the count', kind: 'judged answers' },
      other: { path: 'other.arrow', holds: 'nothing', written: 'never' },
    } as const;
    await runStage({ ...tiny, outputs }, configure(), { quiet: true, lane });
    const recorded = readManifest(path('run'))!.outputs;
    expect(recorded).toMatchObject([{ role: 'count', path: 'metrics.arrow', kind: 'judged answers' }]);
    const missing = { other: { path: 'other.arrow', holds: 'nothing' } };
    const config = configure({ run: { folder: path('less') } });
    await expect(runStage({ ...tiny, outputs: missing }, config, { quiet: true, lane })).rejects.toThrow(
      'instruct: declares other.arrow and has not written it.',
    );
    expect(readManifest(path('less'))!.status).toBe('failed');
  });

  test('does not run a finished stage again, and starts one that is not there', async () => {
    expect(await run({}, { resume: 'where-possible' })).toEqual({ steps: 3 });
    const before = readManifest(path('run'))!.finishedAt;
    expect(await run({}, { resume: 'where-possible' })).toEqual({ steps: 3 });
    expect(readManifest(path('run'))!.finishedAt).toBe(before);
  });

  test('refuses a finished run whose data has changed since', async () => {
    writeFileSync(path('a.txt'), 'abc');
    await run({ data: path('a.txt') });
    writeFileSync(path('a.txt'), 'abd');
    // sha256 of "abc" and "abd".
    expect(await problemsOf(() => run({ data: path('a.txt') }, { resume: 'where-possible' }), path())).toEqual([
      'data a.txt: is not what run was made from; expected sha256:ba7816bf8f01…, received sha256:a52d159f262b….',
      'Remove or rename run to make it again, or put the old content back.',
    ]);
  });

  test('marks a run that failed, and lets other errors through as they are', async () => {
    expect(await problemsOf(() => run({ fail: 'user' }), path())).toEqual([
      'rows.jsonl:3: no target; expected text. Add one.',
    ]);
    expect(readManifest(path('run'))!.status).toBe('failed');
    await expect(run({ fail: 'bug', run: { folder: path('other') } })).rejects.toThrow(TypeError);
  });

  test('says that the last checkpoint is intact where the disk is full', async () => {
    await expect(run({ fail: 'disk' })).rejects.toBeInstanceOf(CheckpointError);
    expect(await problemsOf(() => run({ fail: 'disk' }), path())).toEqual([
      'checkpoint/model.safetensors: could not be written. The disk is full.',
      'run.folder run: the checkpoint saved before is intact. Free space, then continue with --resume.',
    ]);
    const failing = {
      ...tiny,
      run: () => Promise.reject(Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' })),
    };
    const other = { run: { folder: path('other') } };
    expect(await problemsOf(() => runStage(failing, configure(other), { quiet: true, lane }), path())).toEqual([
      'other: ENOSPC: no space left.',
      'run.folder other: the checkpoint saved before is intact. Free space, then continue with --resume.',
    ]);
  });

  test('marks an interrupted run and continues it where it stopped', async () => {
    const stopping = {
      ...tiny,
      run: (config: ReturnType<typeof configure>, context: RunContext) =>
        tiny.run(config, { ...context, interrupted: () => true }),
    };
    await expect(runStage(stopping, configure(), { quiet: true, lane })).rejects.toThrow('saved at step 1');
    expect(readManifest(path('run'))!.status).toBe('interrupted');
    expect(await run({}, { resume: true })).toEqual({ steps: 3 });
  });

  test('lets the path of data change on resume but not its content', async () => {
    writeFileSync(path('a.txt'), 'abc');
    const first = run({ data: path('a.txt'), fail: 'user' });
    await expect(first).rejects.toThrow(DataError);
    writeFileSync(path('b.txt'), 'abd');
    expect(await problemsOf(() => run({ data: path('b.txt'), fail: 'user' }, { resume: true }), path())).toEqual([
      'data b.txt: has changed since the run began; expected sha256:ba7816bf8f01…, received sha256:a52d159f262b…. Put the old content back, or start a new run with another run.folder.',
    ]);
  });

  test('makes no folder where the lane cannot be had', async () => {
    const config = configure({ runtime: { backend: 'cpu', device: 'gpu' } });
    await expect(runStage(tiny, config, { quiet: true })).rejects.toThrow(/runtime\.backend cpu, runtime\.device gpu/);
    expect(existsSync(path('run'))).toBe(false);
  });

  test('says so where a run goes on with another lane', async () => {
    const lines: string[] = [];
    const progress = { ...openProgress({ quiet: true }), say: (line: string) => lines.push(line) };
    await expect(run({ fail: 'user' })).rejects.toThrow();
    await expect(run({ fail: 'user' }, { resume: true, lane: { ...lane, name: 'wasm' }, progress })).rejects.toThrow();
    expect(lines[0]).toBe(
      'instruct: began on lane cpu and goes on with wasm; the numbers will differ in their last digits.',
    );
  });
});

describe('watchInterrupts', () => {
  test('is asked by the first signal and ends the program at the second', async () => {
    const said: string[] = [];
    let killed = 0;
    const watch = watchInterrupts(
      (line) => said.push(line),
      () => killed++,
    );
    expect(watch.interrupted()).toBe(false);
    process.kill(process.pid, 'SIGINT');
    while (!watch.interrupted()) await breathe();
    expect(said).toEqual([
      'stopping after this step; a stage with checkpoints saves one first. Press Ctrl-C again to stop at once.',
    ]);
    process.kill(process.pid, 'SIGINT');
    while (killed === 0) await breathe();
    watch.stop();
    expect(killed).toBe(1);
  });

  test('an interrupt knows its step', () => {
    expect(new Interrupted(12)).toMatchObject({ step: 12, message: 'saved at step 12', name: 'Interrupted' });
    expect(new Interrupted(0).message).toBe('stopped; this stage saves nothing before its end');
  });
});
