/** Phi-3, Phi-3.5 and Phi-4 (mini): transformers modeling_phi3.py. q, k, v are one tensor, and so are gate and up. */
import type { HeadKind, ModelDimensions } from '../../model/dimensions.ts';
import { NO_BIASES, PLAIN } from '../../model/dimensions.ts';
import type { ConfigFields } from '../config-fields.ts';
import { writeSizes } from './llama.ts';
import type { FamilyFormat, Piece } from './pieces.ts';
import { addHead, addNorm, pieceList } from './pieces.ts';
import { readRope, writeRope } from './rope-fields.ts';

const ROPE = { theta: 'rope_theta', fraction: 'partial_rotary_factor' } as const;

/** First published files call it su or yarn; transformers reads both as this one, and knows no other kind. */
const SCALINGS = { default: 'default', longrope: 'longrope', su: 'longrope', yarn: 'longrope' } as const;

export const phi3: FamilyFormat = {
  classes: { tokens: 'Phi3ForCausalLM', score: 'Phi3ForSequenceClassification' },
  prefixes: ['model.'],
  defaultTied: false,
  read,
  write,
  pieces,
};

function read(fields: ConfigFields): ModelDimensions {
  const dModel = fields.count('hidden_size', 3072);
  const heads = fields.count('num_attention_heads', 32);
  const layers = fields.layers('num_hidden_layers', 32);
  const window = fields.take('sliding_window') === undefined ? null : fields.count('sliding_window');
  for (const key of ['attention_bias', 'mlp_bias', 'lm_head_bias']) fields.only(key, [false]);
  for (const key of ['full_attn_mod', 'interpolate_factor']) fields.only(key, [1]);
  checkCode(fields);
  return {
    ...PLAIN,
    ...readRope(fields, { ...ROPE, context: 4096, originalContext: 4096, kinds: SCALINGS }),
    family: 'phi3',
    vocab: fields.count('vocab_size', 32_064),
    layers,
    heads,
    kvHeads: fields.count('num_key_value_heads', heads),
    headDim: fields.count('head_dim', dModel / heads),
    dModel,
    dFf: fields.count('intermediate_size', 8192),
    norm: 'rms',
    normEpsilon: fields.number('rms_norm_eps', 1e-5),
    positions: 'rotary',
    activation: fields.choice('hidden_act', { silu: 'swiglu', swish: 'swiglu' } as const, 'silu'),
    biases: NO_BIASES,
    windows: window === null ? [] : new Array<number>(layers).fill(window),
    tiedHead: fields.flag('tie_word_embeddings', false),
  };
}

/** Published files name code of their own, from before transformers had it; other code is another model. */
function checkCode(fields: ConfigFields): void {
  const map = fields.take('auto_map');
  if (map === undefined) return;
  const isOwn = ([key, code]: [string, unknown]): boolean =>
    key === 'AutoTokenizer' || /(^|--)(configuration|modeling)_phi3\.Phi3\w+$/.test(String(code));
  if (typeof map === 'object' && Object.entries(map as object).every(isOwn)) return;
  fields.problem('auto_map', `expected configuration_phi3 and modeling_phi3, received ${JSON.stringify(map)}.`);
}

function write(dimensions: ModelDimensions): Record<string, unknown> {
  const { windows, ropeScaling, context } = dimensions;
  return {
    ...writeSizes(dimensions),
    hidden_act: 'silu',
    rms_norm_eps: dimensions.normEpsilon,
    ...writeRope(dimensions, ROPE),
    original_max_position_embeddings: ropeScaling?.type === 'longrope' ? ropeScaling.originalContext : context,
    sliding_window: windows[0] ?? null,
    resid_pdrop: 0,
    embd_pdrop: 0,
    attention_dropout: 0,
  };
}

function pieces(dimensions: ModelDimensions, head: HeadKind): Piece[] {
  const { heads, kvHeads, headDim, dModel, dFf } = dimensions;
  const list = pieceList(dimensions, head);
  list.whole('embedding.tokens', 'model.embed_tokens.weight', dModel);
  for (let layer = 0; layer < dimensions.layers; layer++) {
    const [ours, theirs] = [`blocks.${layer}`, `model.layers.${layer}`];
    addNorm(list, `${ours}.attention.norm`, `${theirs}.input_layernorm`, dimensions);
    const qkv = [0, (heads + 2 * kvHeads) * headDim] as const;
    list.linear(`${ours}.attention.qkv`, `${theirs}.self_attn.qkv_proj`, qkv, false);
    list.linear(`${ours}.attention.output`, `${theirs}.self_attn.o_proj`, [0, dModel], false);
    addNorm(list, `${ours}.mlp.norm`, `${theirs}.post_attention_layernorm`, dimensions);
    list.linear(`${ours}.mlp.input`, `${theirs}.mlp.gate_up_proj`, [0, 2 * dFf], false);
    list.linear(`${ours}.mlp.output`, `${theirs}.mlp.down_proj`, [0, dModel], false);
  }
  addNorm(list, 'final_norm', 'model.norm', dimensions);
  addHead(list, dimensions, head, 'lm_head');
  return list.pieces;
}
