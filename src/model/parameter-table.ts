/** The parameters of a decoder: name, role, depth, shape. What is frozen, slowed down, drawn or adapted is chosen by role. */
import type { ParameterSpec } from '../tensor/parameters.ts';
import { layoutOf } from '../tensor/parameters.ts';
import type { HeadKind, ModelDimensions } from './dimensions.ts';
import { isGated } from './dimensions.ts';

/** Every parameter of a decoder with its head, in the order of the flat tensor. Linear weights are [in, out]. */
export function parameterSpecs(dimensions: ModelDimensions, head: HeadKind): ParameterSpec[] {
  const { vocab, context, layers, dModel, positions, tiedHead } = dimensions;
  const outside = { layer: null, fanIn: null };
  const specs: ParameterSpec[] = [
    { name: 'embedding.tokens', role: 'embedding.tokens', shape: [vocab, dModel], ...outside },
  ];
  if (positions === 'learned') {
    specs.push({ name: 'embedding.positions', role: 'embedding.positions', shape: [context, dModel], ...outside });
  }
  for (let layer = 0; layer < layers; layer++) specs.push(...blockSpecs(dimensions, layer));
  specs.push(...normSpecs(dimensions, 'final_norm', null));
  if (head === 'score') specs.push(matrix('score', 'head.score', null, [dModel, 1]));
  else if (!tiedHead) specs.push(matrix('head', 'head.tokens', null, [dModel, vocab]));
  return specs;
}

/** The parameters of one layer. */
export function blockSpecs(dimensions: ModelDimensions, layer: number): ParameterSpec[] {
  const { heads, kvHeads, headDim, dModel, dFf, biases, headNorm, postNorm } = dimensions;
  const [attention, mlp] = [`blocks.${layer}.attention`, `blocks.${layer}.mlp`];
  const mlpWidth = isGated(dimensions) ? 2 * dFf : dFf;
  const linear = (name: string, role: Role, shape: readonly [number, number], hasBias: boolean): ParameterSpec[] => {
    const weight = matrix(name, role, layer, shape);
    return hasBias ? [weight, vector(`${name}.bias`, 'bias', layer, shape[1])] : [weight];
  };
  const headGain = (name: string): ParameterSpec => vector(`${attention}.${name}.gain`, 'gain', layer, headDim);
  const after = (name: string): ParameterSpec[] => (postNorm ? normSpecs(dimensions, `${name}.post_norm`, layer) : []);
  return [
    ...normSpecs(dimensions, `${attention}.norm`, layer),
    ...linear(`${attention}.qkv`, 'attention.qkv', [dModel, (heads + 2 * kvHeads) * headDim], biases.qkv),
    ...(headNorm ? [headGain('query_norm'), headGain('key_norm')] : []),
    ...linear(`${attention}.output`, 'attention.output', [heads * headDim, dModel], biases.attentionOutput),
    ...after(attention),
    ...normSpecs(dimensions, `${mlp}.norm`, layer),
    ...linear(`${mlp}.input`, 'mlp.input', [dModel, mlpWidth], biases.mlp),
    ...linear(`${mlp}.output`, 'mlp.output', [dFf, dModel], biases.mlp),
    ...after(mlp),
  ];
}

/** Number of values. */
export function parameterCount(dimensions: ModelDimensions, head: HeadKind): number {
  return layoutOf(parameterSpecs(dimensions, head)).total;
}

type Role = ParameterSpec['role'];

function normSpecs({ norm, dModel }: ModelDimensions, name: string, layer: number | null): ParameterSpec[] {
  const gain = vector(`${name}.gain`, 'gain', layer, dModel);
  return norm === 'layer' ? [gain, vector(`${name}.bias`, 'bias', layer, dModel)] : [gain];
}

function vector(name: string, role: Role, layer: number | null, size: number): ParameterSpec {
  return { name, role, layer, shape: [size], fanIn: null };
}

function matrix(name: string, role: Role, layer: number | null, shape: readonly [number, number]): ParameterSpec {
  return { name: `${name}.weight`, role, layer, shape, fanIn: shape[0] };
}
