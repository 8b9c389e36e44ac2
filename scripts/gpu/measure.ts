/** The bench's cases on a device, each in a process of its own and a file of its own; and the table of all of them. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorMessage } from '../../src/errors.ts';
import { formatNumber } from '../../src/report/table.ts';
import type { Float32, Timed } from '../bench/compare.ts';
import { spreadOf } from '../bench/compare.ts';
import type { CaseResult } from '../bench/measure-case.ts';
import { runScript } from './machine.ts';

/** What is measured. */
export interface Plan {
  readonly to: string;
  readonly device: 'gpu' | 'cpu';
  readonly cases: readonly string[];
  readonly repetitions: number;
  /** Python with PyTorch; undefined to measure ours alone. */
  readonly python: string | undefined;
}

/** A process multiplies float32 in one precision only; bfloat16 is measured beside float32. */
const FLOAT32: Readonly<Record<Float32, string>> = { f32: 'compiled,compiled bf16,eager', tf32: 'compiled,eager' };

/** Measures what has no file yet. A case that fails (memory, say) is named, and the others go on. */
export function measure(plan: Plan, say: (line: string) => void): void {
  for (const given of plan.cases) {
    for (const float32 of ['f32', 'tf32'] as const) {
      const file = fileOf(plan, given, float32);
      if (existsSync(file)) {
        say(`${file} is there already`);
        continue;
      }
      const { device, repetitions, python } = plan;
      const against = python === undefined ? ['--against', 'nothing'] : ['--against', 'torch', '--python', python];
      const torch = float32 === 'tf32' ? ['--torch', 'eager,compile,compile-max'] : [];
      const how = ['--device', device, '--float32', float32, '--repetitions', String(repetitions)];
      const what = ['--cases', given, '--ours', FLOAT32[float32], '--to', file];
      try {
        runScript('../bench/bench.ts', [...against, ...torch, ...how, ...what], { isRead: false });
      } catch (error) {
        say(`${given} in ${float32} is left out: ${errorMessage(error)}`);
      }
    }
  }
}

function fileOf({ to, device, python }: Plan, given: string, float32: Float32): string {
  return join(to, `${device}-${given}-${float32}${python === undefined ? '' : '-torch'}.json`);
}

/** The table for docs/speed.md, of all files that are there. */
export function markdownTable(plan: Plan): string[] {
  const rows = plan.cases.flatMap((given) => {
    const [f32, tf32] = (['f32', 'tf32'] as const).map((float32) => read(fileOf(plan, given, float32)));
    return [...rowsOf(f32, 'f32'), ...rowsOf(tf32, 'tf32'), ...rowsOf(f32, 'bf16')];
  });
  const headers = ['case', 'precision', 'ours, ms a step', 'tokens/s', 'eager', 'PyTorch’s best', 'times as fast'];
  return [headers, headers.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
}

function read(file: string): CaseResult | undefined {
  if (!existsSync(file)) return undefined;
  return (JSON.parse(readFileSync(file, 'utf8')) as { results: CaseResult[] }).results[0];
}

function rowsOf(result: CaseResult | undefined, precision: Timed['precision']): string[][] {
  if (result === undefined) return [];
  const { name, shapes, steps, tokens } = result;
  const ms = (timed: Timed): number => spreadOf(timed.ms).median / steps;
  const here = result.timed.filter((timed) => timed.precision === precision);
  const ours = here.find(({ side, variant }) => side === 'ours' && variant.startsWith('compiled'));
  if (ours === undefined) return [];
  const eager = here.find(({ side, variant }) => side === 'ours' && variant === 'eager');
  const ratio = result.ratios.find((one) => one.ours.variant === ours.variant && one.other.side === 'torch');
  const best = here.find(({ side, variant }) => side === 'torch' && variant === ratio?.other.variant);
  const cell = (value: number | undefined): string => (value === undefined ? '' : formatNumber(value));
  const torch = best === undefined ? '' : `${formatNumber(ms(best))} (${best.variant})`;
  const tokensPerSecond = Math.round((1000 * tokens) / ms(ours));
  const numbers = [cell(ms(ours)), cell(tokensPerSecond), cell(eager && ms(eager)), torch, cell(ratio?.median)];
  return [[`${name}, ${shapes}`, precision, ...numbers]];
}
