/** A language model's Hugging Face folder as one GGUF file, a tensor at a time: no more than one parameter is in memory. */
import { join } from 'node:path';
import { readModelConfig } from '../checkpoint/model-config.ts';
import { tokenizerProblems } from '../checkpoint/model-folder.ts';
import type { WrittenTensor } from '../checkpoint/weight-files.ts';
import { openWeightFiles, weightPaths } from '../checkpoint/weight-files.ts';
import type { ParameterReader } from '../checkpoint/weight-names.ts';
import { parameterReader, pieceTensors } from '../checkpoint/weight-names.ts';
import { CheckpointError } from '../errors.ts';
import type { ModelDimensions } from '../model/dimensions.ts';
import { parameterSpecs } from '../model/parameter-table.ts';
import type { ParameterSpec } from '../tensor/parameters.ts';
import { loadTokenizer } from '../tokenizer/tokenizer.ts';
import type { TensorType } from './gguf-types.ts';
import { TENSOR_TYPES } from './gguf-types.ts';
import { modelFields, ropeTensors } from './model-fields.ts';
import { ggufArchitecture, ggufPieces } from './tensor-map.ts';
import { tokenizerFields } from './tokenizer-fields.ts';
import { unfitForGguf } from './unfit-model.ts';
import type { GgufTensor, GgufValue } from './write-gguf.ts';
import { writeGguf } from './write-gguf.ts';

/** Types that matrices can be written in, with `general.file_type`. */
const FILE_TYPES = { F16: 1, Q8_0: 7, BF16: 32 } as const;
export type FileType = keyof typeof FILE_TYPES;

/** Version of ggml's quantised types. */
const QUANTIZATION_VERSION = 2;

/** What was written, and what is worth knowing about it. */
export interface Exported {
  readonly tensors: number;
  /** Lines for people. */
  readonly notes: readonly string[];
}

/**
 * Writes a folder's model and tokenizer. Matrices are written in `type`; vectors and tables of positions stay in F32, and a
 * matrix whose rows are no multiple of 32 becomes F16 where Q8_0 was asked for, as llama.cpp's converter does.
 * @param name `general.name`
 * @throws CheckpointError with every reason why llama.cpp cannot read the model as it is: a reward model, a family or a
 *   tokenizer it does not have, weights that are missing, damaged or beyond the type; nothing is written then
 */
export async function exportGguf(folder: string, type: FileType, path: string, name: string): Promise<Exported> {
  const { dimensions, isReward } = readModelConfig(join(folder, 'config.json'));
  if (isReward) {
    throw new CheckpointError(
      `${folder}: is a reward model; expected a language model, as llama.cpp gives tokens and no scores. Name the policy or the instruct model.`,
    );
  }
  const tokenizer = loadTokenizer(folder);
  const problems = [
    ...unfitForGguf(dimensions).map((what) => `${folder}: ${what}`),
    ...tokenizerProblems(folder, dimensions, tokenizer),
  ];
  if (problems.length > 0) throw new CheckpointError(problems);
  const model = modelFields(dimensions);
  const words = tokenizerFields(tokenizer, dimensions.vocab, folder);
  const fields = new Map([...generalFields(dimensions, type, name), ...model.fields, ...words.fields]);
  const files = openWeightFiles(folder);
  try {
    const reader = parameterReader(dimensions, 'tokens', files, weightPaths(folder)[0] as string);
    const tensors = tensorsOf(dimensions, reader, type);
    await writeGguf(path, fields, tensors);
    return {
      tensors: tensors.length,
      notes: [...reader.notes, ...model.notes, ...words.notes, ...roundNotes(tensors, type)],
    };
  } finally {
    files.close();
  }
}

function generalFields({ family }: ModelDimensions, type: FileType, name: string): [string, GgufValue][] {
  return [
    ['general.architecture', { type: 'string', value: ggufArchitecture(family) ?? family }],
    ['general.type', { type: 'string', value: 'model' }],
    ['general.name', { type: 'string', value: name }],
    ['general.file_type', { type: 'uint32', value: FILE_TYPES[type] }],
    ['general.quantization_version', { type: 'uint32', value: QUANTIZATION_VERSION }],
  ];
}

function tensorsOf(dimensions: ModelDimensions, reader: ParameterReader, type: FileType): GgufTensor[] {
  const specs = new Map(parameterSpecs(dimensions, 'tokens').map((spec) => [spec.name, spec]));
  // llama.cpp has the gain itself where Hugging Face has what it differs from 1 by.
  const valuesThere = (spec: ParameterSpec): Float32Array => {
    const values = reader.read(spec);
    return spec.role === 'gain' && dimensions.gainFromOne ? values.map((value) => value + 1) : values;
  };
  // The last one is kept: tensors are parts of one parameter in turn.
  let last: { name: string; values: Float32Array } | undefined;
  const valuesOf = (parameter: string): Float32Array => {
    const spec = specs.get(parameter);
    if (spec === undefined) throw new CheckpointError(`a model has no parameter "${parameter}".`);
    if (last?.name !== parameter) last = { name: parameter, values: valuesThere(spec) };
    return last.values;
  };
  const tensors: WrittenTensor[] = pieceTensors(ggufPieces(dimensions), valuesOf);
  // llama.cpp's GPT-NeoX has no way to say that the head is the embedding.
  if (dimensions.family === 'gpt_neox' && dimensions.tiedHead) {
    const shape = [dimensions.vocab, dimensions.dModel];
    tensors.push({ name: 'output.weight', shape, values: () => valuesOf('embedding.tokens') });
  }
  for (const { name, values } of ropeTensors(dimensions)) {
    tensors.push({ name, shape: [values.length], values: () => values });
  }
  return tensors.map((tensor) => ({ ...tensor, type: typeOf(tensor, type) }));
}

function typeOf({ name, shape }: WrittenTensor, type: FileType): TensorType {
  if (shape.length === 1 || name === 'position_embd.weight') return 'F32';
  return (shape.at(-1) as number) % TENSOR_TYPES[type].block === 0 ? type : 'F16';
}

function roundNotes(tensors: readonly GgufTensor[], type: FileType): string[] {
  const others = tensors.filter((tensor) => type === 'Q8_0' && tensor.type === 'F16');
  return others.length === 0
    ? []
    : [`${others.length} matrices whose rows are no multiple of 32 are F16: ${others[0]?.name} and so on`];
}
