/**
 * What the memory estimate says beside what training steps take: every case in a process of its own.
 *
 *   Run      npx tsx scripts/bench/memory.ts data/models/gpt2
 *   Prints   a table: estimate, measured peak, their ratio, seconds of the last step
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readModelConfig } from '../../src/checkpoint/model-config.ts';
import { loadModelFolder } from '../../src/checkpoint/model-folder.ts';
import { trainingPlan } from '../../src/checkpoint/training-plan.ts';
import { ConfigError } from '../../src/errors.ts';
import { createAdamW } from '../../src/execution/adamw.ts';
import { learn } from '../../src/execution/learn.ts';
import { estimateMemory } from '../../src/execution/memory-estimate.ts';
import { nextToken } from '../../src/objectives/next-token.ts';
import { seededRandom } from '../../src/random.ts';
import { formatTable } from '../../src/report/table.ts';
import { peakRssMb } from '../../src/run/manifest.ts';
import { runMain } from '../../src/run/program.ts';
import { Memory, Tuning } from '../../src/run/sections.ts';
import { openLane } from '../../src/tensor/lane.ts';

/** Settings of one case. */
interface Case {
  readonly method: 'full' | 'lora';
  readonly frozen: 'float32' | 'bfloat16';
  readonly recompute: boolean;
  readonly rows: number;
  readonly length: number;
  /** Share of the positions that are learned. */
  readonly share: number;
}

const CASES: readonly Case[] = [
  { method: 'lora', frozen: 'bfloat16', recompute: true, rows: 4, length: 256, share: 0.2 },
  { method: 'lora', frozen: 'bfloat16', recompute: true, rows: 4, length: 512, share: 1 },
  { method: 'lora', frozen: 'float32', recompute: true, rows: 8, length: 256, share: 0.2 },
  { method: 'lora', frozen: 'bfloat16', recompute: false, rows: 2, length: 256, share: 0.2 },
  { method: 'lora', frozen: 'float32', recompute: false, rows: 4, length: 512, share: 0.2 },
  { method: 'full', frozen: 'float32', recompute: false, rows: 2, length: 256, share: 1 },
  { method: 'full', frozen: 'float32', recompute: true, rows: 4, length: 256, share: 0.2 },
];

interface Measured {
  readonly estimateMb: number;
  readonly peakMb: number;
  readonly seconds: number;
}

/** One case, in this process: the estimate, then three steps. */
async function measure(folder: string, given: Case): Promise<Measured> {
  await openLane({ backend: 'auto', device: 'auto' });
  const { method, frozen, recompute, rows, length, share } = given;
  const { dimensions } = readModelConfig(join(folder, 'config.json'));
  const plan = trainingPlan(dimensions, 'tokens', Tuning.parse({ method }), Memory.parse({ frozen, recompute }));
  const learned = Math.round(length * share);
  const shapes = { train: { rows, seq: length, logits: rows * learned } };
  const { total } = await estimateMemory([{ dimensions, head: 'tokens', plan }], [], shapes);
  const { model } = loadModelFolder(folder, { plan, random: seededRandom(1), tokenizer: null });
  const options = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, epsilonStyle: 'pytorch', weightDecay: 0 } as const;
  const adam = createAdamW(model.parameters.layout, options);
  const fill = (value: (i: number) => number): Int32Array =>
    Int32Array.from({ length: rows * length }, (_, i) => value(i));
  const batch = {
    batch: rows,
    seq: length,
    ids: fill((i) => (7 * i) % dimensions.vocab),
    segments: fill(() => 1),
    positions: fill((i) => i % length),
    learned: fill((i) => (i % length < learned ? 1 : 0)),
  };
  let seconds = 0;
  for (let step = 0; step < 3; step++) {
    const began = performance.now();
    await learn(model, adam, nextToken, [nextToken.layOut(model, batch)], {
      learningRate: 1e-4,
      clipNorm: 1,
      where: `step ${step}`,
    });
    seconds = (performance.now() - began) / 1000;
  }
  return { estimateMb: total / 2 ** 20, peakMb: peakRssMb(), seconds };
}

await runMain(import.meta.url, async ([folder, only]) => {
  if (folder === undefined)
    throw new ConfigError('memory: expected a model folder. Usage: npx tsx scripts/bench/memory.ts <folder>');
  if (only !== undefined) {
    console.log(JSON.stringify(await measure(folder, CASES[Number(only)] as Case)));
    return;
  }
  const rows = CASES.map((one, i) => {
    const again = ['--import', 'tsx', fileURLToPath(import.meta.url), folder, String(i)];
    const text = execFileSync(process.execPath, again, { encoding: 'utf8' });
    const { estimateMb, peakMb, seconds } = JSON.parse(text.trim().split('\n').at(-1) ?? '{}') as Measured;
    const { method, frozen, recompute, rows: count, length, share } = one;
    const what = `${method}, ${frozen}${recompute ? ', recompute' : ''}, ${count} × ${length}, ${100 * share} % learned`;
    return [what, estimateMb.toFixed(0), peakMb, (estimateMb / peakMb).toFixed(2), seconds.toFixed(1)];
  });
  console.log(formatTable(['case', 'estimate, MB', 'peak, MB', 'ratio', 's a step'], rows).join('\n'));
});
