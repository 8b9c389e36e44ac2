/** config.json of a Hugging Face folder ↔ our dimensions. */
import { isDeepStrictEqual } from 'node:util';
import { CheckpointError, ConfigError, errorMessage } from '../errors.ts';
import type { HeadKind, ModelDimensions, ModelFamily } from '../model/dimensions.ts';
import { checkDimensions, modelFamilies } from '../model/dimensions.ts';
import type { FinishedFields } from './config-fields.ts';
import { configFields } from './config-fields.ts';
import { formatOf } from './families/format-of.ts';
import { readRegularFile } from './file-bytes.ts';

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
  /** A reward model has a score head, or is a language model whose likelihood is the score: then it says how to normalise it. */
  readonly isReward: boolean;
  readonly normalisation: RewardNormalisation;
}

/** Scores as they are. */
export const NO_NORMALISATION: RewardNormalisation = { mean: 0, deviation: 1 };

/**
 * The content of config.json, as transformers' AutoModelForCausalLM or AutoModelForSequenceClassification read it.
 * @throws CheckpointError where the model's family has no field for something the model has
 */
export function huggingFaceConfig(
  dimensions: ModelDimensions,
  head: HeadKind,
  special: SpecialIds,
  options: { dtype: 'float32' | 'bfloat16'; normalisation?: RewardNormalisation | undefined },
): Record<string, unknown> {
  const fields = modelFields(dimensions);
  const normalisation = options.normalisation ?? (head === 'score' ? NO_NORMALISATION : undefined);
  checkHolds(dimensions, fields);
  return {
    architectures: [formatOf(dimensions.family).classes[head]],
    ...fields,
    bos_token_id: special.bosId,
    eos_token_id: special.eosId,
    pad_token_id: special.padId,
    torch_dtype: options.dtype,
    use_cache: true,
    ...(head === 'score' ? { num_labels: 1, id2label: { 0: 'reward' }, label2id: { reward: 0 } } : {}),
    ...(normalisation !== undefined && { plumbline: { reward_normalisation: normalisation } }),
  };
}

/** Fields of which transformers takes 30.0 and refuses 30, which JavaScript makes of it. */
const FLOATS = /^( *"(?:attn|final)_logit_softcapping": \d+)(?=,?$)/gm;

/** The text of config.json. */
export function configText(config: Readonly<Record<string, unknown>>): string {
  return `${JSON.stringify(config, null, 2)}\n`.replaceAll(FLOATS, '$1.0');
}

function modelFields(dimensions: ModelDimensions): Record<string, unknown> {
  return {
    model_type: dimensions.family,
    ...formatOf(dimensions.family).write(dimensions),
    vocab_size: dimensions.vocab,
    tie_word_embeddings: dimensions.tiedHead,
  };
}

/** What is written has to be read back as the same model; a field the family lacks would be lost without a word. */
function checkHolds(dimensions: ModelDimensions, fields: Readonly<Record<string, unknown>>): void {
  const back = readDimensions(fields, 'config.json', []) as unknown as Record<string, unknown>;
  const lost = Object.entries(dimensions).filter(([key, value]) => !isDeepStrictEqual(back[key], value));
  if (lost.length === 0) return;
  throw new CheckpointError(
    lost.map(([key, value]) => {
      return `model.${key}: a Hugging Face model of family ${dimensions.family} cannot have ${JSON.stringify(value)}. Choose another family or value.`;
    }),
  );
}

/**
 * Reads config.json.
 * @throws CheckpointError listing every field that is missing or asks for something this decoder does not do
 */
export function readModelConfig(path: string): ModelConfig {
  return modelConfigOf(readJson(path), path);
}

/** The same of the fields themselves; `path` names where they are from in errors. */
export function modelConfigOf(raw: Readonly<Record<string, unknown>>, path: string): ModelConfig {
  const problems: string[] = [];
  const dimensions = readDimensions(raw, path, problems);
  const first: unknown = Array.isArray(raw.architectures) ? raw.architectures[0] : undefined;
  const head = typeof first === 'string' && first.endsWith('ForSequenceClassification') ? 'score' : 'tokens';
  const normalisation = readNormalisation(raw, path, problems);
  if (problems.length > 0) throw new CheckpointError(problems);
  const isReward = head === 'score' || normalisation !== undefined;
  return {
    dimensions: checked(dimensions, path),
    head,
    isReward,
    normalisation: normalisation ?? NO_NORMALISATION,
  };
}

function readNormalisation(
  raw: Readonly<Record<string, unknown>>,
  path: string,
  problems: string[],
): RewardNormalisation | undefined {
  const fields = configFields(raw, path, problems).section('plumbline')?.section('reward_normalisation');
  if (fields === undefined) return undefined;
  const mean = fields.real('mean');
  const deviation = fields.number('deviation');
  fields.finish();
  return { mean, deviation };
}

function readJson(path: string): Record<string, unknown> {
  const text = readRegularFile(path, 'the configuration of a model');
  try {
    const raw = JSON.parse(text) as Record<string, unknown>;
    if (typeof raw !== 'object' || raw === null) throw new TypeError('it holds no object');
    return raw;
  } catch (error) {
    throw new CheckpointError(
      `${path}: cannot be read as JSON (${errorMessage(error)}). Copy or make the checkpoint again.`,
    );
  }
}

/** Models that read images, too, by the family of their language model, which is all that is read of them. */
const WITH_IMAGES: Readonly<Record<string, ModelFamily>> = { gemma3: 'gemma3_text' };

/** Fields of such a model beside `text_config`. */
const IMAGE_FIELDS = [
  'vision_config',
  'mm_tokens_per_image',
  'boi_token_index',
  'eoi_token_index',
  'image_token_index',
];

function readDimensions(raw: Readonly<Record<string, unknown>>, path: string, problems: string[]): ModelDimensions {
  const type = raw.model_type;
  const fields = configFields(raw, path, problems);
  if (typeof type === 'string' && Object.hasOwn(WITH_IMAGES, type)) {
    const text = fields.section('text_config');
    if (text === undefined)
      fields.problem('text_config', 'expected the fields of the language model, received nothing.');
    for (const key of IMAGE_FIELDS) fields.take(key);
    fields.only('tie_word_embeddings', [true]);
    fields.finish();
    return readFamily(WITH_IMAGES[type] as ModelFamily, text ?? configFields({}, path, problems));
  }
  if (!(modelFamilies as readonly unknown[]).includes(type)) {
    const known = [...modelFamilies, ...Object.keys(WITH_IMAGES)].join(', ');
    throw new CheckpointError(
      `${path} model_type: ${JSON.stringify(type) ?? 'nothing'} is not supported; expected ${known}.`,
    );
  }
  return readFamily(type as ModelFamily, fields);
}

function readFamily(family: ModelFamily, fields: FinishedFields): ModelDimensions {
  const dimensions = formatOf(family).read(fields);
  fields.finish();
  return dimensions;
}

function checked(dimensions: ModelDimensions, path: string): ModelDimensions {
  try {
    return checkDimensions(dimensions);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new CheckpointError(error.problems.map((problem) => `${path}: ${problem}`));
  }
}
