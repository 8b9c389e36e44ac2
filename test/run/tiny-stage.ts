/** A real but trivial stage, run by program.test.ts as a command: counts steps and keeps the count in a file. */

import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { DataError } from '../../src/errors.ts';
import { atomicWrite } from '../../src/files/atomic-write.ts';
import { openMetrics } from '../../src/run/metrics.ts';
import { program } from '../../src/run/program.ts';
import { filePath, Run, Runtime } from '../../src/run/sections.ts';
import type { RunContext, Stage, Summary } from '../../src/run/stage.ts';
import { breathe, Interrupted } from '../../src/terminal/interrupts.ts';

export const TinyConfig = z.strictObject({
  run: Run,
  runtime: Runtime.prefault({ backend: 'cpu' }),
  steps: z.int().positive().default(3).describe('Steps to count.'),
  pauseMs: z.number().nonnegative().default(0).describe('Pause after each step.'),
  prepareMs: z.number().nonnegative().default(0).describe('Pause before the first step.'),
  fail: z.enum(['no', 'user', 'bug', 'disk']).default('no').describe('How to fail at the last step.'),
  data: filePath('A file to read.').optional(),
});
type TinyConfig = z.infer<typeof TinyConfig>;

export const metrics = { 'count/steps': 'Steps counted so far.' };

async function run(config: TinyConfig, context: RunContext): Promise<Summary> {
  const { folder, progress } = context;
  if (config.data !== undefined) await folder.recordInput('data', config.data);
  const state = folder.file('step.txt');
  let step = folder.resumed && existsSync(state) ? Number(readFileSync(state, 'utf8')) : 0;
  const log = openMetrics(folder.file('metrics.arrow'), metrics, folder.resumed ? { resumeFromStep: step } : {});
  if (config.prepareMs > 0) progress.say('preparing');
  await sleep(config.prepareMs);
  progress.say('counting');
  const phase = progress.phase('count', config.steps, { start: step });
  while (step < config.steps) {
    step++;
    await log.add({ step, 'count/steps': step });
    phase.update(step, { loss: (1 / step).toFixed(2) });
    await sleep(config.pauseMs);
    await breathe();
    if (context.interrupted()) {
      await atomicWrite(state, String(step));
      await log.flush();
      throw new Interrupted(step);
    }
  }
  failAsAsked(config.fail);
  await log.flush();
  phase.finish();
  return { steps: step };
}

function failAsAsked(fail: TinyConfig['fail']): void {
  if (fail === 'user') throw new DataError('rows.jsonl:3: no target; expected text. Add one.');
  if (fail === 'bug') throw new TypeError('undefined is not a function');
  if (fail === 'disk') {
    throw new DataError('checkpoint/model.safetensors: could not be written. The disk is full.', {
      cause: Object.assign(new Error('no space left on device, write'), { code: 'ENOSPC' }),
    });
  }
}

export const tiny: Stage<TinyConfig> = {
  name: 'instruct',
  purpose: 'Counts steps.',
  schema: TinyConfig,
  parents: {},
  outputs: {},
  metrics,
  check: async (config) => [`${config.steps} steps`],
  run,
};

await program(import.meta.url, tiny);
