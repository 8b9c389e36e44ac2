/** The sizes and choices that define a decoder, and the parameters that follow from them. */
import { ConfigError } from '../errors.ts';
import type { RopeScaling } from '../tensor/rope-frequencies.ts';

/** The Hugging Face architecture that a decoder is read from and written as (`model_type` in config.json). */
export const modelFamilies = [
  'gpt2',
  'gpt_neo',
  'gpt_neox',
  'opt',
  'llama',
  'mistral',
  'qwen2',
  'qwen3',
  'phi3',
  'gemma2',
  'gemma3_text',
] as const;
export type ModelFamily = (typeof modelFamilies)[number];

/** The models people have are settings of these fields; `gpt2Style` and `llamaStyle` are two of them. */
export interface ModelDimensions {
  readonly family: ModelFamily;
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
  /** Token embeddings are multiplied by √d_model (Gemma). */
  readonly scaledEmbedding: boolean;
  readonly norm: 'layer' | 'rms';
  readonly normEpsilon: number;
  /** The parameter of a norm is what its gain differs from 1 by (Gemma), as in the files. */
  readonly gainFromOne: boolean;
  /** What attention and feed-forward give is normalised before it is added to the residual stream, too (Gemma 2). */
  readonly postNorm: boolean;
  /** RMSNorm of every query and key head before rotation (Qwen3, Gemma 3). */
  readonly headNorm: boolean;
  /** Who a token attends to in its segment: itself and what is before it (decoders), or all of it (encoders). */
  readonly attention: 'causal' | 'full';
  /** Scores are divided by the root of this; null: by that of head_dim. GPT-Neo has 1, Gemma its query_pre_attn_scalar. */
  readonly attentionScalar: number | null;
  /** Scores s become cap · tanh(s / cap) before they are masked (Gemma 2); null: they stay as they are. */
  readonly attentionSoftCap: number | null;
  /** Likewise next-token logits. */
  readonly logitSoftCap: number | null;
  readonly positions: 'learned' | 'rotary';
  readonly ropeTheta: number;
  /** Share of each head that is rotated; the rest passes (GPT-NeoX: 0.25). */
  readonly ropeFraction: number;
  readonly ropeScaling: RopeScaling | null;
  /** θ and scaling of layers that have a window, where they have their own (Gemma 3). */
  readonly windowRope: { readonly theta: number; readonly scaling: RopeScaling | null } | null;
  /** `gelu` is the tanh form of GPT-2, `gelu_exact` the one with the error function; `swiglu` and `geglu` are gated. */
  readonly activation: 'gelu' | 'gelu_exact' | 'relu' | 'swiglu' | 'geglu';
  /** Biases on linear layers (norms of kind `layer` always have one). */
  readonly biases: { readonly qkv: boolean; readonly attentionOutput: boolean; readonly mlp: boolean };
  /** Attention and feed-forward read the same input and are added together (GPT-NeoX), or one after the other. */
  readonly residual: 'sequential' | 'parallel';
  /**
   * Keys a token may look back to in each layer, itself included; null for all. Empty where every layer is dense.
   * [null, 256, null, 256] is GPT-3's alternation of dense and locally banded layers (arXiv:2005.14165 section 2.1).
   */
  readonly windows: readonly (number | null)[];
  /** The head reads the token embedding instead of a matrix of its own. */
  readonly tiedHead: boolean;
}

/** What the last layer gives: next-token logits, or one score for each position. */
export type HeadKind = 'tokens' | 'score';

/** The sizes a style leaves open. */
export type StyleSizes = Pick<ModelDimensions, 'vocab' | 'context' | 'layers' | 'heads' | 'dModel'> &
  Partial<Pick<ModelDimensions, 'kvHeads' | 'dFf' | 'tiedHead' | 'windows'>>;

/** Biases on every linear layer, or on none. */
export const ALL_BIASES = { qkv: true, attentionOutput: true, mlp: true };
export const NO_BIASES = { qkv: false, attentionOutput: false, mlp: false };

/** What most models have. */
export const PLAIN = {
  scaledEmbedding: false,
  gainFromOne: false,
  postNorm: false,
  headNorm: false,
  attention: 'causal',
  attentionScalar: null,
  attentionSoftCap: null,
  logitSoftCap: null,
  ropeTheta: 10_000,
  ropeFraction: 1,
  ropeScaling: null,
  windowRope: null,
  residual: 'sequential',
  windows: [],
} as const satisfies Partial<ModelDimensions>;

/** LayerNorm, learned positions, GELU, biases. Radford et al. 2019. */
export function gpt2Style(sizes: StyleSizes): ModelDimensions {
  return checkDimensions({
    ...PLAIN,
    family: 'gpt2',
    norm: 'layer',
    normEpsilon: 1e-5,
    positions: 'learned',
    activation: 'gelu',
    biases: ALL_BIASES,
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
    ...PLAIN,
    family: 'llama',
    norm: 'rms',
    normEpsilon: 1e-5,
    positions: 'rotary',
    activation: 'swiglu',
    biases: NO_BIASES,
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
  const { heads, kvHeads, headDim, positions, windows } = dimensions;
  const problems: string[] = [];
  for (const name of ['vocab', 'context', 'layers', 'heads', 'kvHeads', 'headDim', 'dModel', 'dFf'] as const) {
    const value = dimensions[name];
    if (!Number.isInteger(value) || value < 1) {
      problems.push(`model.${name}: expected a positive integer, received ${value}.`);
    }
  }
  if (heads % kvHeads !== 0) problems.push(`model.kvHeads: ${kvHeads} does not divide heads ${heads}.`);
  const turned = rotaryWidth(dimensions);
  if (positions === 'rotary' && (turned % 2 !== 0 || turned < 2 || turned > headDim)) {
    problems.push(`model.headDim: rotary positions turn pairs, so it must be even; received ${turned} of ${headDim}.`);
  }
  problems.push(...factorProblems('ropeScaling', dimensions.ropeScaling, turned / 2));
  problems.push(...factorProblems('windowRope.scaling', dimensions.windowRope?.scaling ?? null, turned / 2));
  if (windows.length !== 0 && windows.length !== dimensions.layers) {
    problems.push(
      `model.windows: expected one entry for each of ${dimensions.layers} layers, received ${windows.length}.`,
    );
  }
  for (const window of windows) {
    if (window === null || (Number.isInteger(window) && window >= 1)) continue;
    problems.push(`model.windows: expected whole numbers from 1, or null, received ${window}.`);
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return dimensions;
}

function factorProblems(of: string, scaling: RopeScaling | null, pairs: number): string[] {
  if (scaling?.type !== 'longrope') return [];
  return (['shortFactors', 'longFactors'] as const).flatMap((name) => {
    const found = scaling[name].length;
    if (found === pairs) return [];
    return [`model.${of}.${name}: expected ${pairs} numbers, one for each pair that turns, received ${found}.`];
  });
}

/** What attention scores are multiplied with. */
export function attentionScale({ headDim, attentionScalar }: ModelDimensions): number {
  return 1 / Math.sqrt(attentionScalar ?? headDim);
}

/** Whether the feed-forward layer has a gate beside what it lets through. */
export function isGated({ activation }: ModelDimensions): boolean {
  return activation === 'swiglu' || activation === 'geglu';
}

/** Values of a head that rotary positions turn: a multiple of the head's width, rounded down as transformers does. */
export function rotaryWidth({ headDim, ropeFraction }: Pick<ModelDimensions, 'headDim' | 'ropeFraction'>): number {
  return Math.floor(headDim * ropeFraction);
}
