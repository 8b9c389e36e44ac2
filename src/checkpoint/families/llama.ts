/** Llama, Mistral, Qwen2 and Qwen3: transformers modeling_llama.py and kin. Separate q, k, v and gate, up projections. */
import type { HeadKind, ModelDimensions, ModelFamily } from '../../model/dimensions.ts';
import { PLAIN } from '../../model/dimensions.ts';
import type { ConfigFields } from '../config-fields.ts';
import { layerTypes, readLayerTypes } from './layer-types.ts';
import type { FamilyFormat, Piece } from './pieces.ts';
import { addHead, addNorm, pieceList } from './pieces.ts';
import { readRope, writeRope } from './rope-fields.ts';

type LlamaFamily = ModelFamily & ('llama' | 'mistral' | 'qwen2' | 'qwen3');

const CLASS_NAMES = { llama: 'Llama', mistral: 'Mistral', qwen2: 'Qwen2', qwen3: 'Qwen3' } as const;

/** The format of one of these families; they differ in biases, head norms and windows. */
export function llamaFormat(family: LlamaFamily): FamilyFormat {
  return {
    classes: { tokens: `${CLASS_NAMES[family]}ForCausalLM`, score: `${CLASS_NAMES[family]}ForSequenceClassification` },
    prefixes: ['model.'],
    defaultTied: false,
    read: (fields) => read(fields, family),
    write: (dimensions) => write(dimensions, family),
    pieces: llamaPieces,
  };
}

function read(fields: ConfigFields, family: LlamaFamily): ModelDimensions {
  const dModel = fields.count('hidden_size');
  const heads = fields.count('num_attention_heads');
  const layers = fields.layers('num_hidden_layers');
  return {
    ...PLAIN,
    ...readRope(fields, { theta: 'rope_theta' }),
    family,
    vocab: fields.count('vocab_size'),
    layers,
    heads,
    kvHeads: fields.count('num_key_value_heads', kvHeadsOf(fields, family, heads)),
    headDim: fields.count('head_dim', family === 'qwen3' ? 128 : dModel / heads),
    dModel,
    dFf: fields.count('intermediate_size'),
    norm: 'rms',
    normEpsilon: fields.number('rms_norm_eps', 1e-6),
    headNorm: family === 'qwen3',
    positions: 'rotary',
    activation: fields.choice('hidden_act', { silu: 'swiglu', swish: 'swiglu' } as const, 'silu'),
    biases: readBiases(fields, family),
    windows: readWindows(fields, family, layers),
    tiedHead: fields.flag('tie_word_embeddings', false),
  };
}

/** Where the field is missing; null is as many as heads. Those that are missing in a Mistral are 8, in a Qwen 32. */
function kvHeadsOf(fields: ConfigFields, family: LlamaFamily, heads: number): number {
  return fields.has('num_key_value_heads') ? heads : { llama: heads, mistral: 8, qwen2: 32, qwen3: 32 }[family];
}

function readBiases(fields: ConfigFields, family: LlamaFamily): ModelDimensions['biases'] {
  if (family === 'mistral' || family === 'qwen2') {
    fields.only('attention_bias', [family === 'qwen2']);
    fields.only('mlp_bias', [false]);
    return { qkv: family === 'qwen2', attentionOutput: false, mlp: false };
  }
  const attention = fields.flag('attention_bias', false);
  return { qkv: attention, attentionOutput: attention, mlp: fields.flag('mlp_bias', false) };
}

/**
 * By layer_types (a Mistral that has them is read as Ministral). Without: every layer of a Mistral; a Qwen's from layer
 * max_window_layers on, where use_sliding_window says so.
 */
function readWindows(fields: ConfigFields, family: LlamaFamily, layers: number): (number | null)[] {
  if (family === 'llama') return [];
  // Null is none, a file that does not say is 4096: transformers' defaults are of fields, not of values.
  const isNone = fields.has('sliding_window') && fields.take('sliding_window') === undefined;
  const window = isNone ? null : fields.count('sliding_window', 4096);
  const isMistral = family === 'mistral';
  const isOn = isMistral || fields.flag('use_sliding_window', false);
  const from = isMistral ? 0 : fields.count('max_window_layers', 28, { least: 0 });
  return readLayerTypes(fields, layers, isOn ? window : null, (layer) => layer >= from);
}

