/** The training loop: what it tells of a measurement, and that a kept step and its checkpoint never part. */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { runStage } from '../../src/run/stage.ts';
import { describeMeasured } from '../../src/run/training-loop.ts';
import type { Lane } from '../../src/tensor/lane.ts';
import { pretrain } from '../../stages/0-pretrain.ts';
import { problemsOf } from '../helpers/temporary-folder.ts';
import { pretrainConfig } from '../helpers/tiny-configs.ts';
import { filesBelow, namesIn, useSharedFolder, watchProgress } from '../helpers/tiny-runs.ts';
import type { TinyWorld } from '../helpers/tiny-world.ts';
import { makeTinyWorld } from '../helpers/tiny-world.ts';
import { useLane } from '../helpers/use-lane.ts';

const path = useSharedFolder();
let world: TinyWorld;
let lane: Lane;
beforeAll(async () => {
  lane = await useLane('wasm');
  world = await makeTinyWorld(path('world'));
});

it('tells what was measured, and what was not', () => {
  const measures = {
    loss: { name: 'validation loss', better: 'lower', metric: 'loss/validation' },
    accuracy: { name: 'validation accuracy', better: 'higher', metric: 'accuracy/validation' },
  } as const;
  expect(describeMeasured(measures, { loss: 0.41234, accuracy: 0.75 })).toBe(
    'validation loss 0.412, validation accuracy 0.750',
  );
  expect(describeMeasured(measures, { loss: null, accuracy: 1 })).toBe('validation accuracy 1.000');
  expect(describeMeasured(measures, { loss: null, accuracy: null })).toBe('nothing was measured');
});

it('keeps what the checkpoint says where a run ends between a measurement and its checkpoint', async () => {
  // Loss falls at every step, so each measurement is the best so far; step 3 has no checkpoint.
  const changes = { checkpoints: { everySteps: 2, keepLast: 10 }, evaluation: { everySteps: 1 } };
  const config = (folder: string) => pretrainConfig(world, path(folder), changes);
  const whole = await runStage(pretrain, config('whole'), { lane, quiet: true });
  const progress = watchProgress({
    step: (_, done) => {
      if (done === 3) throw new Error('killed');
    },
  });
  await expect(runStage(pretrain, config('killed'), { lane, progress })).rejects.toThrow('killed');
  expect(namesIn(path('killed', 'checkpoints'))).toEqual(['step-000002']);
  expect(existsSync(path('killed', 'model'))).toBe(false);
  expect(await runStage(pretrain, config('killed'), { lane, quiet: true, resume: true })).toEqual(whole);
  expect(filesBelow(path('killed', 'model'))).toEqual(filesBelow(path('whole', 'model')));
  for (const folder of ['whole', 'killed']) expect(namesIn(path(folder))).not.toContain('kept.safetensors');
});

/** So high a rate that an early step stays the best. */
const rising = {
  checkpoints: { everySteps: 1, keepLast: 10 },
  evaluation: { everySteps: 1 },
  optimizer: { learningRate: 1, schedule: 'constant', warmupSteps: 1 },
};

it('puts the kept weights into every checkpoint of a later step, and gives them back', async () => {
  const summary = await runStage(pretrain, pretrainConfig(world, path('rising'), rising), { lane, quiet: true });
  const best = Number(summary.bestStep);
  const steps = namesIn(path('rising', 'checkpoints'));
  expect(best).toBeLessThan(steps.length);
  const kept = steps.filter((_, i) => i + 1 > best);
  expect(steps.filter((name) => existsSync(join(path('rising', 'checkpoints'), name, 'kept.safetensors')))).toEqual(
    expect.arrayContaining(kept),
  );
  // A run of one step has no room for a warm-up of one: it begins at the rate that the longer run's first step has.
  const oneStep = { learningRate: 0.5, schedule: 'constant', warmupSteps: 0 };
  const changes = { training: { steps: best }, evaluation: { best: 'last' } };
  const optimizer = best === 1 ? oneStep : rising.optimizer;
  const last = await runStage(pretrain, pretrainConfig(world, path('short'), { ...rising, ...changes, optimizer }), {
    lane,
    quiet: true,
  });
  expect(last.bestStep).toBe(best);
  const weights = (folder: string) => filesBelow(path(folder, 'model'))['model.safetensors'];
  expect(weights('rising') === weights('short')).toBe(true);
});

it('does not go on from a checkpoint without the weights it keeps, and does not ask to remove it', async () => {
  const config = pretrainConfig(world, path('before'), rising);
  const progress = watchProgress({
    step: (_, done) => {
      if (done === 4) throw new Error('killed');
    },
  });
  await expect(runStage(pretrain, config, { lane, progress })).rejects.toThrow('killed');
  const [last] = namesIn(path('before', 'checkpoints')).slice(-1) as [string];
  const copy = path('before', 'checkpoints', last, 'kept.safetensors');
  rmSync(copy);
  const [problem, ...others] = await problemsOf(
    () => runStage(pretrain, config, { lane, quiet: true, resume: true }),
    path(),
  );
  expect(others).toEqual([]);
  expect(problem).toMatch(/kept\.safetensors is missing; expected the weights of step \d, the one to keep so far\./);
  expect(problem).toMatch(/Remove nothing: finish the run with the commit that manifest\.json names/);
});
