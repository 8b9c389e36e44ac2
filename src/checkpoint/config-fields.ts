/** Reads the fields of a config.json one by one, and knows which were asked for: what is left over is refused by name. */

/** Fields of a Hugging Face configuration that change nothing this program computes. A trailing * stands for any ending. */
const WITHOUT_EFFECT = [
  '_*',
  'architectures',
  'model_type',
  'transformers_version',
  'torch_dtype',
  'dtype',
  'use_cache',
  'cache_implementation',
  'plumbline',
  'id2label',
  'label2id',
  'num_labels',
  'problem_type',
  'finetuning_task',
  'task_specific_params',
  'summary_*',
  'bos_token_id',
  'eos_token_id',
  'pad_token_id',
  'sep_token_id',
  'decoder_start_token_id',
  'prefix',
  'unsloth_*',
  'initializer_range',
  'init_std',
  'gradient_checkpointing',
  'return_dict*',
  'output_*',
  'tokenizer_class',
  // Dropout is for training; there is none here (docs/decisions.md).
  '*_pdrop',
  '*dropout',
  'dropout',
  'layerdrop',
  'pretraining_tp',
  'is_encoder_decoder',
  'is_decoder',
  'chunk_size_feed_forward',
  'cross_attention_hidden_size',
  'attn_implementation',
  'reorder_and_upcast_attn',
  // In published files, read by nothing: GPT-2 medium, SmolLM2, OpenLLaMA, GPT-NeoX of old.
  'n_special',
  'predict_special_tokens',
  'is_llama_config',
  'transformers.js_config',
  'max_sequence_length',
  '*_dropout_prob',
  'unk_token_id',
  'model_max_length',
  // Settings of generation, which older versions kept here.
  'do_sample',
  'max_length',
  'min_length',
  'temperature',
  'top_k',
  'top_p',
  'num_beams*',
  'repetition_penalty',
  'length_penalty',
  'no_repeat_ngram_size',
  'early_stopping',
  'num_return_sequences',
  'bad_words_ids',
  'n_ctx',
  'diversity_penalty',
  'typical_p',
  'suppress_tokens',
  'begin_suppress_tokens',
  'forced_*',
  'remove_invalid_values',
  'exponential_decay_length_penalty',
  'encoder_no_repeat_ngram_size',
  'tf_legacy_loss',
  'torchscript',
  'use_bfloat16',
];

/** What to do about a field that people's files have and that cannot be read here. */
const REMEDIES: Readonly<Record<string, string>> = {
  quantization_config:
    'means that the weights are quantized; expected weights in float32, bfloat16 or float16. Take the repository of the ' +
    'model itself, or let transformers undo it: from_pretrained, dequantize(), save_pretrained.',
};

const UNKNOWN =
  'is not known here, so it might change what the model computes. If it does not, remove it from the file.';

/** Fields of a configuration, each taken once; problems are collected. */
export interface ConfigFields {
  /** A number above 0, or the fallback where the field is missing or null. Without a fallback it has to be there. */
  number(key: string, fallback?: number): number;
  /** Any number; it has to be there. */
  real(key: string): number;
  /** A whole number in bounds, likewise; from 1 to a thousand million where left out. The fallback is not looked at. */
  count(key: string, fallback?: number, bounds?: { readonly least?: number; readonly most?: number }): number;
  /** How many layers, at most 10,000: lists with an entry a layer are made before more is known of a model. */
  layers(key: string, fallback?: number): number;
  flag(key: string, fallback: boolean): boolean;
  /** One of the words, by the map: { silu: 'swiglu' }. */
  choice<Value>(key: string, choices: Readonly<Record<string, Value>>, fallback: string): Value;
  /** Refuses every value but these (missing is fine). */
  only(key: string, allowed: readonly unknown[]): void;
  /** The raw value, undefined where it is missing or null. */
  take(key: string): unknown;
  /** Whether it is there at all: transformers gives some fields a default where they are missing, and none where they are null. */
  has(key: string): boolean;
  /** The fields of an object within; undefined where it is missing or null. The caller calls `finish` on it. */
  section(key: string): FinishedFields | undefined;
  problem(key: string, what: string): void;
}

