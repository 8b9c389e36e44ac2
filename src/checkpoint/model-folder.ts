/** A model as a Hugging Face folder: config.json, weights, tokenizer and generation files. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CheckpointError } from '../errors.ts';
import type { HeadKind, ModelDimensions } from '../model/dimensions.ts';
import { hostValues } from '../model/host-values.ts';
import { initialValuesOf } from '../model/initialize.ts';
import type { Model, TrainingPlan } from '../model/model.ts';
import { assembleModel, TRAIN_ALL } from '../model/model.ts';
import type { Random } from '../random.ts';
import { seededRandom } from '../random.ts';
import type { ParameterSpec } from '../tensor/parameters.ts';
import { filesForExport } from '../tokenizer/export-files.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { writeAdapterFolder } from './adapter-folder.ts';
import type { CardFacts } from './model-card.ts';
import { modelCard } from './model-card.ts';
import type { RewardNormalisation } from './model-config.ts';
import { configText, huggingFaceConfig, readModelConfig } from './model-config.ts';
import { matchTensors } from './tensor-match.ts';
import { openWeightFiles, weightPaths, writeWeightFiles } from './weight-files.ts';
import { fileTensors, parameterReader } from './weight-names.ts';

/** What a folder is written with beside the weights. */
export interface ModelFolderOptions {
  readonly tokenizer: Tokenizer;
  /** float32 keeps every bit for resuming; bfloat16 halves the file. */
  readonly dtype?: 'float32' | 'bfloat16';
  /** Of a reward model, whose scores it puts on one scale. */
  readonly normalisation?: RewardNormalisation;
  /** Largest file of weights; 5 GB. */
  readonly maxShardBytes?: number;
  /** Where the frozen model is that adapters change: they are then written by themselves, too, in `adapter/`. */
  readonly base?: string;
  /** Content of the model card; no card is written without. */
  readonly card?: CardFacts;
}

/** Name of the folder of adapters within that of the merged model. */
export const ADAPTER_FOLDER = 'adapter';

/**
 * Writes the files of a model into an existing folder. Not atomic by itself: call inside `atomicFolder`.
 * transformers' AutoModelForCausalLM (or AutoModelForSequenceClassification for a score head) and AutoTokenizer load it.
 */
export function writeModelFolder(folder: string, model: Model, options: ModelFolderOptions): void {
  const { tokenizer } = options;
  const dtype = options.dtype ?? 'float32';
  const { normalisation } = options;
  const config = huggingFaceConfig(model.dimensions, model.head, tokenizer, { dtype, normalisation });
  writeFileSync(join(folder, 'config.json'), configText(config));
  const tensors = fileTensors(model.dimensions, model.head, hostValues(model));
  const { maxShardBytes } = options;
  writeWeightFiles(folder, tensors, {
    dtype: dtype === 'float32' ? 'F32' : 'BF16',
    ...(maxShardBytes !== undefined && { maxShardBytes }),
  });
  writeTokenizer(folder, tokenizer);
  if (options.card !== undefined) {
    writeFileSync(join(folder, 'README.md'), modelCard(model.dimensions, model.head, dtype, options.card));
  }
  if (model.parameters.adapters !== null && options.base !== undefined) {
    mkdirSync(join(folder, ADAPTER_FOLDER));
    writeAdapterFolder(join(folder, ADAPTER_FOLDER), model, options.base);
    // PEFT's Auto classes give the base as many rows as the tokenizer beside the adapter has tokens.
    if (model.parameters.adapters.tokenRows.length > 0) writeTokenizer(join(folder, ADAPTER_FOLDER), tokenizer);
  }
  const { padId, bosId, eosId, stopIds } = tokenizer;
  const ends = stopIds.length > 1 ? stopIds : eosId;
  const generation = { bos_token_id: bosId, eos_token_id: ends, pad_token_id: padId };
  if (model.head === 'tokens')
    writeFileSync(join(folder, 'generation_config.json'), `${JSON.stringify(generation, null, 2)}\n`);
}

function writeTokenizer(folder: string, tokenizer: Tokenizer): void {
  for (const [name, text] of Object.entries(filesForExport(tokenizer))) writeFileSync(join(folder, name), text);
}

/** A loaded model; the caller disposes it. */
export interface LoadedModel {
  readonly model: Model;
  readonly normalisation: RewardNormalisation;
}

/** How a folder is loaded. */
export interface LoadOptions {
  /** What is trained, what is frozen; all is trained where left out. */
  readonly plan?: TrainingPlan;
  /** Makes a score model of a language model: the trunk, with a head drawn from this generator. */
  readonly newHead?: Random;
  /** Draws adapters; needed where the plan has some. */
  readonly random?: Random;
  /**
   * The tokenizer that the model reads with. Where it was given a PAD or other tokens here the token tables grow to hold them.
   * Null takes the tables as they are on disk: for models that are only looked at, or were written here.
   */
  readonly tokenizer: Tokenizer | null;
  /** Hears what is unusual about the files and was understood. */
  readonly say?: (line: string) => void;
}

