import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { CheckpointError } from '../../src/errors.ts';
import { readManifest } from '../../src/run/manifest.ts';
import { checkRunFolder, openRunFolder, type RunRequest, shortHash } from '../../src/run/run-folder.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';

const path = useTemporaryFolder();
const lane = { name: 'cpu', device: 'cpu', versions: { node: 'v20' } };

const rules = {
  paths: ['run.folder', 'data'],
  free: ['runtime.backend'],
  splits: ['rows'],
  variants: [],
  lengths: ['epochs'],
};

function request(changes: Partial<RunRequest> = {}): RunRequest {
  const config = { run: { folder: path('run'), seed: 3 }, optimizer: { learningRate: 0.001 }, data: 'a.arrow' };
  return { stage: 'instruct', config, seed: 3, resume: false, rules, ...changes };
}
const open = (changes: Partial<RunRequest> = {}) => openRunFolder(path('run'), request(changes), lane);
const problems = (changes: Partial<RunRequest> = {}) => problemsOf(() => open(changes), path());

describe('openRunFolder', () => {
  test('writes the configuration and a manifest that says running', async () => {
    const folder = await open();
    expect(folder.resumed).toBe(false);
    expect(folder.file('metrics.arrow')).toBe(path('run', 'metrics.arrow'));
    expect(readdirSync(path('run')).sort()).toEqual(['config.yaml', 'manifest.json']);
    expect(readFileSync(path('run', 'config.yaml'), 'utf8')).toContain('learningRate: 0.001');
    expect(readManifest(path('run'))).toMatchObject({
      formatVersion: 1,
      stage: 'instruct',
      status: 'running',
      codeVersion: '0.1.0',
      lane: 'cpu',
      device: 'cpu',
      versions: { node: 'v20' },
      seed: 3,
      finishedAt: null,
    });
  });

  test('records hashes of what the run reads and makes, and its summary', async () => {
    const folder = await open();
    writeFileSync(path('data.arrow'), 'abc');
    mkdirSync(path('run', 'checkpoint', 'best'), { recursive: true });
    writeFileSync(path('run', 'checkpoint', 'best', 'model.safetensors'), 'weights');
    // sha256("abc"), FIPS 180-4 example.
    const abc = 'sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
    expect(await folder.recordInput('data', path('data.arrow'))).toBe(abc);
    await folder.recordParent('policy', { path: 'data/base', hash: 'sha256:1' });
    await folder.recordOutput('model', 'checkpoint/best');
    await folder.finish('finished', { accuracy: 0.5 });
    const manifest = readManifest(path('run'));
    expect(manifest).toMatchObject({
      status: 'finished',
      inputs: [{ role: 'data', path: path('data.arrow'), hash: abc }],
      parents: [{ role: 'policy', path: 'data/base', hash: 'sha256:1' }],
      outputs: [{ role: 'model', path: 'checkpoint/best' }],
      summary: { accuracy: 0.5 },
    });
    expect(manifest!.peakRssMb).toBeGreaterThan(10);
    expect(Date.parse(manifest!.finishedAt!)).toBeGreaterThanOrEqual(Date.parse(manifest!.startedAt));
  });

  test('starts again in a folder where nothing but the configuration was written', async () => {
    await (await open()).finish('failed');
    expect((await open()).resumed).toBe(false);
    mkdirSync(path('empty'));
    expect(checkRunFolder(path('empty'), request())).toBe('new');
  });

  test('refuses a folder that holds work, and leaves it as it was', async () => {
    const folder = await open();
    writeFileSync(folder.file('metrics.arrow'), 'mine');
    await folder.finish('interrupted');
    expect(await problems()).toEqual([
      'run.folder run: already holds a run of instruct (interrupted), and nothing is overwritten. Continue it with --resume, or choose another run.folder.',
    ]);
    expect(await problems({ stage: 'ppo' })).toEqual([
      'run.folder run: already holds a run of instruct (interrupted), and nothing is overwritten. Choose another run.folder.',
    ]);
    expect(readFileSync(folder.file('metrics.arrow'), 'utf8')).toBe('mine');
  });

  test('refuses a finished run, a folder with other files, and a file', async () => {
    await (await open()).finish('finished');
    expect(await problems()).toEqual([
      'run.folder run: already holds a run of instruct (finished), and nothing is overwritten. Choose another run.folder.',
    ]);
    mkdirSync(path('home'));
    writeFileSync(path('home', 'thesis.txt'), 'x');
    expect(await problemsOf(() => checkRunFolder(path('home'), request()), path())).toEqual([
      'run.folder home: already holds files of another kind, and nothing is overwritten. Choose another run.folder.',
    ]);
    expect(await problemsOf(() => checkRunFolder(path('home', 'thesis.txt'), request()), path())).toEqual([
      'run.folder home/thesis.txt: is a file; expected a folder or nothing. Choose another run.folder.',
    ]);
  });
});

