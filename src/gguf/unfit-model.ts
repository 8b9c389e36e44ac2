/** Models that GGUF can hold and llama.cpp would compute otherwise. */
import type { ModelDimensions } from '../model/dimensions.ts';
import { ggufArchitecture, ggufFamilies } from './tensor-map.ts';

/** Why a model cannot be a GGUF file, one line a reason; empty where it can. */
export function unfitForGguf(dimensions: ModelDimensions): string[] {
  const { family } = dimensions;
  const architecture = ggufArchitecture(family);
  if (architecture === undefined) {
    return [`llama.cpp has no architecture for ${family}; expected one of ${ggufFamilies.join(', ')}.`];
  }
  const isGemma = family === 'gemma2' || family === 'gemma3_text';
  const reasons = [
    ...generalReasons(dimensions),
    ...scalingReasons(dimensions),
    ...(isGemma ? gemmaReasons(dimensions) : []),
  ];
  return reasons.map((what) => `${what}; llama.cpp's ${architecture} cannot have that.`);
}

function generalReasons({ family, activation, biases, attention, heads, headDim, dModel }: ModelDimensions): string[] {
  const reasons: string[] = [];
  if (attention === 'full') reasons.push('attention to what comes after a token');
  if (activation === 'relu') reasons.push('activation: relu');
  if (family === 'qwen3' && biases.qkv) reasons.push('attention_bias');
  if (family === 'gpt_neox' && !biases.qkv) reasons.push('attention_bias: false');
  if ((family === 'qwen2' || family === 'phi3') && heads * headDim !== dModel)
    reasons.push(`${heads} heads of ${headDim} in a width of ${dModel}`);
  return reasons;
}

function scalingReasons({ family, ropeScaling }: ModelDimensions): string[] {
  if (ropeScaling === null || ropeScaling.type === 'linear') return [];
  const hasTensors = family === 'llama' || family === 'mistral';
  const isKnown =
    (ropeScaling.type === 'longrope' && family === 'phi3') ||
    (ropeScaling.type === 'llama3' && hasTensors) ||
    (ropeScaling.type === 'yarn' && family !== 'gemma3_text') ||
    ropeScaling.type === 'dynamic';
  if (!isKnown) return [`rope_scaling: ${ropeScaling.type}`];
  return ropeScaling.type === 'yarn' && !ropeScaling.truncate ? ['rope_scaling: yarn without truncate'] : [];
}

/** Numbers of layers by which llama.cpp knows the largest model of each, whose scores it divides by another root. */
const LARGEST = { gemma2: 46, gemma3_text: 62 };

function gemmaReasons(dimensions: ModelDimensions): string[] {
  const { family, layers, dModel, heads, headDim, windows, windowRope, biases } = dimensions;
  const reasons: string[] = [];
  const isThird = family === 'gemma3_text';
  const isLargest = layers === LARGEST[isThird ? 'gemma3_text' : 'gemma2'];
  const scalar = dimensions.attentionScalar ?? headDim;
  if (scalar !== (isLargest ? Math.floor(dModel / heads) : headDim)) reasons.push(`query_pre_attn_scalar: ${scalar}`);
  if (biases.qkv) reasons.push('attention_bias');
  const period = periodOf(windows);
  const isPeriodic = isThird ? windows.length === 0 || period !== undefined : period === 2;
  if (!isPeriodic) reasons.push('layer_types in this order');
  if (windowRope?.scaling != null) reasons.push('scaling of positions in layers with a window');
  if (isThird) return reasons;
  if (!dimensions.tiedHead) reasons.push('tie_word_embeddings: false');
  if (dimensions.attentionSoftCap === null) reasons.push('attn_logit_softcapping: null');
  if (dimensions.logitSoftCap === null) reasons.push('final_logit_softcapping: null');
  return reasons;
}

/** n, where every n-th layer reads all and the others have one window; 0 where all have it; undefined for anything else. */
export function periodOf(windows: readonly (number | null)[]): number | undefined {
  const sizes = new Set(windows.filter((size) => size !== null));
  if (sizes.size !== 1) return undefined;
  const first = windows.indexOf(null);
  if (first === -1) return 0;
  const isPeriodic = windows.every((size, layer) => (size === null) === ((layer + 1) % (first + 1) === 0));
  return isPeriodic ? first + 1 : undefined;
}
