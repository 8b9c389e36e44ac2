/** A run that was stopped and resumed ends with the bytes of one that never stopped, in every stage that trains. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { killAndResume, uninterrupted } from '../../scripts/proof/kill-resume.ts';
import { ppoMetrics } from '../../src/alignment/ppo-metrics.ts';
import { seededRandom } from '../../src/random.ts';
import { readManifest, writeManifest } from '../../src/run/manifest.ts';
import type { MetricDescriptions } from '../../src/run/metrics.ts';
import { isHousekeeping } from '../../src/run/run-lock.ts';
import type { RunOptions, Stage, StageConfig, Summary } from '../../src/run/stage.ts';
import { runStage } from '../../src/run/stage.ts';
import type { Lane } from '../../src/tensor/lane.ts';
import { Interrupted } from '../../src/terminal/interrupts.ts';
import { pretrain, pretrainMetrics } from '../../stages/0-pretrain.ts';
import { instruct, instructMetrics } from '../../stages/1-instruct.ts';
import { ppo } from '../../stages/3-ppo.ts';
import { pairStages } from '../helpers/pair-stages.ts';
import type { Changes, TinyRuns } from '../helpers/tiny-configs.ts';
import { instructConfig, pairConfig, ppoConfig, pretrainConfig, pretrainSettings } from '../helpers/tiny-configs.ts';
import { makeParents } from '../helpers/tiny-parents.ts';
import {
  arrowRows,
  filesBelow,
  interruptedAt,
  namesIn,
  readMetrics,
  timeless,
  useSharedFolder,
  watchProgress,
} from '../helpers/tiny-runs.ts';
import type { TinyWorld } from '../helpers/tiny-world.ts';
import { makeTinyWorld } from '../helpers/tiny-world.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';

const path = useSharedFolder();
let world: TinyWorld;
beforeAll(async () => {
  world = await makeTinyWorld(path('world'));
  // About ten rows, four an update: a pass ends within the third update.
  const documents = readFileSync(world.corpus, 'utf8').split('\n').slice(0, 3);
  writeFileSync(world.corpus, documents.join('\n'));
});

/** A checkpoint every second step, all of them kept, so that every one can be compared. */
const checkpoints = { everySteps: 2, keepLast: 10 };

/** Everything a run left behind that must not depend on where it stopped. */
function resultOf(folder: string, metrics: MetricDescriptions, summary: Summary) {
  const last = namesIn(join(folder, 'checkpoints')).at(-1) ?? '';
  const model = ['model', 'best'].find((name) => existsSync(join(folder, name))) ?? '';
  const tables = ['samples.arrow', 'rollouts.arrow'].filter((name) => existsSync(join(folder, name)));
  return {
    last,
    checkpoint: filesBelow(join(folder, 'checkpoints', last)),
    model: filesBelow(join(folder, model)),
    metrics: timeless(readMetrics(folder, metrics)),
    tables: tables.map((name) => arrowRows(join(folder, name))),
    outputs: readManifest(folder)?.outputs.filter(({ role }) => role === 'model'),
    summary,
  };
}

/** Compares without printing megabytes where files differ. */
function expectSame(found: ReturnType<typeof resultOf>, expected: ReturnType<typeof resultOf>): void {
  for (const part of ['checkpoint', 'model'] as const) {
    const names = Object.keys(expected[part]);
    expect(Object.keys(found[part])).toEqual(names);
    expect(names.filter((name) => found[part][name] !== expected[part][name])).toEqual([]);
  }
  expect({ ...found, checkpoint: {}, model: {} }).toEqual({ ...expected, checkpoint: {}, model: {} });
}

interface Case<Config extends StageConfig> {
  readonly stage: Stage<Config>;
  readonly metrics: MetricDescriptions;
  config(folder: string): Config;
}

