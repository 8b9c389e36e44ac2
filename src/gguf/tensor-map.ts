/**
 * The tensors of a GGUF file, as pieces of the decoder's parameters: names, order and direction are those of llama.cpp's
 * own converter (convert_hf_to_gguf.py, gguf-py/gguf/tensor_mapping.py). Writing and reading both go by this map.
 */
import type { Piece } from '../checkpoint/families/pieces.ts';
import { piecesOf } from '../checkpoint/tensor-match.ts';
import { ShapeError } from '../errors.ts';
import type { ModelDimensions, ModelFamily } from '../model/dimensions.ts';

/** How a family is called there, and its tensors. */
interface Architecture {
  /** `general.architecture`. */
  readonly name: string;
  /** Hugging Face's name of a layer, up to its number. */
  readonly layer: string;
  /** Tensors outside the layers, then those of a layer, by Hugging Face's names; without ".weight" and ".bias". */
  readonly outside: Readonly<Record<string, string>>;
  readonly inside: Readonly<Record<string, string>>;
}

const LLAMA = {
  layer: 'model.layers.',
  outside: { 'model.embed_tokens': 'token_embd', 'model.norm': 'output_norm', lm_head: 'output' },
  inside: {
    input_layernorm: 'attn_norm',
    'self_attn.q_proj': 'attn_q',
    'self_attn.k_proj': 'attn_k',
    'self_attn.v_proj': 'attn_v',
    'self_attn.o_proj': 'attn_output',
    'self_attn.q_norm': 'attn_q_norm',
    'self_attn.k_norm': 'attn_k_norm',
    post_attention_layernorm: 'ffn_norm',
    'mlp.gate_proj': 'ffn_gate',
    'mlp.up_proj': 'ffn_up',
    'mlp.down_proj': 'ffn_down',
  },
};

/** Four norms a layer; the second has the name that is the first's of the feed-forward layer elsewhere. */
const GEMMA = {
  ...LLAMA,
  inside: {
    ...LLAMA.inside,
    post_attention_layernorm: 'post_attention_norm',
    pre_feedforward_layernorm: 'ffn_norm',
    post_feedforward_layernorm: 'post_ffw_norm',
  },
};

/** Families that llama.cpp has; GPT-Neo and OPT are not among them. */
const ARCHITECTURES: Partial<Record<ModelFamily, Architecture>> = {
  llama: { name: 'llama', ...LLAMA },
  // llama.cpp reads a Mistral as a Llama.
  mistral: { name: 'llama', ...LLAMA },
  qwen2: { name: 'qwen2', ...LLAMA },
  qwen3: { name: 'qwen3', ...LLAMA },
  gemma2: { name: 'gemma2', ...GEMMA },
  gemma3_text: { name: 'gemma3', ...GEMMA },
  phi3: {
    name: 'phi3',
    ...LLAMA,
    inside: { ...LLAMA.inside, 'self_attn.qkv_proj': 'attn_qkv', 'mlp.gate_up_proj': 'ffn_up' },
  },
  gpt2: {
    name: 'gpt2',
    layer: 'transformer.h.',
    outside: {
      'transformer.wte': 'token_embd',
      'transformer.wpe': 'position_embd',
      'transformer.ln_f': 'output_norm',
      lm_head: 'output',
    },
    inside: {
      ln_1: 'attn_norm',
      'attn.c_attn': 'attn_qkv',
      'attn.c_proj': 'attn_output',
      ln_2: 'ffn_norm',
      'mlp.c_fc': 'ffn_up',
      'mlp.c_proj': 'ffn_down',
    },
  },
  gpt_neox: {
    name: 'gptneox',
    layer: 'gpt_neox.layers.',
    outside: {
      'gpt_neox.embed_in': 'token_embd',
      'gpt_neox.final_layer_norm': 'output_norm',
      embed_out: 'output',
    },
    inside: {
      input_layernorm: 'attn_norm',
      'attention.query_key_value': 'attn_qkv',
      'attention.dense': 'attn_output',
      post_attention_layernorm: 'ffn_norm',
      'mlp.dense_h_to_4h': 'ffn_up',
      'mlp.dense_4h_to_h': 'ffn_down',
    },
  },
};

/** Families that GGUF has. */
export const ggufFamilies: readonly ModelFamily[] = Object.keys(ARCHITECTURES) as ModelFamily[];

/** `general.architecture` of a family; undefined where llama.cpp has none. */
export function ggufArchitecture(family: ModelFamily): string | undefined {
  return ARCHITECTURES[family]?.name;
}

/**
 * The tensors of a language model's GGUF file in the order they are written in.
 * @throws ShapeError where llama.cpp has no such family
 */
export function ggufPieces(dimensions: ModelDimensions): Piece[] {
  const architecture = ARCHITECTURES[dimensions.family];
  if (architecture === undefined) throw new ShapeError(`${dimensions.family}: GGUF has no such architecture.`);
  return piecesOf(dimensions, 'tokens').map((piece) => ggufPiece(piece, dimensions, architecture));
}

function ggufPiece(piece: Piece, dimensions: ModelDimensions, architecture: Architecture): Piece {
  const { name: theirs, order: _, ...rest } = piece;
  const name = ggufName(theirs, architecture);
  // GPT-2 alone has linear weights [in, out] in Hugging Face files; GGUF has [out, in] for all.
  const isMatrix = piece.parameter.shape.length === 2 && !piece.parameter.role.startsWith('embedding.');
  const order = rotaryOrder(name, dimensions);
  return { ...rest, name, transposed: isMatrix, ...(order !== undefined && { order }) };
}

function ggufName(name: string, { layer, outside, inside }: Architecture): string {
  const [, stem = '', kind = ''] = /^(.*)\.(weight|bias)$/.exec(name) ?? [];
  const [number = '', ...part] = stem.startsWith(layer) ? stem.slice(layer.length).split('.') : [];
  const found = number === '' ? outside[stem] : inside[part.join('.')];
  if (found === undefined) throw new ShapeError(`tensor "${name}": GGUF has no name for it.`);
  return number === '' ? `${found}.${kind}` : `blk.${number}.${found}.${kind}`;
}

/**
 * llama.cpp rotates neighbouring values of a Llama's queries and keys where Hugging Face rotates value i with i + head_dim/2:
 * value i of half j of a head lies at 2 · i + j there. Its other architectures rotate halves.
 */
function rotaryOrder(name: string, { family, headDim }: ModelDimensions): ((column: number) => number) | undefined {
  if (family !== 'llama' && family !== 'mistral') return undefined;
  if (!/\.attn_[qk]\.(weight|bias)$/.test(name)) return undefined;
  return (column) => {
    const within = column % headDim;
    const half = headDim / 2;
    return column - within + 2 * (within % half) + Math.floor(within / half);
  };
}