/** The sizes by the names that Llama gave them, and those who came after it. */
export function writeSizes(dimensions: ModelDimensions): Record<string, number> {
  return {
    hidden_size: dimensions.dModel,
    intermediate_size: dimensions.dFf,
    num_hidden_layers: dimensions.layers,
    num_attention_heads: dimensions.heads,
    num_key_value_heads: dimensions.kvHeads,
    head_dim: dimensions.headDim,
  };
}

function write(dimensions: ModelDimensions, family: LlamaFamily): Record<string, unknown> {
  const { biases, windows } = dimensions;
  const window = windows.find((size) => size !== null) ?? null;
  const isQwen = family === 'qwen2' || family === 'qwen3';
  return {
    ...writeSizes(dimensions),
    hidden_act: 'silu',
    rms_norm_eps: dimensions.normEpsilon,
    ...writeRope(dimensions, { theta: 'rope_theta' }),
    ...(family === 'llama' ? { attention_bias: biases.qkv, mlp_bias: biases.mlp } : {}),
    ...(family === 'qwen3' ? { attention_bias: biases.qkv } : {}),
    ...(family === 'llama' ? {} : { sliding_window: window }),
    ...(isQwen ? { use_sliding_window: window !== null } : {}),
    ...(isQwen || windows.includes(null) ? { layer_types: layerTypes(dimensions) } : {}),
    attention_dropout: 0,
  };
}

/** One tensor for each projection; where a model has norms after attention and feed-forward too, those have four names a layer. */
export function llamaPieces(dimensions: ModelDimensions, head: HeadKind): Piece[] {
  const { heads, kvHeads, headDim, dModel, dFf, biases, postNorm } = dimensions;
  const [query, key] = [heads * headDim, kvHeads * headDim];
  const list = pieceList(dimensions, head);
  list.whole('embedding.tokens', 'model.embed_tokens.weight', dModel);
  for (let layer = 0; layer < dimensions.layers; layer++) {
    const [ours, theirs] = [`blocks.${layer}`, `model.layers.${layer}`];
    const [attention, mlp] = [`${theirs}.self_attn`, `${theirs}.mlp`];
    addNorm(list, `${ours}.attention.norm`, `${theirs}.input_layernorm`, dimensions);
    list.linear(`${ours}.attention.qkv`, `${attention}.q_proj`, [0, query], biases.qkv);
    list.linear(`${ours}.attention.qkv`, `${attention}.k_proj`, [query, query + key], biases.qkv);
    list.linear(`${ours}.attention.qkv`, `${attention}.v_proj`, [query + key, query + 2 * key], biases.qkv);
    if (dimensions.headNorm) {
      list.whole(`${ours}.attention.query_norm.gain`, `${attention}.q_norm.weight`, headDim);
      list.whole(`${ours}.attention.key_norm.gain`, `${attention}.k_norm.weight`, headDim);
    }
    list.linear(`${ours}.attention.output`, `${attention}.o_proj`, [0, dModel], biases.attentionOutput);
    if (postNorm) addNorm(list, `${ours}.attention.post_norm`, `${theirs}.post_attention_layernorm`, dimensions);
    const mlpNorm = postNorm ? 'pre_feedforward_layernorm' : 'post_attention_layernorm';
    addNorm(list, `${ours}.mlp.norm`, `${theirs}.${mlpNorm}`, dimensions);
    list.linear(`${ours}.mlp.input`, `${mlp}.gate_proj`, [0, dFf], biases.mlp);
    list.linear(`${ours}.mlp.input`, `${mlp}.up_proj`, [dFf, 2 * dFf], biases.mlp);
    list.linear(`${ours}.mlp.output`, `${mlp}.down_proj`, [0, dModel], biases.mlp);
    if (postNorm) addNorm(list, `${ours}.mlp.post_norm`, `${theirs}.post_feedforward_layernorm`, dimensions);
  }
  addNorm(list, 'final_norm', 'model.norm', dimensions);
  addHead(list, dimensions, head, 'lm_head');
  return list.pieces;
}
