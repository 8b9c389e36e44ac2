/** Parameters of no model, for tests of what holds for any. */
import type { ParameterLayout, ParameterSpec, Parameters } from '../../src/tensor/parameters.ts';
import { ownedParameters } from '../../src/tensor/parameters.ts';

/** A parameter of which only name and shape matter. */
export function specOf(name: string, shape: readonly number[]): ParameterSpec {
  return { name, shape, role: 'mlp.input', layer: null, fanIn: null };
}

/** A parameter set with a copy of the values [total], trained whole. */
export function parametersOf(layout: ParameterLayout, values: Float32Array): Parameters {
  return ownedParameters(layout, values.slice());
}
