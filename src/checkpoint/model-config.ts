/** config.json of Hugging Face's GPT-2 and Llama ↔ our dimensions. */
import { readFileSync } from 'node:fs';
import { CheckpointError, ConfigError, errorMessage } from '../errors.ts';
import type { HeadKind, ModelDimensions } from '../model/dimensions.ts';
import { checkDimensions } from '../model/dimensions.ts';
import { familyOf } from './weight-names.ts';

/** Ids of the special tokens that go into config.json. */
export interface SpecialIds {
  readonly padId: number;
  readonly bosId: number | null;
  readonly eosId: number;
}

/** Mean and standard deviation of raw scores over reference responses: a score is read as (raw − mean) / deviation. */
export interface RewardNormalisation {
  readonly mean: number;
  readonly deviation: number;
}

/** What config.json says. */
export interface ModelConfig {
  readonly dimensions: ModelDimensions;
  readonly head: HeadKind;
  readonly normalisation: RewardNormalisation;
}

/** Scores as they are. */
export const NO_NORMALISATION: RewardNormalisation = { mean: 0, deviation: 1 };

/** The content of config.json, as transformers' AutoModelForCausalLM or AutoModelForSequenceClassification read it. */
export function huggingFaceConfig(
  dimensions: ModelDimensions,
  head: HeadKind,
  special: SpecialIds,
  options: { dtype: 'float32' | 'bfloat16'; normalisation: RewardNormalisation },
): Record<string, unknown> {
  const family = familyOf(dimensions);
  const name = family === 'gpt2' ? 'GPT2' : 'Llama';
  const suffix = head === 'score' ? 'ForSequenceClassification' : family === 'gpt2' ? 'LMHeadModel' : 'ForCausalLM';
  return {
    architectures: [`${name}${suffix}`],
    model_type: family,
    ...(family === 'gpt2' ? gpt2Fields(dimensions) : llamaFields(dimensions)),
    vocab_size: dimensions.vocab,
    tie_word_embeddings: dimensions.tiedHead,
    bos_token_id: special.bosId,
    eos_token_id: special.eosId,
    pad_token_id: special.padId,
    torch_dtype: options.dtype,
    use_cache: true,
    ...(head === 'score' ? { num_labels: 1, id2label: { 0: 'reward' }, label2id: { reward: 0 } } : {}),
    ...(head === 'score' ? { plumbline: { reward_normalisation: options.normalisation } } : {}),
  };
}

function gpt2Fields(dimensions: ModelDimensions): Record<string, unknown> {
  return {
    n_positions: dimensions.context,
    n_embd: dimensions.dModel,
    n_layer: dimensions.layers,
    n_head: dimensions.heads,
    n_inner: dimensions.dFf,
    activation_function: 'gelu_new',
    layer_norm_epsilon: dimensions.normEpsilon,
    resid_pdrop: 0,
    embd_pdrop: 0,
    attn_pdrop: 0,
  };
}

function llamaFields(dimensions: ModelDimensions): Record<string, unknown> {
  return {
    max_position_embeddings: dimensions.context,
    hidden_size: dimensions.dModel,
    intermediate_size: dimensions.dFf,
    num_hidden_layers: dimensions.layers,
    num_attention_heads: dimensions.heads,
    num_key_value_heads: dimensions.kvHeads,
    head_dim: dimensions.headDim,
    hidden_act: 'silu',
    rms_norm_eps: dimensions.normEpsilon,
    rope_theta: dimensions.ropeTheta,
    attention_bias: false,
    mlp_bias: false,
    attention_dropout: 0,
  };
}

/**
 * Reads config.json.
 * @throws CheckpointError listing every field that is missing or asks for something this decoder does not do
 */
