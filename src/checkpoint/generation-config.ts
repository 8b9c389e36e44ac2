/** generation_config.json: how transformers would draw tokens of a model where nothing else is said. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CheckpointError, errorMessage } from '../errors.ts';
import { readRegularFile } from './file-bytes.ts';

/** Ids of tokens are read with the tokenizer; the others say where the file is from, or what costs time and not tokens. */
const ELSEWHERE = [
  'bos_token_id',
  'eos_token_id',
  'pad_token_id',
  '_from_model_config',
  'transformers_version',
  'use_cache',
  'cache_implementation',
  'return_dict_in_generate',
  'output_scores',
  'output_attentions',
  'output_hidden_states',
  'output_logits',
  'trust_remote_code',
];

/** What changes nothing, by key. */
const NEUTRAL: Readonly<Record<string, readonly unknown[]>> = {
  temperature: [1],
  top_p: [1],
  min_p: [0],
  typical_p: [1],
  epsilon_cutoff: [0],
  eta_cutoff: [0],
  repetition_penalty: [1],
  encoder_repetition_penalty: [1],
  length_penalty: [1],
  diversity_penalty: [0],
  num_beams: [1],
  num_beam_groups: [1],
  num_return_sequences: [1],
  no_repeat_ngram_size: [0],
  // With do_sample alone nothing is said about how; transformers' own top_k is 50.
  do_sample: [true, false],
  early_stopping: [false],
  max_length: [20],
  min_length: [0],
};

/**
 * The settings of a folder's generation_config.json that programs here do not take over: flags say how tokens are drawn.
 * @returns "temperature 0.6, top_p 0.95"; empty where there are none
 * @throws CheckpointError where the file is no JSON object
 */
export function unusedGenerationSettings(folder: string): string {
  const path = join(folder, 'generation_config.json');
  if (!existsSync(path)) return '';
  const text = readRegularFile(path, 'the settings of generation');
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (error) {
    throw new CheckpointError(`${path}: is not JSON (${errorMessage(error)}). Copy it again, or remove it.`);
  }
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
    throw new CheckpointError(
      `${path}: expected an object, received ${text.slice(0, 40)}. Copy it again, or remove it.`,
    );
  }
  return Object.entries(raw)
    .filter(([key, value]) => value !== null && !ELSEWHERE.includes(key) && NEUTRAL[key]?.includes(value) !== true)
    .map(([key, value]) => `${key} ${JSON.stringify(value)}`)
    .join(', ');
}
