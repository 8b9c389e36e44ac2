/** Settings that only some lanes can do: refused where the lane that was opened cannot, instead of doing something else. */

import { LaneError } from '../errors.ts';
import type { CompileSettings } from '../graph/mode.ts';
import { multipliesBfloat16 } from '../lanes/hardware.ts';
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
  } else if (runtime.compile === 'off') {
    const needy = [...(runtime.precision === 'bf16' ? ['precision bf16'] : []), ...(runtime.xla ? ['xla'] : [])];
    for (const key of needy) {
      problems.push(`runtime.${key}: only compiled steps have it, and runtime.compile is off. Change one of the two.`);
    }
  }
  if (problems.length > 0) throw new LaneError(problems);
}

/** What of the settings can be used on a lane. */
export function usableOn(
  runtime: Partial<CompileSettings>,
  { name, device }: Pick<Lane, 'name' | 'device'>,
): Pick<CompileSettings, 'bfloat16Products' | 'xla'> {
  const hasXla = name === 'tensorflow' && device === 'gpu';
  return { bfloat16Products: multipliesBfloat16(device), xla: runtime.xla === true && hasXla };
}

/** Lines for people: settings that are the same as others on the device. */
export function laneNotes(
  { precision, xla }: Partial<CompileSettings>,
  { device }: Pick<Lane, 'device'>,
  usable: Pick<CompileSettings, 'bfloat16Products' | 'xla'>,
): string[] {
  const notes: string[] = [];
  if (precision === 'tf32' && device === 'cpu') {
    notes.push('runtime.precision tf32: CPUs have no TensorFloat-32; it is the same as f32 here.');
  }
  if (precision === 'bf16' && !usable.bfloat16Products) {
    notes.push(
      'runtime.precision bf16: this processor has no instruction for bfloat16 products (AVX512-BF16, AMX), which would be slower than float32: steps are f32.',
    );
  }
  if (xla && !usable.xla) {
    notes.push('runtime.xla: it is for the tensorflow lane on a GPU, and is not used here.');
  }
  return notes;
}
