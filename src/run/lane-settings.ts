/** Settings that only some lanes can do: refused where the lane that was opened cannot, instead of doing something else. */

import { LaneError } from '../errors.ts';
import type { CompileSettings } from '../graph/mode.ts';
import type { Lane } from '../tensor/lane.ts';

/** What a stage asks of a lane. */
export interface LaneSettings {
  readonly runtime: Partial<CompileSettings>;
  readonly memory?: { readonly frozen: 'float32' | 'bfloat16' } | undefined;
}

/** @throws LaneError naming every setting that the lane has no means for */
export function refuseForLane({ runtime, memory }: LaneSettings, { name }: Pick<Lane, 'name'>): void {
  const problems: string[] = [];
  const refuse = (key: string, value: string, needs: string, instead: string): void => {
    problems.push(
      `${key} ${value}: needs ${needs}, and the lane is ${name}. Use ${key}=${instead}, or the tensorflow lane.`,
    );
  };
  if (name !== 'tensorflow') {
    if (runtime.compile === 'on') refuse('runtime.compile', 'on', 'TensorFlow’s graphs', 'auto');
    if (runtime.precision === 'bf16') refuse('runtime.precision', 'bf16', 'compiled steps', 'f32');
    if (memory?.frozen === 'bfloat16') refuse('memory.frozen', 'bfloat16', 'TensorFlow’s bfloat16', 'float32');
  } else if (runtime.precision === 'bf16' && runtime.compile === 'off') {
    problems.push(
      'runtime.precision bf16: only compiled steps have it, and runtime.compile is off. Change one of the two.',
    );
  }
  if (problems.length > 0) throw new LaneError(problems);
}

/** A line for people where a precision is the same as another on the device, or undefined. */
export function precisionNote(
  { precision }: Partial<CompileSettings>,
  { device }: Pick<Lane, 'device'>,
  bfloat16Products: boolean,
): string | undefined {
  if (precision === 'tf32' && device === 'cpu') {
    return 'runtime.precision tf32: CPUs have no TensorFloat-32; it is the same as f32 here.';
  }
  return precision === 'bf16' && !bfloat16Products
    ? 'runtime.precision bf16: this processor has no instruction for bfloat16 products (AVX512-BF16, AMX), which would be slower than float32: steps are f32.'
    : undefined;
}
