/** What `npm run gpu -- measure` measures, and the files that hold it. */
import { join } from 'node:path';
import type { Float32 } from '../bench/compare.ts';
import type { Precision } from './numbers.ts';

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

/** What is timed by itself. */
export type Side = 'ours' | 'xla' | 'torch';

/** XLA is for a GPU. */
export function sidesOf({ device, python }: Plan): Side[] {
  return [
    'ours',
    ...(device === 'gpu' ? (['xla'] as const) : []),
    ...(python === undefined ? [] : (['torch'] as const)),
  ];
}

/** What one side measured. */
export function fileOf({ to, device }: Plan, given: string, float32: Float32, side: Side): string {
  return join(to, `${device}-${given}-${float32}${side === 'ours' ? '' : `-${side}`}.json`);
}

/** The peak in one precision. */
export function peakFile({ to, device }: Plan, precision: Precision): string {
  return join(to, `${device}-peak-${precision}.json`);
}