/**
 * Loads a model from a Hugging Face folder, a tensor at a time.
 * @throws CheckpointError when a file is missing, damaged, of an architecture this decoder is not, or holds a weight that
 *   is not finite
 */
export function loadModelFolder(folder: string, options: LoadOptions): LoadedModel {
  const config = readModelConfig(join(folder, 'config.json'));
  const { plan = TRAIN_ALL, newHead, tokenizer, random = seededRandom(0, 'adapters') } = options;
  const problems = tokenizer === null ? [] : tokenizerProblems(folder, config.dimensions, tokenizer);
  if (problems.length > 0) throw new CheckpointError(problems);
  const dimensions = grown(config.dimensions, tokenizer);
  const files = openWeightFiles(folder);
  try {
    const reader = parameterReader(
      dimensions,
      config.head,
      files,
      weightPaths(folder)[0] as string,
      config.dimensions.vocab,
    );
    for (const note of reader.notes) options.say?.(note);
    const isNew = config.head === 'tokens' && newHead !== undefined;
    const read = (spec: ParameterSpec): Float32Array =>
      isNew && spec.role === 'head.score' ? initialValuesOf(spec, dimensions, newHead) : reader.read(spec);
    const model = assembleModel(dimensions, isNew ? 'score' : config.head, read, plan, random);
    return { model, normalisation: config.normalisation };
  } finally {
    files.close();
  }
}

/** A tokenizer that gives tokens the model has no rows for; those that were added here get theirs when the model is loaded. */
export function tokenizerProblems(
  where: string,
  { vocab }: ModelDimensions,
  { vocabSize, spareTokens, addedPad, newTokens }: Tokenizer,
): string[] {
  const tokens = vocabSize - spareTokens - (addedPad ? 1 : 0) - newTokens.length;
  if (tokens <= vocab) return [];
  return [
    `${where}: the tokenizer has ${tokens} tokens and the embedding ${vocab} rows; ` +
      'expected no more tokens than rows. Use the tokenizer the model was trained with.',
  ];
}

/** Reads the headers of the weights, not the weights. */
function checkWeights(folder: string, dimensions: ModelDimensions, head: HeadKind): void {
  const files = openWeightFiles(folder);
  try {
    matchTensors(dimensions, head, files, weightPaths(folder)[0] as string);
  } finally {
    files.close();
  }
}

/** The dimensions with a row for each token that a tokenizer was given here; rows that the model's tables have to spare are used first. */
export function grown(dimensions: ModelDimensions, tokenizer: Tokenizer | null): ModelDimensions {
  if (tokenizer === null || !(tokenizer.addedPad || tokenizer.newTokens.length > 0)) return dimensions;
  return { ...dimensions, vocab: Math.max(dimensions.vocab, tokenizer.vocabSize) };
}

/** What a stage asks of a checkpoint before it loads the weights. */
export interface ModelExpectations {
  /** Names the checkpoint in messages: "policy data/runs/tiny/instruct". */
  readonly where: string;
  readonly kind: 'language model' | 'reward model';
  readonly tokenizer: Tokenizer;
  /** Longest sequence it will be asked to read. */
  readonly length?: number;
}

/**
 * Reads config.json and the headers of the weights, and refuses a model that does not fit.
 * @returns the model's dimensions
 * @throws CheckpointError listing everything: a reward model for a language model or the other way round, a tokenizer
 *   with more tokens than the embedding has rows, a context that is too short; or what is wrong with the files
 */
export function checkModelFolder(folder: string, expected: ModelExpectations): ModelDimensions {
  const { dimensions, head, isReward } = readModelConfig(join(folder, 'config.json'));
  const { where, tokenizer, length } = expected;
  const problems: string[] = [];
  const kind = isReward ? 'reward model' : 'language model';
  if (kind !== expected.kind)
    problems.push(`${where}: is a ${kind}; expected a ${expected.kind}. Name another checkpoint.`);
  problems.push(...tokenizerProblems(where, dimensions, tokenizer));
  if (length !== undefined && length > dimensions.context) {
    problems.push(
      `${where}: reads at most ${dimensions.context} tokens and the configuration asks for sequences of ${length}. ` +
        'Lower the sequence length, or use a model with a longer context.',
    );
  }
  if (problems.length > 0) throw new CheckpointError(problems);
  checkWeights(folder, dimensions, head);
  return grown(dimensions, tokenizer);
}
