/** GGUF metadata as the fields of config.json: sizes, positions and what llama.cpp has in its code (llama-model.cpp). */
import type { MetadataKeys, ModelSource } from './metadata-keys.ts';
import type { GgufFile } from './open-gguf.ts';
import { readScaling } from './read-rope.ts';

/** Fields of config.json; the reader of the family says what is wrong with them. */
export type ConfigFields = Record<string, unknown>;

/** llama.cpp's names of architectures, with the fields of Hugging Face's family. */
const ARCHITECTURES: Readonly<Record<string, (source: ModelSource) => ConfigFields>> = {
  llama: readLlama,
  qwen2: (source) => ({ model_type: 'qwen2', ...readLlamaKind(source), use_sliding_window: false }),
  qwen3: (source) => ({
    model_type: 'qwen3',
    ...readLlamaKind(source),
    use_sliding_window: false,
    attention_bias: source.file.tensors.has('blk.0.attn_q.bias'),
  }),
  phi3: readPhi3,
  gemma2: readGemma2,
  gemma3: readGemma3,
  gpt2: readGpt2,
  gptneox: readGptNeox,
};

/** Architectures that are read, by llama.cpp's names. */
export const ARCHITECTURE_NAMES = Object.keys(ARCHITECTURES);

/** The fields of a file's config.json; undefined where no reader knows its architecture. */
export function readConfig(keys: MetadataKeys, file: GgufFile): ConfigFields | undefined {
  const architecture = keys.text('general.architecture') ?? '';
  const read = Object.hasOwn(ARCHITECTURES, architecture) ? ARCHITECTURES[architecture] : undefined;
  return read?.({ keys, file, own: (key) => `${architecture}.${key}` });
}

/** What every architecture has. */
function sizes({ keys, own }: ModelSource): {
  layers: number;
  width: number;
  heads: number;
  inner: number;
  context: number;
} {
  const count = (key: string): number => keys.required(own(key), keys.count, 1);
  return {
    layers: count('block_count'),
    width: count('embedding_length'),
    heads: count('attention.head_count'),
    inner: count('feed_forward_length'),
    context: count('context_length'),
  };
}

/** Rows of the token table: the vocabulary. What the metadata says of it must agree. */
function vocabulary({ keys, file, own }: ModelSource): { vocab_size: number; tie_word_embeddings: boolean } {
  const rows = file.tensors.get('token_embd.weight')?.shape[0] ?? 1;
  const said = keys.count(own('vocab_size'));
  if (said !== undefined && said !== rows) {
    keys.problem(own('vocab_size'), `is ${said}, and the token table has ${rows} rows.`);
  }
  return { vocab_size: rows, tie_word_embeddings: isTied(file) };
}

/** Without a head of its own the model reads the embedding; some converters write the same table twice. */
function isTied(file: GgufFile): boolean {
  const [head, table] = [file.tensors.get('output.weight'), file.tensors.get('token_embd.weight')];
  if (head === undefined) return true;
  if (table === undefined || head.type !== table.type || head.to - head.from !== table.to - table.from) return false;
  return Buffer.compare(file.bytes('output.weight'), file.bytes('token_embd.weight')) === 0;
}

/** Llama, Qwen and Gemma, and Phi-3 but for its partial rotation: the same fields. */
function readLlamaKind(source: ModelSource): ConfigFields {
  const { keys, own } = source;
  const { layers, width, heads, inner, context } = sizes(source);
  return {
    hidden_size: width,
    intermediate_size: inner,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: keys.count(own('attention.head_count_kv')) ?? heads,
    ...headFields(source, width / heads),
    rms_norm_eps: keys.required(own('attention.layer_norm_rms_epsilon'), keys.number, 1),
    max_position_embeddings: context,
    rope_theta: keys.number(own('rope.freq_base')) ?? 10_000,
    rope_scaling: readScaling(source),
    ...vocabulary(source),
  };
}

/** Keys and values of a head are as wide; what is rotated of it is less in a Phi-3 only. */
function headFields({ keys, own }: ModelSource, usual: number): ConfigFields {
  const isPhi = own('') === 'phi3.';
  const rotated = keys.count(own('rope.dimension_count'));
  const width = keys.count(own('attention.key_length')) ?? (isPhi ? usual : (rotated ?? usual));
  const values = keys.count(own('attention.value_length')) ?? width;
  if (values !== width)
    keys.problem(own('attention.value_length'), `expected ${width} as of keys, received ${values}.`);
  if (isPhi) return { head_dim: width, partial_rotary_factor: (rotated ?? width) / width };
  if (rotated !== undefined && rotated !== width) {
    keys.problem(own('rope.dimension_count'), `expected all ${width} values of a head, received ${rotated}.`);
  }
  return { head_dim: width };
}