export function readModelConfig(path: string): ModelConfig {
  let raw: Record<string, unknown>;
  try {
    raw = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    if (typeof raw !== 'object' || raw === null) throw new TypeError('it holds no object');
  } catch (error) {
    throw new CheckpointError(
      `${path}: cannot be read as JSON (${errorMessage(error)}). Copy or make the checkpoint again.`,
    );
  }
  const problems: string[] = [];
  const number = (key: string, fallback?: number): number => {
    const value = raw[key] ?? fallback;
    if (typeof value === 'number') return value;
    problems.push(`${path} ${key}: expected a number, received ${JSON.stringify(raw[key])}.`);
    return 1;
  };
  const requireValue = (key: string, allowed: readonly unknown[]): void => {
    if (key in raw && !allowed.includes(raw[key])) {
      const list = allowed.map((value) => JSON.stringify(value)).join(' or ');
      problems.push(`${path} ${key}: ${JSON.stringify(raw[key])} is not supported; expected ${list}.`);
    }
  };
  const family = raw.model_type;
  if (family !== 'gpt2' && family !== 'llama') {
    throw new CheckpointError(
      `${path} model_type: ${JSON.stringify(family)} is not supported; expected "gpt2" or "llama".`,
    );
  }
  const dimensions =
    family === 'gpt2' ? readGpt2(raw, number, requireValue) : readLlama(raw, path, problems, number, requireValue);
  const classes = Array.isArray(raw.architectures) ? raw.architectures : [];
  const head = String(classes[0]).endsWith('ForSequenceClassification') ? 'score' : 'tokens';
  if (problems.length > 0) throw new CheckpointError(problems);
  const ours = raw.plumbline as { reward_normalisation?: RewardNormalisation } | undefined;
  return {
    dimensions: checked(dimensions, path),
    head,
    normalisation: ours?.reward_normalisation ?? NO_NORMALISATION,
  };
}

function checked(dimensions: ModelDimensions, path: string): ModelDimensions {
  try {
    return checkDimensions(dimensions);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new CheckpointError(error.problems.map((problem) => `${path}: ${problem}`));
  }
}

type ReadNumber = (key: string, fallback?: number) => number;
type RequireValue = (key: string, allowed: readonly unknown[]) => void;

function readGpt2(raw: Record<string, unknown>, number: ReadNumber, requireValue: RequireValue): ModelDimensions {
  requireValue('activation_function', ['gelu_new']);
  requireValue('scale_attn_weights', [true]);
  requireValue('scale_attn_by_inverse_layer_idx', [false]);
  requireValue('add_cross_attention', [false]);
  const dModel = number('n_embd');
  const heads = number('n_head');
  return {
    vocab: number('vocab_size'),
    context: number('n_positions'),
    layers: number('n_layer'),
    heads,
    kvHeads: heads,
    headDim: dModel / heads,
    dModel,
    dFf: number('n_inner', 4 * dModel),
    norm: 'layer',
    normEpsilon: number('layer_norm_epsilon', 1e-5),
    positions: 'learned',
    ropeTheta: 10_000,
    activation: 'gelu',
    biases: true,
    tiedHead: raw.tie_word_embeddings !== false,
  };
}

function readLlama(
  raw: Record<string, unknown>,
  path: string,
  problems: string[],
  number: ReadNumber,
  requireValue: RequireValue,
): ModelDimensions {
  requireValue('hidden_act', ['silu']);
  requireValue('attention_bias', [false]);
  requireValue('mlp_bias', [false]);
  requireValue('rope_scaling', [null]);
  // transformers 5 moved rope_theta into rope_parameters.
  const rope = (raw.rope_parameters ?? {}) as { rope_theta?: number; rope_type?: string };
  if (rope.rope_type !== undefined && rope.rope_type !== 'default') {
    problems.push(`${path} rope_parameters.rope_type: "${rope.rope_type}" is not supported; expected "default".`);
  }
  const dModel = number('hidden_size');
  const heads = number('num_attention_heads');
  return {
    vocab: number('vocab_size'),
    context: number('max_position_embeddings'),
    layers: number('num_hidden_layers'),
    heads,
    kvHeads: number('num_key_value_heads', heads),
    headDim: number('head_dim', dModel / heads),
    dModel,
    dFf: number('intermediate_size'),
    norm: 'rms',
    normEpsilon: number('rms_norm_eps', 1e-6),
    positions: 'rotary',
    ropeTheta: number('rope_theta', rope.rope_theta ?? 10_000),
    activation: 'swiglu',
    biases: false,
    tiedHead: raw.tie_word_embeddings === true,
  };
}