/** Runs a stage whole, interrupted, and killed after its last checkpoint, and compares. */
async function compareResumed<Config extends StageConfig>(
  { stage, metrics, config }: Case<Config>,
  at: (name: string) => string,
  options: RunOptions,
): Promise<void> {
  const run = (name: string, extra: RunOptions = {}, what = stage): Promise<Summary> =>
    runStage(what, config(at(name)), { ...options, ...extra });
  const whole = resultOf(at('whole'), metrics, await run('whole'));
  // The run begins a new pass over its data after the checkpoint that the others go on from.
  const passes = ['step-000002', whole.last].map((name) => {
    const state = readFileSync(join(at('whole'), 'checkpoints', name, 'state.json'), 'utf8');
    return (JSON.parse(state) as { cursor: { epoch: number } }).cursor.epoch;
  });
  expect(passes[1]).toBeGreaterThan(passes[0] ?? 0);

  await expect(run('stopped', {}, interruptedAt(stage, 3))).rejects.toThrow(new Interrupted(3));
  expect(readManifest(at('stopped'))?.status).toBe('interrupted');
  expect(namesIn(join(at('stopped'), 'checkpoints'))).toEqual(['step-000002', 'step-000003']);
  expectSame(resultOf(at('stopped'), metrics, await run('stopped', { resume: true })), whole);

  // As a power cut leaves it: the third step was made and logged, but its checkpoint never came to be.
  await expect(run('killed', {}, interruptedAt(stage, 3))).rejects.toThrow(Interrupted);
  rmSync(join(at('killed'), 'checkpoints', 'step-000003'), { recursive: true });
  const manifest = readManifest(at('killed'));
  await writeManifest(at('killed'), { ...manifest!, status: 'running' });
  expect(readMetrics(at('killed'), metrics).at(-1)?.step).toBe(3);
  expectSame(resultOf(at('killed'), metrics, await run('killed', { resume: true })), whole);
}

describe.each(lanesToTest())('resuming on the %s lane', (name) => {
  let lane: Lane;
  let runs: TinyRuns;
  beforeAll(async () => {
    lane = await useLane(name);
    runs = await makeParents(world, path(name), lane);
  });
  const at =
    (stage: string) =>
    (run: string): string =>
      path(name, stage, run);
  const options = (): RunOptions => ({ lane, quiet: true });

  it('pretrain', async () => {
    const changes = { checkpoints, training: { steps: 5 }, optimizer: { warmupSteps: 2 } };
    const config = (folder: string) => pretrainConfig(world, folder, changes);
    await compareResumed({ stage: pretrain, metrics: pretrainMetrics, config }, at('pretrain'), options());
  });

  it('instruct', async () => {
    // About twelve rows, four an update.
    const changes = { checkpoints, training: { epochs: 5 / 3 }, evaluation: { everySteps: 2 } };
    const config = (folder: string) => instructConfig(world, folder, changes);
    await compareResumed({ stage: instruct, metrics: instructMetrics, config }, at('instruct'), options());
  });

  it.each(pairStages)('$name', async (stage) => {
    // Six pairs, four an update.
    const changes = { checkpoints, training: { pairs: 4, epochs: 10 / 3 } };
    const config = (folder: string) => pairConfig(stage, world, world.base, folder, changes);
    await compareResumed({ stage, metrics: stage.metrics ?? {}, config }, at(stage.name), options());
  });

  it('ppo', async () => {
    // Eight prompts, six a rollout; the controller, the sampler and the shuffles have states of their own.
    const kl = { control: 'adaptive', target: 0.5, horizon: 60 };
    const changes = { checkpoints, kl, rollout: { iterations: 4 } };
    const config = (folder: string) => ppoConfig(world, runs, folder, changes);
    await compareResumed({ stage: ppo, metrics: ppoMetrics, config }, at('ppo'), options());
  });

  it('ppo with a pre-training mix', async () => {
    // Four updates a rollout; the rows that are mixed in have an order of their own.
    const pretrainingMix = { rows: 2, length: 144 };
    const config = (folder: string) =>
      ppoConfig(world, runs, folder, { checkpoints, pretrainingMix, rollout: { iterations: 4 } });
    await compareResumed({ stage: ppo, metrics: ppoMetrics, config }, at('ppo mix'), options());
    const mixOf = (step: string): unknown =>
      JSON.parse(readFileSync(join(at('ppo mix')('whole'), 'checkpoints', step, 'state.json'), 'utf8')).mix;
    expect(mixOf('step-000004')).not.toEqual(mixOf('step-000002'));
  });
});

