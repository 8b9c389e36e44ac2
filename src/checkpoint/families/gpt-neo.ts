/** GPT-Neo: transformers modeling_gpt_neo.py. GPT-3's alternation of dense and banded attention; attention is not scaled. */
import { isDeepStrictEqual } from 'node:util';
import type { HeadKind, ModelDimensions } from '../../model/dimensions.ts';
import { ALL_BIASES, PLAIN } from '../../model/dimensions.ts';
import type { ConfigFields } from '../config-fields.ts';
import { ACTIVATIONS, activationName } from './gpt2.ts';
import type { FamilyFormat, Piece } from './pieces.ts';
import { addHead, addNorm, pieceList } from './pieces.ts';

export const gptNeo: FamilyFormat = {
  classes: { tokens: 'GPTNeoForCausalLM', score: 'GPTNeoForSequenceClassification' },
  prefixes: ['transformer.'],
  defaultTied: true,
  read,
  write,
  pieces,
};

function read(fields: ConfigFields): ModelDimensions {
  const dModel = fields.count('hidden_size');
  const heads = fields.count('num_heads');
  const layers = fields.layers('num_layers');
  const window = fields.count('window_size', 256);
  const kinds = attentionKinds(fields, layers);
  return {
    ...PLAIN,
    family: 'gpt_neo',
    attentionScalar: 1,
    vocab: fields.count('vocab_size'),
    context: fields.count('max_position_embeddings'),
    layers,
    heads,
    kvHeads: heads,
    headDim: dModel / heads,
    dModel,
    dFf: fields.count('intermediate_size', 4 * dModel),
    norm: 'layer',
    normEpsilon: fields.number('layer_norm_epsilon', 1e-5),
    positions: 'learned',
    activation: fields.choice('activation_function', ACTIVATIONS, 'gelu_new'),
    biases: { ...ALL_BIASES, qkv: false },
    windows: kinds.includes('local') ? kinds.map((kind) => (kind === 'local' ? window : null)) : [],
    tiedHead: fields.flag('tie_word_embeddings', true),
  };
}

/** [[["global", "local"], 12]]: the list, repeated; one word a layer. */
function attentionKinds(fields: ConfigFields, layers: number): string[] {
  const types = fields.take('attention_types') ?? [[['global', 'local'], layers / 2]];
  const kinds = isKinds(types, layers) ? types.flatMap(([words, times]) => repeated(words, times)) : [];
  if (kinds.length !== layers || kinds.some((kind) => kind !== 'global' && kind !== 'local')) {
    const shown = JSON.stringify(types);
    fields.problem('attention_types', `expected "global" or "local" for each of ${layers} layers, received ${shown}.`);
  }
  // Repeats the same information.
  const again = fields.take('attention_layers') ?? kinds;
  if (!isDeepStrictEqual(again, kinds)) {
    const [one, other] = [kinds, again].map((value) => JSON.stringify(value));
    fields.problem('attention_layers', `expected ${one}, as attention_types has it, received ${other}.`);
  }
  return kinds;
}

function repeated(words: readonly string[], times: number): string[] {
  return Array.from({ length: times }, () => words).flat();
}

/** Whether it is a list of pairs, of words and how often, none of them longer than the model. */
function isKinds(types: unknown, layers: number): types is [string[], number][] {
  const isCount = (value: unknown): boolean => Number.isInteger(value) && (value as number) <= layers;
  const isPair = (pair: unknown): boolean =>
    Array.isArray(pair) && pair.length === 2 && Array.isArray(pair[0]) && pair[0].length <= layers && isCount(pair[1]);
  return Array.isArray(types) && types.length <= layers && types.every(isPair);
}

function write(dimensions: ModelDimensions): Record<string, unknown> {
  const { windows, layers } = dimensions;
  const kinds = Array.from({ length: layers }, (_, layer) => (windows[layer] == null ? 'global' : 'local'));
  return {
    max_position_embeddings: dimensions.context,
    hidden_size: dimensions.dModel,
    num_layers: layers,
    num_heads: dimensions.heads,
    intermediate_size: dimensions.dFf,
    window_size: windows.find((window) => window !== null) ?? 256,
    attention_types: [[kinds, 1]],
    activation_function: activationName(dimensions.activation),
    layer_norm_epsilon: dimensions.normEpsilon,
    resid_dropout: 0,
    embed_dropout: 0,
    attention_dropout: 0,
  };
}

function pieces(dimensions: ModelDimensions, head: HeadKind): Piece[] {
  const { dModel, dFf, heads, headDim } = dimensions;
  const width = heads * headDim;
  const list = pieceList(dimensions, head);
  list.whole('embedding.tokens', 'transformer.wte.weight', dModel);
  list.whole('embedding.positions', 'transformer.wpe.weight', dModel);
  for (let layer = 0; layer < dimensions.layers; layer++) {
    const [ours, theirs] = [`blocks.${layer}`, `transformer.h.${layer}`];
    const attention = `${theirs}.attn.attention`;
    addNorm(list, `${ours}.attention.norm`, `${theirs}.ln_1`, dimensions);
    list.linear(`${ours}.attention.qkv`, `${attention}.q_proj`, [0, width], false);
    list.linear(`${ours}.attention.qkv`, `${attention}.k_proj`, [width, 2 * width], false);
    list.linear(`${ours}.attention.qkv`, `${attention}.v_proj`, [2 * width, 3 * width], false);
    list.linear(`${ours}.attention.output`, `${attention}.out_proj`, [0, dModel], true);
    addNorm(list, `${ours}.mlp.norm`, `${theirs}.ln_2`, dimensions);
    list.linear(`${ours}.mlp.input`, `${theirs}.mlp.c_fc`, [0, dFf], true);
    list.linear(`${ours}.mlp.output`, `${theirs}.mlp.c_proj`, [0, dModel], true);
  }
  addNorm(list, 'final_norm', 'transformer.ln_f', dimensions);
  addHead(list, dimensions, head, 'lm_head');
  return list.pieces;
}
