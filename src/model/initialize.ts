/** Initial values: one table, role of a parameter → distribution. */
import type { Random } from '../random.ts';
import type { ParameterSpec } from '../tensor/parameters.ts';
import { layoutOf } from '../tensor/parameters.ts';
import type { HeadKind, ModelDimensions } from './dimensions.ts';
import { parameterSpecs } from './parameter-table.ts';

/** Standard deviation of GPT-2's weights (Radford et al. 2019, section 2.3; openai/gpt-2 src/model.py). */
const WEIGHT_DEVIATION = 0.02;

/**
 * Initial values of a whole decoder; see `initialValuesOf`.
 * @returns host values of every parameter, in the order of `parameterSpecs`
 */
export function initialValues(dimensions: ModelDimensions, head: HeadKind, random: Random): Float32Array {
  const { specs, offsets, total } = layoutOf(parameterSpecs(dimensions, head));
  const values = new Float32Array(total);
  for (const [index, spec] of specs.entries()) values.set(initialValuesOf(spec, dimensions, random), offsets[index]);
  return values;
}

/**
 * Initial values of one parameter.
 *
 * | role                            | distribution                                                               |
 * |---------------------------------|----------------------------------------------------------------------------|
 * | gain                            | 1, or 0 where it is counted from 1                                         |
 * | bias                            | 0                                                                          |
 * | embeddings, qkv, mlp input, token head | N(0, 0.02²)                                                         |
 * | attention output, mlp output    | N(0, (0.02 / √(2 · layers))²): each layer adds twice to the residual stream |
 * | score head                      | N(0, 1 / (d_model + 1)) (lm-human-preferences; arXiv:2403.17031 detail 10) |
 * | adapter a, adapter b            | uniform in ±1/√in, and 0, as PEFT draws them: nothing changes yet          |
 */
export function initialValuesOf(
  { role, shape, fanIn }: ParameterSpec,
  { layers, gainFromOne }: Pick<ModelDimensions, 'layers' | 'gainFromOne'>,
  random: Random,
): Float32Array {
  const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
  const normal = (deviation: number): Float32Array => values.map(() => deviation * random.normal());
  switch (role) {
    case 'gain':
      return values.fill(gainFromOne ? 0 : 1);
    case 'bias':
    case 'adapter.b':
      return values;
    case 'adapter.a': {
      const bound = 1 / Math.sqrt(fanIn as number);
      return values.map(() => bound * (2 * random.uniform() - 1));
    }
    case 'head.score':
      // The standard deviation is 1 / √(d_model + 1), not the variance, as lm-human-preferences has it.
      return normal(1 / Math.sqrt((fanIn as number) + 1));
    case 'attention.output':
    case 'mlp.output':
      return normal(WEIGHT_DEVIATION / Math.sqrt(2 * layers));
    default:
      return normal(WEIGHT_DEVIATION);
  }
}