describe('resuming', () => {
  test('continues a run with the same settings, and lets paths and the lane differ', async () => {
    writeFileSync(path('a.arrow'), 'abc');
    const first = await open();
    await first.recordInput('data', path('a.arrow'));
    await first.finish('interrupted');
    const config = {
      run: { folder: 'moved', seed: 3 },
      optimizer: { learningRate: 0.001 },
      data: 'b.arrow',
      runtime: { backend: 'wasm' },
    };
    const second = await open({ resume: true, config });
    expect(second.resumed).toBe(true);
    expect(second.manifest()).toMatchObject({
      status: 'running',
      finishedAt: null,
      startedAt: first.manifest().startedAt,
    });
    writeFileSync(path('b.arrow'), 'abc');
    await second.recordInput('data', path('b.arrow'));
    expect(second.manifest().inputs).toHaveLength(1);
  });

  test('keeps the code version and lane of every session', async () => {
    await (await open()).finish('interrupted');
    const other = { name: 'wasm', device: 'cpu', versions: { node: 'v22' } };
    const second = await openRunFolder(path('run'), request({ resume: true }), other);
    const { sessions, ...manifest } = second.manifest();
    expect(manifest).toMatchObject({ lane: 'wasm', versions: { node: 'v22' } });
    expect(sessions).toMatchObject([
      { lane: 'cpu', codeVersion: '0.1.0', versions: { node: 'v20' } },
      { lane: 'wasm', codeVersion: '0.1.0', versions: { node: 'v22' } },
    ]);
    expect(Date.parse(sessions[1]!.startedAt)).toBeGreaterThanOrEqual(Date.parse(sessions[0]!.startedAt));
  });

  test('refuses data and parents that changed since the run began', async () => {
    writeFileSync(path('a.arrow'), 'abc');
    const first = await open();
    await first.recordInput('data', path('a.arrow'));
    await first.recordParent('policy', { path: 'base', hash: 'sha256:1111' });
    writeFileSync(path('a.arrow'), 'abd');
    const second = await open({ resume: true });
    expect(await problemsOf(() => second.recordInput('data', path('a.arrow')), path())).toEqual([
      'data a.arrow: has changed since the run began; expected sha256:ba7816bf8f01…, received sha256:a52d159f262b…. Put the old content back, or start a new run with another run.folder.',
    ]);
    expect(
      await problemsOf(() => second.recordParent('policy', { path: 'base', hash: 'sha256:2222' }), path()),
    ).toEqual([
      'policy base: has changed since the run began; expected sha256:1111, received sha256:2222. Put the old content back, or start a new run with another run.folder.',
    ]);
  });

  test('lists every setting that differs', async () => {
    await open();
    const config = { run: { folder: 'x', seed: 4 }, optimizer: { learningRate: 0.01, beta1: 0.9 }, data: 'a.arrow' };
    expect(await problems({ resume: true, config })).toEqual([
      'run/config.yaml:3:9 run.seed: the run to resume has 3, received 4.',
      'run/config.yaml:5:17 optimizer.learningRate: the run to resume has 0.001, received 0.01.',
      'run/config.yaml:4:1 optimizer.beta1: the run to resume has no such key, received 0.9.',
      'Resume with the settings of the run, or start a new one with another run.folder.',
    ]);
  });

  test('refuses where there is no run, one of another stage, or one that is finished', async () => {
    expect(await problems({ resume: true })).toEqual([
      'run.folder run: there is no run to resume. Leave out --resume to start one.',
    ]);
    const folder = await open();
    expect(await problems({ resume: true, stage: 'ppo' })).toEqual([
      'run.folder run: expected a run of ppo, found one of instruct. Choose another run.folder.',
    ]);
    await folder.finish('finished');
    expect(checkRunFolder(path('run'), request({ resume: true }))).toBe('finished');
    expect(await problems({ resume: true })).toEqual([
      'run.folder run: this run is finished; there is nothing to resume. Choose another run.folder.',
    ]);
  });

  test('adds up the working time of its sessions', async () => {
    await open();
    const file = path('run', 'manifest.json');
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), seconds: 100 }));
    await (await open({ resume: true })).finish('interrupted');
    // A session that forgot the one before would have counted from 0.
    expect(readManifest(path('run'))!.seconds).toBeGreaterThanOrEqual(100);
  });
});

describe('readManifest', () => {
  test('gives undefined where there is no run', () => {
    expect(readManifest(path('none'))).toBeUndefined();
  });

  test('refuses a damaged manifest, another version, and one with fields missing', async () => {
    await open();
    const file = path('run', 'manifest.json');
    const good = JSON.parse(readFileSync(file, 'utf8'));
    const read = async (text: string) => {
      writeFileSync(file, text);
      return problemsOf(() => readManifest(path('run')), path());
    };
    expect(await read('{"stage": ')).toEqual([
      'run/manifest.json: is damaged; expected JSON. Use another run folder, or make this run again.',
    ]);
    expect(await read(JSON.stringify({ ...good, formatVersion: 9 }))).toEqual([
      'run/manifest.json: expected formatVersion 1, received 9. Make this run again with this version.',
    ]);
    expect(await read('null')).toEqual([
      'run/manifest.json: expected formatVersion 1, received none. Make this run again with this version.',
    ]);
    const { seed: _, ...withoutSeed } = good;
    expect(await read(JSON.stringify({ ...withoutSeed, lane: 3 }))).toEqual([
      'run/manifest.json: is damaged; missing or wrong: lane, seed. Use another run folder, or make this run again.',
    ]);
  });

  test('says why a manifest cannot be read', () => {
    mkdirSync(path('odd', 'manifest.json'), { recursive: true });
    expect(() => readManifest(path('odd'))).toThrow(
      /manifest\.json: cannot be read \(EISDIR.*\)\. Check its permissions\./,
    );
  });
});

test('an input that is missing is named with its role', async () => {
  const folder = await open();
  const work = () => folder.recordInput('templates', path('none'));
  await expect(work()).rejects.toBeInstanceOf(CheckpointError);
  expect(await problemsOf(work, path())).toEqual([
    'templates none: there is no such file or folder. Correct the path.',
  ]);
});

test('a hash is shortened for people', () => {
  expect(shortHash('sha256:0123456789abcdef')).toBe('sha256:0123456789ab…');
  expect(shortHash('sha256:12')).toBe('sha256:12');
});
