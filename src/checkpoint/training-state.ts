/** Training state beside a model: optimizer moments by parameter name, and a JSON state that the stage defines. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CheckpointError, errorMessage } from '../errors.ts';
import type { ParameterLayout } from '../tensor/parameters.ts';
import type { AdamW, AdamWOptions } from '../training/adamw.ts';
import { createAdamW } from '../training/adamw.ts';
import type { HostTensor } from './safetensors.ts';
import { encodeSafetensors, readSafetensors } from './safetensors.ts';

/** Writes both moments of every parameter, by name, so that a changed order can never mix them up. */
export function writeOptimizer(path: string, layout: ParameterLayout, adam: AdamW): void {
  const tensors = new Map<string, HostTensor>();
  const moments = { first_moment: adam.firstMoment, second_moment: adam.secondMoment };
  for (const [kind, tensor] of Object.entries(moments)) {
    const flat = tensor.dataSync() as Float32Array;
    layout.specs.forEach(({ name, shape }, index) => {
      const start = layout.offsets[index] as number;
      const values = flat.subarray(start, start + (layout.sizes[index] as number));
      tensors.set(`${kind}.${name}`, { shape, values });
    });
  }
  writeFileSync(path, encodeSafetensors(tensors, 'F32', { step: String(adam.step) }));
}

/**
 * Restores an optimizer.
 * @param step updates made so far, from the JSON state
 * @throws CheckpointError naming every moment that is missing or has another shape
 */
export function readOptimizer(path: string, layout: ParameterLayout, options: AdamWOptions, step: number): AdamW {
  const tensors = readSafetensors(path);
  const problems: string[] = [];
  const collect = (kind: string): Float32Array => {
    const flat = new Float32Array(layout.total);
    layout.specs.forEach(({ name, shape }, index) => {
      const found = tensors.get(`${kind}.${name}`);
      if (found === undefined || found.shape.join() !== shape.join()) {
        const received = found === undefined ? 'nothing' : `[${found.shape.join(', ')}]`;
        problems.push(`${path}: ${kind} of "${name}": expected shape [${shape.join(', ')}], received ${received}.`);
      } else flat.set(found.values, layout.offsets[index] as number);
    });
    return flat;
  };
  const firstMoment = collect('first_moment');
  const secondMoment = collect('second_moment');
  if (problems.length > 0) throw new CheckpointError(problems);
  return createAdamW(layout, options, { step, firstMoment, secondMoment });
}

/** Writes the stage's JSON state (step, cursor, generator, controller, best metric …). */
export function writeState(folder: string, state: object): void {
  writeFileSync(join(folder, 'state.json'), `${JSON.stringify(state, null, 2)}\n`);
}

/**
 * Reads the JSON state back.
 * @throws CheckpointError when it is missing or not JSON
 */
export function readState<State>(folder: string): State {
  const path = join(folder, 'state.json');
  if (!existsSync(path)) throw new CheckpointError(`${path}: missing, so this checkpoint cannot be resumed from.`);
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as State;
  } catch (error) {
    throw new CheckpointError(
      `${path}: is not JSON (${errorMessage(error)}). Remove ${folder} to resume from an earlier one.`,
    );
  }
}
