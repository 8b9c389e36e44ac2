/** A model's sizes and choices as GGUF metadata. What llama.cpp would compute otherwise is refused, or said where it stays exact. */
import type { ModelDimensions } from '../model/dimensions.ts';
import { rotaryWidth } from '../model/dimensions.ts';
import type { RopeScaling } from '../tensor/rope-frequencies.ts';
import { rotaryFrequencies } from '../tensor/rope-frequencies.ts';
import { ggufArchitecture, ggufFamilies } from './tensor-map.ts';
import type { GgufValue } from './write-gguf.ts';

/** Metadata of a model, and lines for people about what differs. */
export interface ModelFields {
  readonly fields: readonly (readonly [string, GgufValue])[];
  readonly notes: readonly string[];
}

/** Why a model cannot be a GGUF file, one line a reason; empty where it can. */
export function unfitForGguf(dimensions: ModelDimensions): string[] {
  const { family, activation, biases, ropeScaling } = dimensions;
  const refuse = (what: string): string => `${what}; llama.cpp's ${ggufArchitecture(family)} cannot have that.`;
  if (ggufArchitecture(family) === undefined) {
    return [`llama.cpp has no architecture for ${family}; expected one of ${ggufFamilies.join(', ')}.`];
  }
  const problems: string[] = [];
  if (dimensions.attention === 'full') problems.push(refuse('attention to what comes after a token'));
  if (activation === 'relu') problems.push(refuse('activation: relu'));
  if (ropeScaling?.type === 'longrope') problems.push(refuse('rope_scaling: longrope'));
  if (ropeScaling?.type === 'yarn' && !ropeScaling.truncate)
    problems.push(refuse('rope_scaling: yarn without truncate'));
  if (family === 'qwen3' && biases.qkv) problems.push(refuse('attention_bias'));
  if (family === 'gpt_neox' && !biases.qkv) problems.push(refuse('attention_bias: false'));
  return problems;
}

/**
 * The keys of a model that `unfitForGguf` finds nothing wrong with, as llama.cpp reads them.
 * @see convert_hf_to_gguf.py
 */
export function modelFields(dimensions: ModelDimensions): ModelFields {
  const arch = ggufArchitecture(dimensions.family);
  const { heads, kvHeads, headDim, normEpsilon, positions, norm } = dimensions;
  const { context, notes } = exactContext(dimensions);
  const fields: [string, GgufValue][] = [];
  const add = (key: string, type: 'uint32' | 'float32', value: number): void => {
    fields.push([`${arch}.${key}`, { type, value }]);
  };
  add('block_count', 'uint32', dimensions.layers);
  add('context_length', 'uint32', context);
  add('embedding_length', 'uint32', dimensions.dModel);
  add('feed_forward_length', 'uint32', dimensions.dFf);
  add('attention.head_count', 'uint32', heads);
  add('attention.head_count_kv', 'uint32', kvHeads);
  add('attention.key_length', 'uint32', headDim);
  add('attention.value_length', 'uint32', headDim);
  add(`attention.layer_norm_${norm === 'rms' ? 'rms_' : ''}epsilon`, 'float32', normEpsilon);
  add('vocab_size', 'uint32', dimensions.vocab);
  if (positions === 'rotary') {
    add('rope.dimension_count', 'uint32', rotaryWidth(dimensions));
    add('rope.freq_base', 'float32', dimensions.ropeTheta);
  }
  if (dimensions.family === 'gpt_neox') {
    const value = dimensions.residual === 'parallel';
    fields.push([`${arch}.use_parallel_residual`, { type: 'bool', value }]);
  }
  for (const [key, value] of scalingFields(dimensions.ropeScaling)) fields.push([`${arch}.rope.scaling.${key}`, value]);
  const gelu = dimensions.activation === 'gelu_exact';
  return {
    fields,
    notes: gelu ? [...notes, 'llama.cpp computes GELU by its tanh form, this model has the exact one'] : notes,
  };
}

/**
 * The longest sequence that llama.cpp computes as we do: it has no sliding windows in these architectures, and no dynamic
 * scaling. Within a window, and within the length from which scaling begins, there is no difference.
 */
function exactContext({ context, windows, ropeScaling }: ModelDimensions): { context: number; notes: string[] } {
  const sizes = windows.filter((size) => size !== null);
  const window = Math.min(context, ...sizes);
  const length = ropeScaling?.type === 'dynamic' ? Math.min(window, ropeScaling.originalContext) : window;
  if (length === context) return { context, notes: [] };
  const why = length < window || sizes.length === 0 ? 'dynamic scaling of positions' : 'sliding windows';
  return {
    context: length,
    notes: [`context_length is ${length} of ${context}: llama.cpp reads this family without ${why}`],
  };
}

function scalingFields(scaling: RopeScaling | null): [string, GgufValue][] {
  if (scaling?.type !== 'linear' && scaling?.type !== 'yarn') return [];
  const number = (value: number): GgufValue => ({ type: 'float32', value });
  const fields: [string, GgufValue][] = [
    ['type', { type: 'string', value: scaling.type }],
    ['factor', number(scaling.factor)],
  ];
  if (scaling.type === 'linear') return fields;
  // llama.cpp multiplies cosines and sines with the amplitude of the paper itself.
  const amplitude = scaling.attentionFactor / (1 + 0.1 * Math.log(scaling.factor));
  return [
    ...fields,
    ['original_context_length', { type: 'uint32', value: scaling.originalContext }],
    ['yarn_beta_fast', number(scaling.betaFast)],
    ['yarn_beta_slow', number(scaling.betaSlow)],
    ...(Math.abs(amplitude - 1) > 1e-6 ? [['attn_factor', number(amplitude)] as [string, GgufValue]] : []),
  ];
}

/** What llama.cpp divides the rotary frequencies by: the tensor `rope_freqs.weight`, where Llama 3's scaling needs one. */
export function ropeDivisors(dimensions: ModelDimensions): Float32Array | undefined {
  const { ropeScaling, ropeTheta, context } = dimensions;
  if (ropeScaling?.type !== 'llama3') return undefined;
  const width = rotaryWidth(dimensions);
  const plain = rotaryFrequencies(width, ropeTheta, null, context);
  const scaled = rotaryFrequencies(width, ropeTheta, ropeScaling, context);
  return Float32Array.from(plain, (frequency, i) => frequency / (scaled[i] as number));
}
