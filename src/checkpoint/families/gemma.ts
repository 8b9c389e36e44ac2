/** Gemma 2 and 3 (text): transformers modeling_gemma2.py and modeling_gemma3.py. Four norms a layer, 1 + w as their gain. */
import type { ModelDimensions, ModelFamily } from '../../model/dimensions.ts';
import { PLAIN } from '../../model/dimensions.ts';
import type { ConfigFields } from '../config-fields.ts';
import { layerTypes, readLayerTypes } from './layer-types.ts';
import { llamaPieces, writeSizes } from './llama.ts';
import type { FamilyFormat } from './pieces.ts';
import { readRope, readRopeByLayer, writeRope, writeRopeByLayer } from './rope-fields.ts';

type GemmaFamily = ModelFamily & ('gemma2' | 'gemma3_text');

/** What transformers takes where a field is missing; published files of Gemma 3 leave many out. */
const DEFAULTS = {
  gemma2: { vocab: 256_000, context: 8192, attentionCap: 50, logitCap: 30 },
  gemma3_text: { vocab: 262_208, context: 131_072, attentionCap: null, logitCap: null },
} as const;

const CLASSES = {
  gemma2: { tokens: 'Gemma2ForCausalLM', score: 'Gemma2ForSequenceClassification' },
  gemma3_text: { tokens: 'Gemma3ForCausalLM', score: 'Gemma3TextForSequenceClassification' },
} as const;

/** The format of one of these families; they differ in soft caps, head norms and rotary settings. */
export function gemmaFormat(family: GemmaFamily): FamilyFormat {
  return {
    classes: CLASSES[family],
    // The others are those of models that read images, as transformers 4 and 5 write them.
    prefixes: ['model.', 'language_model.model.', 'model.language_model.'],
    defaultTied: true,
    read: (fields) => read(fields, family),
    write: (dimensions) => write(dimensions, family),
    pieces: llamaPieces,
  };
}

function read(fields: ConfigFields, family: GemmaFamily): ModelDimensions {
  const usual = DEFAULTS[family];
  const isThird = family === 'gemma3_text';
  const layers = fields.layers('num_hidden_layers', 26);
  const headDim = fields.count('head_dim', 256);
  const scalar = fields.number('query_pre_attn_scalar', 256);
  const attentionBias = fields.flag('attention_bias', false);
  const attentionCap = readCap(fields, 'attn_logit_softcapping', usual.attentionCap);
  const windows = readWindows(fields, family, layers);
  const rope = isThird ? readRopeByLayer(fields, usual.context) : readRope(fields, { theta: 'rope_theta', ...usual });
  fields.only('use_bidirectional_attention', [false]);
  // Beside the fields that count, in first published files; transformers does not read them.
  for (const key of ['hidden_act', 'sliding_window_size']) fields.take(key);
  return {
    ...PLAIN,
    ...rope,
    family,
    vocab: fields.count('vocab_size', usual.vocab),
    layers,
    heads: fields.count('num_attention_heads', 8),
    kvHeads: fields.count('num_key_value_heads', 4),
    headDim,
    dModel: fields.count('hidden_size', 2304),
    dFf: fields.count('intermediate_size', 9216),
    scaledEmbedding: true,
    norm: 'rms',
    normEpsilon: fields.number('rms_norm_eps', 1e-6),
    gainFromOne: true,
    postNorm: true,
    headNorm: isThird,
    attentionScalar: scalar === headDim ? null : scalar,
    // Gemma 3's attention in transformers does not read its field.
    attentionSoftCap: isThird ? null : attentionCap,
    logitSoftCap: readCap(fields, 'final_logit_softcapping', usual.logitCap),
    positions: 'rotary',
    windowRope: windows.length === 0 ? null : rope.windowRope,
    activation: fields.choice(
      'hidden_activation',
      { gelu_pytorch_tanh: 'geglu', gelu_new: 'geglu' } as const,
      'gelu_pytorch_tanh',
    ),
    biases: { qkv: attentionBias, attentionOutput: attentionBias, mlp: false },
    windows,
    tiedHead: fields.flag('tie_word_embeddings', true),
  };
}

/** Null is no cap, a missing field the usual one. */
function readCap(fields: ConfigFields, key: string, usual: number | null): number | null {
  if (fields.take(key) !== undefined) return fields.number(key);
  return fields.has(key) ? null : usual;
}

/** By layer_types; without, every second layer of a Gemma 2 reads all, and every sixth (or what the file says) of a Gemma 3. */
function readWindows(fields: ConfigFields, family: GemmaFamily, layers: number): (number | null)[] {
  const pattern = family === 'gemma2' ? 2 : fields.count('sliding_window_pattern', 6);
  if (fields.has('sliding_window') && fields.take('sliding_window') === undefined) {
    fields.problem('sliding_window', 'expected a whole number from 1, received null.');
  }
  const window = fields.count('sliding_window', 4096);
  return readLayerTypes(fields, layers, window, (layer) => (layer + 1) % pattern !== 0);
}

function write(dimensions: ModelDimensions, family: GemmaFamily): Record<string, unknown> {
  return {
    ...writeSizes(dimensions),
    hidden_activation: 'gelu_pytorch_tanh',
    rms_norm_eps: dimensions.normEpsilon,
    ...(family === 'gemma2' ? writeRope(dimensions, { theta: 'rope_theta' }) : writeRopeByLayer(dimensions)),
    query_pre_attn_scalar: dimensions.attentionScalar ?? dimensions.headDim,
    attn_logit_softcapping: dimensions.attentionSoftCap,
    final_logit_softcapping: dimensions.logitSoftCap,
    sliding_window: dimensions.windows.find((size) => size !== null) ?? 4096,
    layer_types: layerTypes(dimensions),
    attention_bias: dimensions.biases.qkv,
    attention_dropout: 0,
  };
}