/** Llama, and Mistral, which llama.cpp reads as a Llama: a window is a Mistral's. */
function readLlama(source: ModelSource): ConfigFields {
  const { keys, file, own } = source;
  const window = keys.count(own('attention.sliding_window'));
  const bias = (name: string): boolean => file.tensors.has(`blk.0.${name}.bias`);
  const fields = readLlamaKind(source);
  if (window !== undefined) return { model_type: 'mistral', ...fields, sliding_window: window };
  return { model_type: 'llama', ...fields, attention_bias: bias('attn_q'), mlp_bias: bias('ffn_gate') };
}

function readPhi3(source: ModelSource): ConfigFields {
  const { keys, own } = source;
  const window = keys.number(own('attention.sliding_window')) ?? 0;
  const original = keys.count(own('rope.scaling.original_context_length'));
  return {
    model_type: 'phi3',
    ...readLlamaKind(source),
    sliding_window: window > 0 ? window : null,
    ...(original !== undefined && { original_max_position_embeddings: original }),
  };
}

/** Layers with a window alternate with those that read all: every n-th does. */
function layerTypes(layers: number, pattern: number): string[] {
  return Array.from({ length: layers }, (_, i) => ((i + 1) % pattern === 0 ? 'full_attention' : 'sliding_attention'));
}

/** Only the largest of Gemma 2 and 3 divide scores by another root than that of a head's width; llama.cpp knows them by their layers. */
function scoreScalar({ layers, largest }: { layers: number; largest: number }, fields: ConfigFields): number {
  const { hidden_size: width, num_attention_heads: heads, head_dim: headDim } = fields as Record<string, number>;
  return layers === largest ? (width as number) / (heads as number) : (headDim as number);
}

/** What Gemma 2 and 3 have in common. @param own the layers of the family's largest model, and every how many read all */
function readGemma(source: ModelSource, own: { largest: number; pattern: number }): ConfigFields {
  const fields = readLlamaKind(source);
  const layers = fields.num_hidden_layers as number;
  return {
    ...fields,
    hidden_activation: 'gelu_pytorch_tanh',
    query_pre_attn_scalar: scoreScalar({ layers, largest: own.largest }, fields),
    layer_types: layerTypes(layers, own.pattern),
  };
}

function readGemma2(source: ModelSource): ConfigFields {
  const { keys, own } = source;
  return {
    model_type: 'gemma2',
    ...readGemma(source, { largest: 46, pattern: 2 }),
    attn_logit_softcapping: keys.number(own('attn_logit_softcapping')) ?? 50,
    final_logit_softcapping: keys.number(own('final_logit_softcapping')) ?? 30,
    sliding_window: keys.count(own('attention.sliding_window')) ?? 4096,
  };
}

function readGemma3(source: ModelSource): ConfigFields {
  const { keys, own } = source;
  const pattern = keys.count(own('attention.sliding_window_pattern')) ?? 6;
  return {
    model_type: 'gemma3_text',
    ...readGemma(source, { largest: 62, pattern }),
    final_logit_softcapping: keys.number(own('final_logit_softcapping')) ?? null,
    rope_local_base_freq: keys.number(own('rope.freq_base_swa')) ?? 10_000,
    sliding_window: keys.required(own('attention.sliding_window'), keys.count, 1),
  };
}

function readGpt2(source: ModelSource): ConfigFields {
  const { keys, own } = source;
  const { layers, width, heads, inner, context } = sizes(source);
  return {
    model_type: 'gpt2',
    n_positions: context,
    n_embd: width,
    n_layer: layers,
    n_head: heads,
    n_inner: inner,
    // llama.cpp has the tanh form for this architecture.
    activation_function: 'gelu_new',
    layer_norm_epsilon: keys.required(own('attention.layer_norm_epsilon'), keys.number, 1),
    ...vocabulary(source),
    ...sameHeads(source, heads, width),
  };
}

function readGptNeox(source: ModelSource): ConfigFields {
  const { keys, own } = source;
  const { layers, width, heads, inner, context } = sizes(source);
  const rotated = keys.count(own('rope.dimension_count'));
  return {
    model_type: 'gpt_neox',
    hidden_size: width,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    intermediate_size: inner,
    // llama.cpp computes its tanh form here; the models were trained with this one.
    hidden_act: 'gelu',
    layer_norm_eps: keys.required(own('attention.layer_norm_epsilon'), keys.number, 1),
    use_parallel_residual: keys.flag(own('use_parallel_residual')) ?? true,
    max_position_embeddings: context,
    rotary_emb_base: keys.number(own('rope.freq_base')) ?? 10_000,
    rotary_pct: rotated === undefined ? 1 : (rotated * heads) / width,
    rope_scaling: readScaling(source),
    ...vocabulary(source),
    ...sameHeads(source, heads, width),
  };
}

/** As many heads of keys as of queries, each a share of the width: these families have no fields for anything else. */
function sameHeads({ keys, own }: ModelSource, heads: number, width: number): ConfigFields {
  const expected = { 'attention.head_count_kv': heads, 'attention.key_length': width / heads };
  for (const [key, value] of Object.entries({ ...expected, 'attention.value_length': width / heads })) {
    const received = keys.count(own(key)) ?? value;
    if (received !== value) keys.problem(own(key), `expected ${value}, received ${received}.`);
  }
  return {};
}
