/** OPT: transformers modeling_opt.py. Learned positions from row 2 on, ReLU, pre-norm. */
import type { HeadKind, ModelDimensions } from '../../model/dimensions.ts';
import { ALL_BIASES, NO_BIASES, PLAIN } from '../../model/dimensions.ts';
import type { ConfigFields } from '../config-fields.ts';
import { ACTIVATIONS, activationName } from './gpt2.ts';
import type { FamilyFormat, Piece } from './pieces.ts';
import { addHead, addNorm, pieceList } from './pieces.ts';

/** Rows of the position table that only padding ever read. */
const PADDING_ROWS = 2;

export const opt: FamilyFormat = {
  classes: { tokens: 'OPTForCausalLM', score: 'OPTForSequenceClassification' },
  // Meta's original files begin with the decoder.
  prefixes: ['model.decoder.', 'decoder.'],
  defaultTied: true,
  read,
  write,
  pieces,
};

function read(fields: ConfigFields): ModelDimensions {
  const dModel = fields.count('hidden_size');
  const heads = fields.count('num_attention_heads');
  fields.only('word_embed_proj_dim', [dModel]);
  fields.only('do_layer_norm_before', [true]);
  fields.only('layer_norm_elementwise_affine', [true]);
  fields.only('_remove_final_layer_norm', [false]);
  return {
    ...PLAIN,
    family: 'opt',
    vocab: fields.count('vocab_size'),
    context: fields.count('max_position_embeddings'),
    layers: fields.layers('num_hidden_layers'),
    heads,
    kvHeads: heads,
    headDim: dModel / heads,
    dModel,
    dFf: fields.count('ffn_dim'),
    norm: 'layer',
    normEpsilon: 1e-5, // nn.LayerNorm's own; OPT has no field for it
    positions: 'learned',
    activation: fields.choice('activation_function', ACTIVATIONS, 'relu'),
    biases: fields.flag('enable_bias', true) ? ALL_BIASES : NO_BIASES,
    tiedHead: fields.flag('tie_word_embeddings', true),
  };
}

function write(dimensions: ModelDimensions): Record<string, unknown> {
  return {
    max_position_embeddings: dimensions.context,
    hidden_size: dimensions.dModel,
    word_embed_proj_dim: dimensions.dModel,
    num_hidden_layers: dimensions.layers,
    num_attention_heads: dimensions.heads,
    ffn_dim: dimensions.dFf,
    activation_function: activationName(dimensions.activation),
    enable_bias: dimensions.biases.qkv,
    do_layer_norm_before: true,
    dropout: 0,
    attention_dropout: 0,
    layerdrop: 0,
  };
}

function pieces(dimensions: ModelDimensions, head: HeadKind): Piece[] {
  const { dModel, dFf, heads, headDim, biases } = dimensions;
  const width = heads * headDim;
  const list = pieceList(dimensions, head);
  list.whole('embedding.tokens', 'model.decoder.embed_tokens.weight', dModel);
  const positions = 'model.decoder.embed_positions.weight';
  list.whole('embedding.positions', positions, dModel, { skipRows: PADDING_ROWS });
  for (let layer = 0; layer < dimensions.layers; layer++) {
    const [ours, theirs] = [`blocks.${layer}`, `model.decoder.layers.${layer}`];
    addNorm(list, `${ours}.attention.norm`, `${theirs}.self_attn_layer_norm`, dimensions);
    for (const [i, part] of (['q_proj', 'k_proj', 'v_proj'] as const).entries()) {
      const columns = [i * width, (i + 1) * width] as const;
      list.linear(`${ours}.attention.qkv`, `${theirs}.self_attn.${part}`, columns, biases.qkv);
    }
    list.linear(`${ours}.attention.output`, `${theirs}.self_attn.out_proj`, [0, dModel], biases.attentionOutput);
    addNorm(list, `${ours}.mlp.norm`, `${theirs}.final_layer_norm`, dimensions);
    list.linear(`${ours}.mlp.input`, `${theirs}.fc1`, [0, dFf], biases.mlp);
    list.linear(`${ours}.mlp.output`, `${theirs}.fc2`, [0, dModel], biases.mlp);
  }
  addNorm(list, 'final_norm', 'model.decoder.final_layer_norm', dimensions);
  addHead(list, dimensions, head, 'lm_head');
  return list.pieces;
}
