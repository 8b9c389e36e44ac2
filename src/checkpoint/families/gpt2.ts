/** GPT-2: transformers modeling_gpt2.py. Conv1D layers [in, out], q, k and v side by side, under "transformer.". */
import type { HeadKind, ModelDimensions } from '../../model/dimensions.ts';
import { ALL_BIASES, PLAIN } from '../../model/dimensions.ts';
import type { ConfigFields } from '../config-fields.ts';
import type { FamilyFormat, Piece } from './pieces.ts';
import { addHead, addNorm, pieceList } from './pieces.ts';

/** Names of activations in Hugging Face files; GPT-2, GPT-Neo, OPT and GPT-NeoX can have each of them. */
export const ACTIVATIONS = {
  gelu_new: 'gelu',
  gelu_pytorch_tanh: 'gelu',
  gelu_fast: 'gelu',
  gelu: 'gelu_exact',
  relu: 'relu',
} as const;

/** The name an activation is written under. */
export function activationName(activation: ModelDimensions['activation']): string {
  return { gelu: 'gelu_new', gelu_exact: 'gelu', relu: 'relu', swiglu: 'silu', geglu: 'gelu_new' }[activation];
}

export const gpt2: FamilyFormat = {
  classes: { tokens: 'GPT2LMHeadModel', score: 'GPT2ForSequenceClassification' },
  // OpenAI's original files have no prefix.
  prefixes: ['transformer.', ''],
  defaultTied: true,
  read,
  write,
  pieces,
};

function read(fields: ConfigFields): ModelDimensions {
  fields.only('scale_attn_weights', [true]);
  fields.only('scale_attn_by_inverse_layer_idx', [false]);
  fields.only('add_cross_attention', [false]);
  const dModel = fields.count('n_embd');
  const heads = fields.count('n_head');
  return {
    ...PLAIN,
    family: 'gpt2',
    vocab: fields.count('vocab_size'),
    context: fields.count('n_positions'),
    layers: fields.layers('n_layer'),
    heads,
    kvHeads: heads,
    headDim: dModel / heads,
    dModel,
    dFf: fields.count('n_inner', 4 * dModel),
    norm: 'layer',
    normEpsilon: fields.number('layer_norm_epsilon', 1e-5),
    positions: 'learned',
    activation: fields.choice('activation_function', ACTIVATIONS, 'gelu_new'),
    biases: ALL_BIASES,
    tiedHead: fields.flag('tie_word_embeddings', true),
  };
}

function write(dimensions: ModelDimensions): Record<string, unknown> {
  return {
    n_positions: dimensions.context,
    n_embd: dimensions.dModel,
    n_layer: dimensions.layers,
    n_head: dimensions.heads,
    n_inner: dimensions.dFf,
    activation_function: activationName(dimensions.activation),
    layer_norm_epsilon: dimensions.normEpsilon,
    resid_pdrop: 0,
    embd_pdrop: 0,
    attn_pdrop: 0,
  };
}

function pieces(dimensions: ModelDimensions, head: HeadKind): Piece[] {
  const { dModel, dFf, heads, headDim } = dimensions;
  const list = pieceList(dimensions, head, true);
  list.whole('embedding.tokens', 'transformer.wte.weight', dModel);
  list.whole('embedding.positions', 'transformer.wpe.weight', dModel);
  for (let layer = 0; layer < dimensions.layers; layer++) {
    const [ours, theirs] = [`blocks.${layer}`, `transformer.h.${layer}`];
    addNorm(list, `${ours}.attention.norm`, `${theirs}.ln_1`, dimensions);
    list.linear(`${ours}.attention.qkv`, `${theirs}.attn.c_attn`, [0, 3 * heads * headDim], true);
    list.linear(`${ours}.attention.output`, `${theirs}.attn.c_proj`, [0, dModel], true);
    addNorm(list, `${ours}.mlp.norm`, `${theirs}.ln_2`, dimensions);
    list.linear(`${ours}.mlp.input`, `${theirs}.mlp.c_fc`, [0, dFf], true);
    list.linear(`${ours}.mlp.output`, `${theirs}.mlp.c_proj`, [0, dModel], true);
  }
  addNorm(list, 'final_norm', 'transformer.ln_f', dimensions);
  const headList = pieceList(dimensions, head);
  addHead(headList, dimensions, head, 'lm_head');
  return [...list.pieces, ...headList.pieces];
}
