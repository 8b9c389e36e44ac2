/** Initial values: one table, parameter → distribution. */
import type { Random } from '../random.ts';
import type { AdapterPlace, ParameterSpec } from '../tensor/parameters.ts';
import { layoutOf } from '../tensor/parameters.ts';
import type { HeadKind, ModelDimensions } from './dimensions.ts';
import { parameterSpecs } from './dimensions.ts';

/** Standard deviation of GPT-2's weights (Radford et al. 2019, section 2.3; openai/gpt-2 src/model.py). */
const WEIGHT_DEVIATION = 0.02;

/**
 * | parameter                                | distribution                               |
 * |------------------------------------------|--------------------------------------------|
 * | gains                                    | 1                                          |
 * | biases                                   | 0                                          |
 * | embeddings, linear weights, token head   | N(0, 0.02²)                                |
 * | attention and feed-forward output weights | N(0, (0.02 / √(2 · layers))²): each layer adds twice to the residual stream |
 * | score head                               | N(0, 1 / (d_model + 1)) (lm-human-preferences; arXiv:2403.17031 detail 10) |
 *
 * @returns host values of every parameter, in the order of `parameterSpecs`
 */
export function initialValues(dimensions: ModelDimensions, head: HeadKind, random: Random): Float32Array {
  const layout = layoutOf(parameterSpecs(dimensions, head));
  const values = new Float32Array(layout.total);
  layout.specs.forEach((spec, index) => {
    const start = layout.offsets[index] as number;
    const end = start + (layout.sizes[index] as number);
    if (spec.name.endsWith('.gain')) values.fill(1, start, end);
    else if (!spec.name.endsWith('.bias')) {
      const deviation = deviationOf(spec.name, dimensions);
      for (let i = start; i < end; i++) values[i] = deviation * random.normal();
    }
  });
  return values;
}

function deviationOf(name: string, dimensions: ModelDimensions): number {
  if (name === 'score.weight') return scoreDeviation(dimensions);
  const residual = name.endsWith('attention.output.weight') || name.endsWith('mlp.output.weight');
  return residual ? WEIGHT_DEVIATION / Math.sqrt(2 * dimensions.layers) : WEIGHT_DEVIATION;
}

/** Values of a new score head, [d_model, 1]. */
export function scoreHeadValues(dimensions: ModelDimensions, random: Random): Float32Array {
  const deviation = scoreDeviation(dimensions);
  return new Float32Array(dimensions.dModel).map(() => deviation * random.normal());
}

/** 1 / √(d_model + 1): the standard deviation, not the variance, as lm-human-preferences has it. */
export function scoreDeviation(dimensions: ModelDimensions): number {
  return 1 / Math.sqrt(dimensions.dModel + 1);
}

/** Parameters of low-rank changes: `name`.a [in, rank] and `name`.b [rank, to − from]. */
export function adapterSpecs(
  places: readonly AdapterPlace[],
  specs: readonly ParameterSpec[],
  rank: number,
): ParameterSpec[] {
  return places.flatMap(({ name, matrix, from, to }) => {
    const input = specs.find((spec) => spec.name === matrix)?.shape[0] as number;
    return [
      { name: `${name}.a`, shape: [input, rank] },
      { name: `${name}.b`, shape: [rank, to - from] },
    ];
  });
}

/** Initial values of one such parameter, as PEFT draws them: a uniform in ±1/√in, b zero, so that nothing changes yet. */
export function initialAdapters({ name, shape }: ParameterSpec, random: Random): Float32Array {
  const [input, output] = shape as [number, number];
  const values = new Float32Array(input * output);
  if (name.endsWith('.b')) return values;
  const bound = 1 / Math.sqrt(input);
  return values.map(() => bound * (2 * random.uniform() - 1));
}
