/** Training state beside a model: optimizer moments by parameter name, and a JSON state that the stage defines. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CheckpointError, errorMessage } from '../errors.ts';
import type { AdamW, AdamWOptions } from '../execution/adamw.ts';
import { createAdamW } from '../execution/adamw.ts';
import type { ParameterLayout } from '../tensor/parameters.ts';
import { parameterValues } from '../tensor/parameters.ts';
import { openSafetensors, writeSafetensors } from './safetensors.ts';

/** Writes flat values [total] by parameter name, so that a changed order can never mix them up. */
export function writeFlat(
  path: string,
  layout: ParameterLayout,
  flats: Readonly<Record<string, Float32Array>>,
  metadata: Readonly<Record<string, string>>,
): void {
  const tensors = Object.entries(flats).flatMap(([kind, flat]) =>
    layout.specs.map(({ name, shape }) => {
      return { name: `${kind}${name}`, shape, values: () => parameterValues(layout, flat, name) };
    }),
  );
  writeSafetensors(path, tensors, 'F32', metadata);
}

/**
 * Reads flat values back, one array [total] for each kind.
 * @throws CheckpointError naming every tensor that is missing or has another shape
 */
export function readFlat(path: string, layout: ParameterLayout, kinds: readonly string[]): Float32Array[] {
  const file = openSafetensors(path);
  try {
    const problems: string[] = [];
    const flats = kinds.map((kind) => {
      const flat = new Float32Array(layout.total);
      layout.specs.forEach(({ name, shape }, index) => {
        const found = file.entries.get(`${kind}${name}`);
        if (found === undefined || found.shape.join() !== shape.join()) {
          const received = found === undefined ? 'nothing' : `[${found.shape.join(', ')}]`;
          const expected = `expected shape [${shape.join(', ')}], received ${received}`;
          problems.push(`${path}: ${kind.replace(/\.$/, ' of ')}"${name}": ${expected}.`);
        } else flat.set(file.read(`${kind}${name}`), layout.offsets[index] as number);
      });
      return flat;
    });
    if (problems.length > 0) throw new CheckpointError(problems);
    return flats;
  } finally {
    file.close();
  }
}

/** Writes both moments of every parameter. */
export function writeOptimizer(path: string, layout: ParameterLayout, adam: AdamW): void {
  const moments = {
    'first_moment.': adam.first.read(),
    'second_moment.': adam.second.read(),
  };
  writeFlat(path, layout, moments, { step: String(adam.step) });
}

/**
 * Restores an optimizer.
 * @param step updates made so far, from the JSON state
 * @throws CheckpointError naming every moment that is missing or has another shape
 */
export function readOptimizer(path: string, layout: ParameterLayout, options: AdamWOptions, step: number): AdamW {
  const [firstMoment, secondMoment] = readFlat(path, layout, ['first_moment.', 'second_moment.']) as [
    Float32Array,
    Float32Array,
  ];
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
