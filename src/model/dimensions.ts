/** The sizes and choices that define a decoder, and the parameters that follow from them. */
import { ConfigError } from '../errors.ts';
import type { ParameterSpec } from '../tensor/parameters.ts';

/** GPT-2 and Llama are two settings of these fields (`gpt2Style`, `llamaStyle`). */
export interface ModelDimensions {
  readonly vocab: number;
  /** Longest sequence the positions allow. */
  readonly context: number;
  readonly layers: number;
  readonly heads: number;
  /** Key/value heads; divides `heads`. */
  readonly kvHeads: number;
  readonly headDim: number;
  readonly dModel: number;
  readonly dFf: number;
  readonly norm: 'layer' | 'rms';
  readonly normEpsilon: number;
  readonly positions: 'learned' | 'rotary';
  readonly ropeTheta: number;
  readonly activation: 'gelu' | 'swiglu';
  /** Biases on every linear layer (norms of kind `layer` always have one). */
  readonly biases: boolean;
  /** The head reads the token embedding instead of a matrix of its own. */
  readonly tiedHead: boolean;
}

/** What the last layer gives: next-token logits, or one score for each position. */
export type HeadKind = 'tokens' | 'score';

/** The sizes a style leaves open. */
export type StyleSizes = Pick<ModelDimensions, 'vocab' | 'context' | 'layers' | 'heads' | 'dModel'> &
  Partial<Pick<ModelDimensions, 'kvHeads' | 'dFf' | 'tiedHead'>>;

/** LayerNorm, learned positions, GELU, biases. Radford et al. 2019. */
export function gpt2Style(sizes: StyleSizes): ModelDimensions {
  return checkDimensions({
    norm: 'layer',
    normEpsilon: 1e-5,
    positions: 'learned',
    ropeTheta: 10_000,
    activation: 'gelu',
    biases: true,
    tiedHead: true,
    kvHeads: sizes.heads,
    headDim: sizes.dModel / sizes.heads,
    dFf: 4 * sizes.dModel,
    ...sizes,
  });
}

/** RMSNorm, rotary positions, SwiGLU, grouped-query heads, no biases. Touvron et al. 2023, arXiv:2302.13971. */
export function llamaStyle(sizes: StyleSizes): ModelDimensions {
  return checkDimensions({
    norm: 'rms',
    normEpsilon: 1e-5,
    positions: 'rotary',
    ropeTheta: 10_000,
    activation: 'swiglu',
    biases: false,
    tiedHead: true,
    kvHeads: sizes.heads,
    headDim: sizes.dModel / sizes.heads,
    // 8/3 · d_model keeps the parameter count of a 4 · d_model GELU layer; rounded to a multiple of 8.
    dFf: 8 * Math.round(sizes.dModel / 3),
    ...sizes,
  });
}

/**
 * Returns the dimensions unchanged when they fit together.
 * @throws ConfigError listing everything that does not
 */
export function checkDimensions(dimensions: ModelDimensions): ModelDimensions {
  const { heads, kvHeads, headDim, positions } = dimensions;
  const problems: string[] = [];
  for (const name of ['vocab', 'context', 'layers', 'heads', 'kvHeads', 'headDim', 'dModel', 'dFf'] as const) {
    const value = dimensions[name];
    if (!Number.isInteger(value) || value < 1) {
      problems.push(`model.${name}: expected a positive integer, received ${value}.`);
    }
  }
  if (heads % kvHeads !== 0) problems.push(`model.kvHeads: ${kvHeads} does not divide heads ${heads}.`);
  if (positions === 'rotary' && headDim % 2 !== 0) {
    problems.push(`model.headDim: rotary positions turn pairs, so it must be even; received ${headDim}.`);
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return dimensions;
}

/** Every parameter of a decoder with its head, in the order of the flat tensor. Linear weights are [in, out]. */
export function parameterSpecs(dimensions: ModelDimensions, head: HeadKind): ParameterSpec[] {
  const { vocab, context, layers, heads, kvHeads, headDim, dModel, dFf } = dimensions;
  const specs: ParameterSpec[] = [{ name: 'embedding.tokens', shape: [vocab, dModel] }];
  if (dimensions.positions === 'learned') specs.push({ name: 'embedding.positions', shape: [context, dModel] });
  const linear = (name: string, input: number, output: number): void => {
    specs.push({ name: `${name}.weight`, shape: [input, output] });
    if (dimensions.biases) specs.push({ name: `${name}.bias`, shape: [output] });
  };
  const norm = (name: string): void => {
    specs.push({ name: `${name}.gain`, shape: [dModel] });
    if (dimensions.norm === 'layer') specs.push({ name: `${name}.bias`, shape: [dModel] });
  };
  for (let layer = 0; layer < layers; layer++) {
    norm(`blocks.${layer}.attention.norm`);
    linear(`blocks.${layer}.attention.qkv`, dModel, (heads + 2 * kvHeads) * headDim);
    linear(`blocks.${layer}.attention.output`, heads * headDim, dModel);
    norm(`blocks.${layer}.mlp.norm`);
    linear(`blocks.${layer}.mlp.input`, dModel, dimensions.activation === 'swiglu' ? 2 * dFf : dFf);
    linear(`blocks.${layer}.mlp.output`, dFf, dModel);
  }
  norm('final_norm');
  if (head === 'score') specs.push({ name: 'score.weight', shape: [dModel, 1] });
  else if (!dimensions.tiedHead) specs.push({ name: 'head.weight', shape: [dModel, vocab] });
  return specs;
}

/** Number of trained values. */
export function parameterCount(dimensions: ModelDimensions, head: HeadKind): number {
  return parameterSpecs(dimensions, head).reduce(
    (total, spec) => total + spec.shape.reduce((product, size) => product * size, 1),
    0,
  );
}
