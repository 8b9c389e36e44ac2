/** The measurements of a GPU as a table for docs/speed.md: a row for each program, the fastest of each precision first. */
import { existsSync, readFileSync } from 'node:fs';
import { formatNumber } from '../../src/report/table.ts';
import type { Timed } from '../bench/compare.ts';
import { spreadOf } from '../bench/compare.ts';
import type { CaseResult } from '../bench/measure-case.ts';
import { precisions } from './numbers.ts';
import type { Plan, Side } from './plan.ts';
import { fileOf, peakFile, sidesOf } from './plan.ts';

/** A program, and what its process measured. */
interface Row {
  readonly timed: Timed;
  readonly side: Side;
  readonly result: CaseResult;
  /** The most memory of the GPU that was held by the process of this program and others in the same precision of float32. */
  readonly gpuMemoryMiB: number | null;
}

/** Of all files that are there. */
export function markdownTable(plan: Plan): string[] {
  const rows = plan.cases.flatMap((given) => {
    const found = plan.float32.flatMap((float32) => sidesOf(plan).flatMap((side) => read(plan, given, float32, side)));
    return precisions.flatMap((precision) =>
      found
        .filter(({ timed }) => timed.precision === precision)
        .sort((a, b) => msOf(a) - msOf(b))
        .map((row) => cellsOf(row, peakOf(peakFile(plan, precision)))),
    );
  });
  const headers = ['case', 'precision', 'program', 'ms a step', 'tokens/s', 'TFLOP/s', '% of peak', 'GiB held'];
  return [headers, headers.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
}

function read(plan: Plan, given: string, float32: Plan['float32'][number], side: Side): Row[] {
  const file = fileOf(plan, given, float32, side);
  if (!existsSync(file)) return [];
  const { results, gpuMemoryMiB = null } = JSON.parse(readFileSync(file, 'utf8')) as {
    results: [CaseResult];
    gpuMemoryMiB?: number | null;
  };
  const [result] = results;
  return result.timed.map((timed) => ({ timed, side, result, gpuMemoryMiB }));
}

function msOf({ timed, result }: Row): number {
  return spreadOf(timed.ms).median / result.steps;
}

function cellsOf(row: Row, peak: number | null): string[] {
  const { timed, side, result, gpuMemoryMiB } = row;
  const { name, shapes, tokens, operations } = result;
  const ms = msOf(row);
  const tflops = operations === null ? null : operations / ms / 1e9;
  const program = {
    ours: `ours, ${timed.variant}`,
    xla: `ours, ${timed.variant}, XLA`,
    torch: `PyTorch, ${timed.variant}`,
  };
  const cell = (value: number | null): string => (value === null ? '' : formatNumber(value));
  const share = tflops && peak && (100 * tflops) / peak;
  const numbers = [ms, Math.round((1000 * tokens) / ms), tflops, share, gpuMemoryMiB && gpuMemoryMiB / 1024];
  return [`${name}, ${shapes}`, timed.precision, program[side], ...numbers.map(cell)];
}

/** 10¹² operations a second: the best of the calls; null where it was not measured. */
function peakOf(file: string): number | null {
  if (!existsSync(file)) return null;
  const { gflops } = JSON.parse(readFileSync(file, 'utf8')) as { gflops: number[] };
  return Math.max(...gflops) / 1000;
}
