/** The bench's cases on a device, each side in a process of its own and a file of its own. */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorMessage } from '../../src/errors.ts';
import type { Float32 } from '../bench/compare.ts';
import { runScript } from './machine.ts';
import { precisions } from './numbers.ts';
import type { Plan, Side } from './plan.ts';
import { fileOf, peakFile, sidesOf } from './plan.ts';

const isBfloat16 = (variant: string): boolean => variant.includes('bf16');

/** Edge of the matrices of the peak: large enough to fill a GPU. */
const EDGES = { gpu: 8192, cpu: 512 } as const;

/**
 * Measures what has no file yet: the peak of each precision, then each case on our side and on PyTorch's, in processes of
 * their own, since TensorFlow gives no memory of a GPU back. What fails (memory, say) is named, and the others go on.
 */
export function measure(plan: Plan, say: (line: string) => void): void {
  const { device, repetitions, python, to } = plan;
  const parts: { file: string; run: (file: string) => void }[] = precisions.map((precision) => ({
    file: peakFile(plan, precision),
    run: (file) => {
      const argv = ['--device', device, '--precision', precision, '--edge', String(EDGES[device])];
      writeFileSync(file, runScript('peak.ts', argv, { isRead: true }));
    },
  }));
  for (const given of plan.cases) {
    for (const float32 of plan.float32) {
      for (const side of sidesOf(plan)) {
        const against =
          side === 'torch' ? ['--against', 'torch', '--python', python as string] : ['--against', 'nothing'];
        const variants = ['--ours', oursIn(given, float32, side), '--torch', torchIn(plan.torch, float32)];
        const how = ['--device', device, '--float32', float32, '--repetitions', String(repetitions), '--patience', '1'];
        const argv = [...against, ...variants, ...how, ...(side === 'xla' ? ['--xla'] : []), '--cases', given, '--to'];
        const run = (file: string): void => void runScript('../bench/bench.ts', [...argv, file], { isRead: false });
        parts.push({ file: fileOf(plan, given, float32, side), run });
      }
    }
  }
  mkdirSync(to, { recursive: true });
  for (const { file, run } of parts) {
    if (existsSync(file)) {
      say(`${file} is there already`);
      continue;
    }
    const memory = memoryWatch(device, join(to, 'memory.log'));
    try {
      run(file);
      memory.end(file);
    } catch (error) {
      memory.end(null);
      say(`${file} is left out: ${errorMessage(error)}`);
    }
  }
}

/** Eager steps only where they are small: they are there to be compared with, and slow. */
function oursIn(given: string, float32: Float32, side: Side): string {
  if (side === 'torch') return '';
  const all = ['compiled', 'compiled bf16', 'eager'];
  const fits = (variant: string): boolean =>
    (float32 === 'f32' || !isBfloat16(variant)) &&
    (variant !== 'eager' || (side === 'ours' && !given.endsWith('-long')));
  return all.filter(fits).join(',');
}

function torchIn(variants: readonly string[], float32: Float32): string {
  return variants.filter((variant) => float32 === 'f32' || !isBfloat16(variant)).join(',');
}

/** Watches how much memory of the GPU is held, from another process: this one waits for its programs. */
function memoryWatch(device: 'gpu' | 'cpu', log: string) {
  const query = ['--query-gpu=memory.used', '--format=csv,noheader,nounits', '-lms', '200'];
  const descriptor = openSync(log, 'w');
  const watch = device === 'gpu' ? spawn('nvidia-smi', query, { stdio: ['ignore', descriptor, 'ignore'] }) : null;
  watch?.on('error', () => undefined);
  return {
    /** Ends it, and writes the most that was seen into a file of results, where there is one. */
    end(file: string | null): void {
      watch?.kill();
      closeSync(descriptor);
      const seen = readFileSync(log, 'utf8').split('\n').map(Number).filter(Number.isFinite);
      rmSync(log);
      if (file === null) return;
      const results = JSON.parse(readFileSync(file, 'utf8')) as object;
      const gpuMemoryMiB = watch === null || seen.length === 0 ? null : Math.max(...seen);
      writeFileSync(file, `${JSON.stringify({ ...results, gpuMemoryMiB }, null, 2)}\n`);
    },
  };
}