describe('stopping', () => {
  const settings = (folder: string, changes: Changes = {}): Changes =>
    pretrainSettings(world, folder, { checkpoints, training: { steps: 20, microBatch: 1 }, ...changes });

  it('a real SIGINT is obeyed after the step it came in, and the run goes on from there', async () => {
    const lane = await useLane();
    const config = pretrainConfig(world, path('signal'), { checkpoints, training: { steps: 4 } });
    const said: string[] = [];
    const progress = watchProgress({
      say: (line) => said.push(line),
      step: (_, done) => {
        if (done === 1) process.kill(process.pid, 'SIGINT');
      },
    });
    await expect(runStage(pretrain, config, { lane, progress })).rejects.toThrow(Interrupted);
    expect(said.at(-1)).toBe(
      'stopping after this step; a stage with checkpoints saves one first. Press Ctrl-C again to stop at once.',
    );
    const [first] = namesIn(path('signal/checkpoints'));
    expect(['step-000001', 'step-000002']).toContain(first);
    expect(await runStage(pretrain, config, { lane, quiet: true, resume: true })).toMatchObject({ steps: 4 });
  });

  it('a killed process is resumed from its last checkpoint and ends with the same bytes', async () => {
    const config = path('killed.yaml');
    // JSON is YAML.
    writeFileSync(config, JSON.stringify({ ...settings(path('killed')), runtime: { backend: 'wasm' } }));
    const stage = fileURLToPath(new URL('../../stages/0-pretrain.ts', import.meta.url));
    const child = spawn(process.execPath, ['--import', 'tsx', stage, config], { stdio: 'ignore' });
    const ended = new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal)));
    while (!existsSync(path('killed/checkpoints/step-000002')) && child.exitCode === null) await sleep(2);
    child.kill('SIGKILL');
    expect(await ended).toBe('SIGKILL');
    expect(readManifest(path('killed'))?.status).toBe('running');
    // As a kill in the middle of a save leaves it.
    mkdirSync(path('killed/checkpoints/.step-000099.1-0123abcd.tmp'));
    writeFileSync(path('killed/checkpoints/.step-000099.1-0123abcd.tmp/model.safetensors'), 'part');
    const lane = await useLane('wasm');
    const configure = (folder: string) =>
      pretrainConfig(world, folder, {
        checkpoints,
        training: { steps: 20, microBatch: 1 },
        runtime: { backend: 'wasm' },
      });
    const said: string[] = [];
    const progress = watchProgress({ say: (line) => said.push(line) });
    const resumed = await runStage(pretrain, configure(path('killed')), { lane, progress, resume: true });
    expect(said[0]).toMatch(/killed: removed \d leftovers? of killed saves \(\d+\.\d [kM]B\)$/);
    expect(
      namesIn(path('killed'))
        .concat(namesIn(path('killed/checkpoints')))
        .filter(isHousekeeping),
    ).toEqual([]);
    const whole = await runStage(pretrain, configure(path('not killed')), { lane, quiet: true });
    expectSame(
      resultOf(path('killed'), pretrainMetrics, resumed),
      resultOf(path('not killed'), pretrainMetrics, whole),
    );
  });

  it('a run that is killed at random moments ends with the bytes of one that was not, and leaves nothing', async () => {
    const config = path('random.yaml');
    writeFileSync(config, JSON.stringify(settings('set below', { runtime: { backend: 'wasm' } })));
    const subject = await uninterrupted({ folder: path('random'), given: { pretrain: [config] } }, 'pretrain');
    const random = seededRandom(1, 'kills');
    const said: string[] = [];
    const share = (): number => 0.3 + 0.6 * random.uniform();
    const result = await killAndResume(subject, 0, share, (line) => said.push(line), 2);
    expect({ ...result, said }).toEqual({ kills: 2, bad: 0, left: 0, said: [] });
  });

  it('a finished run is not run again, and its files are left as they are', async () => {
    const lane = await useLane();
    const config = pretrainConfig(world, path('finished'), { training: { steps: 2 } });
    const summary = await runStage(pretrain, config, { lane, quiet: true });
    const before = filesBelow(path('finished'));
    expect(Object.keys(before)).toContain('manifest.json');
    expect(await runStage(pretrain, config, { lane, quiet: true, resume: true })).toEqual(summary);
    expect(filesBelow(path('finished'))).toEqual(before);
  });
});
