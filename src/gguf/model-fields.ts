/** A model's sizes and choices as GGUF metadata. What llama.cpp would compute otherwise is refused, or said where it stays exact. */
import type { ModelDimensions } from '../model/dimensions.ts';
import { rotaryWidth } from '../model/dimensions.ts';
import type { RopeScaling } from '../tensor/rope-frequencies.ts';
import { rotaryFrequencies } from '../tensor/rope-frequencies.ts';
import { ggufArchitecture } from './tensor-map.ts';
import { periodOf } from './unfit-model.ts';
import type { GgufValue } from './write-gguf.ts';

/** Metadata of a model, and lines for people about what differs. */
export interface ModelFields {
  readonly fields: readonly (readonly [string, GgufValue])[];
  readonly notes: readonly string[];
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
  for (const [key, value] of familyFields(dimensions)) fields.push([`${arch}.${key}`, value]);
  for (const [key, value] of scalingFields(dimensions.ropeScaling)) fields.push([`${arch}.rope.scaling.${key}`, value]);
  if (dimensions.activation === 'gelu_exact')
    notes.push('llama.cpp computes GELU by its tanh form, this model has the exact one');
  if (dimensions.ropeScaling?.type === 'longrope')
    notes.push(
      'llama.cpp chooses between short and long factors by the size of its context, not by the length of a text',
    );
  return { fields, notes };
}

/** What some families alone have. */
function familyFields(dimensions: ModelDimensions): [string, GgufValue][] {
  const { family, residual, windows, windowRope, ropeTheta, attentionSoftCap, logitSoftCap } = dimensions;
  const count = (value: number): GgufValue => ({ type: 'uint32', value });
  const number = (value: number): GgufValue => ({ type: 'float32', value });
  const window = windows.find((size) => size !== null) ?? 0;
  if (family === 'gpt_neox') return [['use_parallel_residual', { type: 'bool', value: residual === 'parallel' }]];
  // llama.cpp does not read it by now; a Phi-4 is told by a 0.
  if (family === 'phi3') return [['attention.sliding_window', count(window)]];
  if (family !== 'gemma2' && family !== 'gemma3_text') return [];
  const period = periodOf(windows);
  return [
    ...(window === 0 ? [] : [['attention.sliding_window', count(window)] as [string, GgufValue]]),
    ...(period === USUAL_PERIODS[family] || window === 0
      ? []
      : [['attention.sliding_window_pattern', count(period ?? 0)] as [string, GgufValue]]),
    ...(family === 'gemma3_text' && window > 0
      ? [['rope.freq_base_swa', number(windowRope?.theta ?? ropeTheta)] as [string, GgufValue]]
      : []),
    ...(attentionSoftCap === null ? [] : [['attn_logit_softcapping', number(attentionSoftCap)] as [string, GgufValue]]),
    ...(logitSoftCap === null ? [] : [['final_logit_softcapping', number(logitSoftCap)] as [string, GgufValue]]),
  ];
}

/** Every n-th layer reads all, where a file does not say another n. */
const USUAL_PERIODS = { gemma2: 2, gemma3_text: 6 } as const;

/**
 * The longest sequence that llama.cpp computes as we do: but in Gemma it has no sliding windows, and nowhere dynamic
 * scaling. Within a window, and within the length from which scaling begins, there is no difference.
 */
function exactContext({ family, context, windows, ropeScaling }: ModelDimensions): {
  context: number;
  notes: string[];
} {
  const isGemma = family === 'gemma2' || family === 'gemma3_text';
  const sizes = isGemma ? [] : windows.filter((size) => size !== null);
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
  const number = (value: number): GgufValue => ({ type: 'float32', value });
  if (scaling?.type === 'longrope') {
    const { originalContext: value, attentionFactor } = scaling;
    return [
      ['original_context_length', { type: 'uint32', value }],
      ['attn_factor', number(attentionFactor)],
    ];
  }
  if (scaling?.type !== 'linear' && scaling?.type !== 'yarn') return [];
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

/** What llama.cpp divides the rotary frequencies by, as the tensors it reads that from; none where they stay as they are. */
export function ropeTensors(dimensions: ModelDimensions): { name: string; values: Float32Array }[] {
  const { ropeScaling, ropeTheta, context } = dimensions;
  if (ropeScaling?.type === 'longrope') {
    return [
      { name: 'rope_factors_long.weight', values: Float32Array.from(ropeScaling.longFactors) },
      { name: 'rope_factors_short.weight', values: Float32Array.from(ropeScaling.shortFactors) },
    ];
  }
  if (ropeScaling?.type !== 'llama3') return [];
  const width = rotaryWidth(dimensions);
  const plain = rotaryFrequencies(width, ropeTheta, null, context);
  const scaled = rotaryFrequencies(width, ropeTheta, ropeScaling, context);
  const values = Float32Array.from(plain, (frequency, i) => frequency / (scaled[i] as number));
  return [{ name: 'rope_freqs.weight', values }];
}
