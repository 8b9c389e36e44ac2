/** GPT-NeoX and Pythia: transformers modeling_gpt_neox.py. q, k and v of a head lie together; partial rotation. */
import type { HeadKind, ModelDimensions } from '../../model/dimensions.ts';
import { PLAIN } from '../../model/dimensions.ts';
import type { ConfigFields } from '../config-fields.ts';
import { ACTIVATIONS, activationName } from './gpt2.ts';
import type { FamilyFormat, Piece } from './pieces.ts';
import { addHead, addNorm, pieceList } from './pieces.ts';
import { readRope, writeRope } from './rope-fields.ts';

export const gptNeox: FamilyFormat = {
  classes: { tokens: 'GPTNeoXForCausalLM', score: 'GPTNeoXForSequenceClassification' },
  prefixes: ['gpt_neox.'],
  defaultTied: false,
  read,
  write,
  pieces,
};

function read(fields: ConfigFields): ModelDimensions {
  const dModel = fields.count('hidden_size');
  const heads = fields.count('num_attention_heads');
  const attention = fields.flag('attention_bias', true);
  const rope = readRope(fields, { theta: 'rotary_emb_base', fraction: 'rotary_pct', defaultFraction: 0.25 });
  return {
    ...PLAIN,
    ...rope,
    family: 'gpt_neox',
    vocab: fields.count('vocab_size'),
    layers: fields.layers('num_hidden_layers'),
    heads,
    kvHeads: heads,
    headDim: dModel / heads,
    dModel,
    dFf: fields.count('intermediate_size'),
    norm: 'layer',
    normEpsilon: fields.number('layer_norm_eps', 1e-5),
    positions: 'rotary',
    activation: fields.choice('hidden_act', ACTIVATIONS, 'gelu'),
    biases: { qkv: attention, attentionOutput: attention, mlp: true },
    residual: fields.flag('use_parallel_residual', true) ? 'parallel' : 'sequential',
    tiedHead: fields.flag('tie_word_embeddings', false),
  };
}

function write(dimensions: ModelDimensions): Record<string, unknown> {
  return {
    hidden_size: dimensions.dModel,
    num_hidden_layers: dimensions.layers,
    num_attention_heads: dimensions.heads,
    intermediate_size: dimensions.dFf,
    hidden_act: activationName(dimensions.activation),
    layer_norm_eps: dimensions.normEpsilon,
    attention_bias: dimensions.biases.qkv,
    use_parallel_residual: dimensions.residual === 'parallel',
    ...writeRope(dimensions, { theta: 'rotary_emb_base', fraction: 'rotary_pct' }),
    attention_dropout: 0,
    hidden_dropout: 0,
  };
}

function pieces(dimensions: ModelDimensions, head: HeadKind): Piece[] {
  const { dModel, dFf, heads, headDim, biases } = dimensions;
  const width = heads * headDim;
  // Ours: all queries, all keys, all values; the file: for each head its query, key and value.
  const order = (column: number): number => {
    const [part, within] = [Math.floor(column / width), column % width];
    const [which, value] = [Math.floor(within / headDim), within % headDim];
    return (3 * which + part) * headDim + value;
  };
  const list = pieceList(dimensions, head);
  list.whole('embedding.tokens', 'gpt_neox.embed_in.weight', dModel);
  for (let layer = 0; layer < dimensions.layers; layer++) {
    const [ours, theirs] = [`blocks.${layer}`, `gpt_neox.layers.${layer}`];
    addNorm(list, `${ours}.attention.norm`, `${theirs}.input_layernorm`, dimensions);
    const qkv = `${theirs}.attention.query_key_value`;
    list.linear(`${ours}.attention.qkv`, qkv, [0, 3 * width], biases.qkv, { order });
    list.linear(`${ours}.attention.output`, `${theirs}.attention.dense`, [0, dModel], biases.attentionOutput);
    addNorm(list, `${ours}.mlp.norm`, `${theirs}.post_attention_layernorm`, dimensions);
    list.linear(`${ours}.mlp.input`, `${theirs}.mlp.dense_h_to_4h`, [0, dFf], true);
    list.linear(`${ours}.mlp.output`, `${theirs}.mlp.dense_4h_to_h`, [0, dModel], true);
  }
  addNorm(list, 'final_norm', 'gpt_neox.final_layer_norm', dimensions);
  addHead(list, dimensions, head, 'embed_out');
  return list.pieces;
}
