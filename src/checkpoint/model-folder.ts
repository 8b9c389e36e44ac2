/** A model as a Hugging Face folder: config.json, model.safetensors, tokenizer and generation files. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CheckpointError } from '../errors.ts';
import type { HeadKind, ModelDimensions } from '../model/dimensions.ts';
import type { Model } from '../model/model.ts';
import { modelFrom } from '../model/model.ts';
import { readParameters } from '../tensor/parameters.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { RewardNormalisation } from './model-config.ts';
import { huggingFaceConfig, NO_NORMALISATION, readModelConfig } from './model-config.ts';
import type { HostTensor } from './safetensors.ts';
import { encodeSafetensors, readSafetensors } from './safetensors.ts';
import { fromHuggingFace, toHuggingFace } from './weight-names.ts';

/** What a folder is written with beside the weights. */
export interface ModelFolderOptions {
  readonly tokenizer: Tokenizer;
  /** float32 keeps every bit for resuming; bfloat16 halves the file. */
  readonly dtype?: 'float32' | 'bfloat16';
  readonly normalisation?: RewardNormalisation;
}

/**
 * Writes the files of a model into an existing folder. Not atomic by itself: call inside `atomicFolder`.
 * transformers' AutoModelForCausalLM (or AutoModelForSequenceClassification for a score head) and AutoTokenizer load it.
 */
export function writeModelFolder(folder: string, model: Model, options: ModelFolderOptions): void {
  const { tokenizer } = options;
  const dtype = options.dtype ?? 'float32';
  const normalisation = options.normalisation ?? NO_NORMALISATION;
  const config = huggingFaceConfig(model.dimensions, model.head, tokenizer, { dtype, normalisation });
  const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
  writeFileSync(join(folder, 'config.json'), json(config));
  const tensors = toHuggingFace(model.dimensions, model.head, readParameters(model.parameters));
  writeFileSync(join(folder, 'model.safetensors'), encodeSafetensors(tensors, dtype === 'float32' ? 'F32' : 'BF16'));
  for (const [name, text] of Object.entries(tokenizer.files)) writeFileSync(join(folder, name), text);
  const { padId, bosId, eosId } = tokenizer;
  const generation = { bos_token_id: bosId, eos_token_id: eosId, pad_token_id: padId };
  if (model.head === 'tokens') writeFileSync(join(folder, 'generation_config.json'), json(generation));
}

/** A loaded model; the caller disposes it. */
export interface LoadedModel {
  readonly model: Model;
  readonly normalisation: RewardNormalisation;
}

/**
 * Loads a model from a Hugging Face folder.
 * @throws CheckpointError when a file is missing, damaged, of an architecture this decoder is not, or holds a weight that
 *   is not finite
 */
export function loadModelFolder(folder: string): LoadedModel {
  const { dimensions, head, normalisation } = readModelConfig(join(folder, 'config.json'));
  const weights = join(folder, 'model.safetensors');
  const tensors = readSafetensors(weights);
  checkFinite(tensors, weights);
  const values = fromHuggingFace(dimensions, head, tensors, weights);
  return { model: modelFrom(dimensions, head, values), normalisation };
}

/** One NaN makes every number that is computed from it NaN; better said here than at the first step. */
function checkFinite(tensors: ReadonlyMap<string, HostTensor>, where: string): void {
  const problems = [...tensors].flatMap(([name, { values }]) => {
    const bad = values.findIndex((value) => !Number.isFinite(value));
    return bad === -1 ? [] : [`${where}: tensor "${name}": element ${bad} is ${values[bad]}; expected finite numbers.`];
  });
  if (problems.length === 0) return;
  throw new CheckpointError([...problems.slice(0, 10), 'Its training went wrong: use an earlier checkpoint.']);
}

/** What a stage asks of a checkpoint before it loads the weights. */
export interface ModelExpectations {
  /** Names the checkpoint in messages: "policy data/runs/tiny/instruct". */
  readonly where: string;
  readonly head: HeadKind;
  readonly tokenizer: Tokenizer;
  /** Longest sequence it will be asked to read. */
  readonly length?: number;
}

/**
 * Reads config.json and refuses a model that does not fit.
 * @returns the model's dimensions
 * @throws CheckpointError listing everything: a reward model for a language model or the other way round, a tokenizer
 *   with more tokens than the embedding has rows, a context that is too short
 */
export function checkModelFolder(folder: string, expected: ModelExpectations): ModelDimensions {
  const { dimensions, head } = readModelConfig(join(folder, 'config.json'));
  const { where, tokenizer, length } = expected;
  const problems: string[] = [];
  if (head !== expected.head) {
    const kinds = { tokens: 'a language model', score: 'a reward model' };
    problems.push(`${where}: is ${kinds[head]}; expected ${kinds[expected.head]}. Name another checkpoint.`);
  }
  if (tokenizer.vocabSize > dimensions.vocab) {
    problems.push(
      `${where}: the tokenizer has ${tokenizer.vocabSize} tokens and the embedding ${dimensions.vocab} rows; ` +
        'expected no more tokens than rows. Use the tokenizer the model was trained with.',
    );
  }
  if (length !== undefined && length > dimensions.context) {
    problems.push(
      `${where}: reads at most ${dimensions.context} tokens and the configuration asks for sequences of ${length}. ` +
        'Lower the sequence length, or use a model with a longer context.',
    );
  }
  if (problems.length > 0) throw new CheckpointError(problems);
  return dimensions;
}
