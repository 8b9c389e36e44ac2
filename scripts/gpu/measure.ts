/** The bench's cases on a device, each in a process of its own and a file of its own; and the table of all of them. */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorMessage } from '../../src/errors.ts';
import { formatNumber } from '../../src/report/table.ts';
import type { Float32, Timed } from '../bench/compare.ts';
import { spreadOf } from '../bench/compare.ts';
import type { CaseResult } from '../bench/measure-case.ts';
import { runScript } from './machine.ts';
import type { Precision } from './numbers.ts';
import { precisions } from './numbers.ts';

/** What is measured. */
export interface Plan {
  readonly to: string;
  readonly device: 'gpu' | 'cpu';
  readonly cases: readonly string[];
  readonly repetitions: number;
  /** Python with PyTorch; undefined to measure ours alone. */
  readonly python: string | undefined;
  /** A process multiplies float32 in one precision only; bfloat16 is measured beside float32. */
  readonly float32: readonly Float32[];
  /** PyTorch's variants; those that a case does not have are left out. */
  readonly torch: readonly string[];
}

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
      for (const side of python === undefined ? (['ours'] as const) : (['ours', 'torch'] as const)) {
        const against =
          side === 'ours' ? ['--against', 'nothing'] : ['--against', 'torch', '--python', python as string];
        const variants = ['--ours', oursIn(given, float32, side), '--torch', torchIn(plan.torch, float32)];
        const how = ['--device', device, '--float32', float32, '--repetitions', String(repetitions), '--patience', '1'];
        const argv = [...against, ...variants, ...how, '--cases', given, '--to'];
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
function oursIn(given: string, float32: Float32, side: 'ours' | 'torch'): string {
  if (side === 'torch') return '';
  const all = ['compiled', 'compiled bf16', 'eager'];
  const fits = (variant: string): boolean =>
    (float32 === 'f32' || !isBfloat16(variant)) && (variant !== 'eager' || !given.endsWith('-long'));
  return all.filter(fits).join(',');
}

function torchIn(variants: readonly string[], float32: Float32): string {
  return variants.filter((variant) => float32 === 'f32' || !isBfloat16(variant)).join(',');
}

function fileOf({ to, device }: Plan, given: string, float32: Float32, side: 'ours' | 'torch'): string {
  return join(to, `${device}-${given}-${float32}${side === 'torch' ? '-torch' : ''}.json`);
}

function peakFile({ to, device }: Plan, precision: Precision): string {
  return join(to, `${device}-peak-${precision}.json`);
}

/** The table for docs/speed.md, of all files that are there. */
export function markdownTable(plan: Plan): string[] {
  const rows = plan.cases.flatMap((given) =>
    plan.float32.flatMap((float32) => {
      const fileOn = (side: 'ours' | 'torch') => read(fileOf(plan, given, float32, side));
      const sides = { ours: fileOn('ours'), torch: fileOn('torch') };
      return float32 === 'f32'
        ? [rowsOf(plan, sides, 'f32'), rowsOf(plan, sides, 'bf16')]
        : [rowsOf(plan, sides, float32)];
    }),
  );
  const headers = [
    ...['case', 'precision', 'ours, ms a step', 'tokens/s', 'TFLOP/s', '% of peak', 'GiB', 'eager'],
    ...['PyTorch’s best', 'times as fast', 'its GiB'],
  ];
  return [headers, headers.map(() => '---'), ...rows.flat()].map((cells) => `| ${cells.join(' | ')} |`);
}

interface Sides {
  readonly ours: Measured | undefined;
  readonly torch: Measured | undefined;
}

/** A file of the bench, and the most memory of the GPU that was held meanwhile. */
interface Measured extends CaseResult {
  readonly gpuMemoryMiB: number | null;
}

function read(file: string): Measured | undefined {
  if (!existsSync(file)) return undefined;
  const { results, gpuMemoryMiB = null } = JSON.parse(readFileSync(file, 'utf8'));
  return { ...results[0], gpuMemoryMiB };
}

/** One row, or none where ours was not measured in this precision. */
function rowsOf(plan: Plan, { ours: mine, torch }: Sides, precision: Precision): string[][] {
  if (mine === undefined) return [];
  const { name, shapes, steps, tokens, operations } = mine;
  const ms = (timed: Timed): number => spreadOf(timed.ms).median / steps;
  const inPrecision = (timed: Timed): boolean => timed.precision === precision;
  const here = mine.timed.filter(inPrecision);
  const ours = here.find(({ variant }) => variant.startsWith('compiled'));
  if (ours === undefined) return [];
  const eager = here.find(({ variant }) => variant === 'eager');
  const [best] = (torch?.timed ?? []).filter(inPrecision).sort((a, b) => ms(a) - ms(b));
  const tflops = operations === null ? undefined : operations / ms(ours) / 1e9;
  const peak = existsSync(peakFile(plan, precision)) ? peakOf(peakFile(plan, precision)) : undefined;
  const gib = (one: Measured | undefined): number | undefined =>
    typeof one?.gpuMemoryMiB === 'number' ? one.gpuMemoryMiB / 1024 : undefined;
  const cell = (value: number | undefined): string => (value === undefined ? '' : formatNumber(value));
  return [
    [
      ...[`${name}, ${shapes}`, precision, cell(ms(ours)), cell(Math.round((1000 * tokens) / ms(ours)))],
      ...[cell(tflops), cell(tflops && peak && (100 * tflops) / peak), cell(gib(mine)), cell(eager && ms(eager))],
      ...[best === undefined ? '' : `${formatNumber(ms(best))} (${best.variant})`],
      ...[cell(best && ms(best) / ms(ours)), cell(best && gib(torch))],
    ],
  ];
}

/** 10¹² operations a second: the best of the calls. */
function peakOf(file: string): number {
  const { gflops } = JSON.parse(readFileSync(file, 'utf8')) as { gflops: number[] };
  return Math.max(...gflops) / 1000;
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