/** Fields of an object; `finish` refuses those that were not read. */
export interface FinishedFields extends ConfigFields {
  finish(): void;
}

/**
 * @param path names the file in problems
 * @param problems gets a line for everything that is wrong
 * @param within stands in front of the names of fields in problems: "rope_scaling."
 */
export function configFields(
  raw: Readonly<Record<string, unknown>>,
  path: string,
  problems: string[],
  within = '',
): FinishedFields {
  const taken = new Set<string>();
  const take = (key: string): unknown => {
    taken.add(key);
    return raw[key] ?? undefined;
  };
  const problem = (key: string, what: string): void => {
    problems.push(`${path} ${within}${key}: ${what}`);
  };
  /** The value where it is right; a problem, and a value to go on with, where it is not. */
  const checked = <T>(key: string, value: unknown, isRight: Guard<T>, expected: string, instead: T): T => {
    if (isRight(value)) return value;
    problem(key, `expected ${expected}, received ${show(value)}.`);
    return instead;
  };
  const refuse = (key: string, value: unknown, allowed: readonly unknown[]): void => {
    problem(key, `${show(value)} is not supported; expected ${allowed.map(show).join(' or ')}.`);
  };
  const count: ConfigFields['count'] = (key, fallback, { least = 1, most = 1e9 } = {}) => {
    const value = take(key);
    if (value === undefined && fallback !== undefined) return fallback;
    const range = `a whole number from ${least} to ${most.toLocaleString('en-US')}`;
    return checked(key, value, isCount(least, most), range, 1);
  };
  return {
    take,
    problem,
    has: (key) => Object.hasOwn(raw, key),
    section: (key) => {
      const value = take(key);
      if (value === undefined) return undefined;
      return configFields(checked(key, value, isObject, 'an object', {}), path, problems, `${within}${key}.`);
    },
    number: (key, fallback) => checked(key, take(key) ?? fallback, isPositive, 'a number above 0', 1),
    real: (key) => checked(key, take(key), isNumber, 'a number', 0),
    count,
    layers: (key, fallback) => count(key, fallback, { most: 10_000 }),
    flag: (key, fallback) => checked(key, take(key) ?? fallback, isFlag, 'true or false', false),
    choice: (key, choices, fallback) => {
      const value = take(key) ?? fallback;
      const isKnown = typeof value === 'string' && Object.hasOwn(choices, value);
      if (!isKnown) refuse(key, value, Object.keys(choices));
      return choices[isKnown ? value : fallback] as (typeof choices)[string];
    },
    only: (key, allowed) => {
      const value = take(key);
      if (value !== undefined && !allowed.includes(value)) refuse(key, value, allowed);
    },
    finish: () => {
      const isRead = (key: string): boolean => taken.has(key) || raw[key] === null || isWithoutEffect(key);
      const unread = Object.keys(raw).filter((key) => !isRead(key));
      for (const key of unread) problem(key, `${show(raw[key])} ${REMEDIES[key] ?? UNKNOWN}`);
    },
  };
}

type Guard<T> = (value: unknown) => value is T;

const isNumber = (value: unknown): value is number => Number.isFinite(value);
const isPositive = (value: unknown): value is number => isNumber(value) && value > 0;
const isCount =
  (least: number, most: number): Guard<number> =>
  (value): value is number =>
    isNumber(value) && Number.isInteger(value) && value >= least && value <= most;
const isFlag = (value: unknown): value is boolean => typeof value === 'boolean';
const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function show(value: unknown): string {
  return JSON.stringify(value) ?? 'nothing';
}

function isWithoutEffect(key: string): boolean {
  return WITHOUT_EFFECT.some((pattern) => {
    if (pattern.endsWith('*')) return key.startsWith(pattern.slice(0, -1));
    return pattern.startsWith('*') ? key.endsWith(pattern.slice(1)) : key === pattern;
  });
}
