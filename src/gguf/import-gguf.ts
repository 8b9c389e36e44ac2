/** A GGUF file as a Hugging Face folder, a tensor at a time. */
import { writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Piece } from '../checkpoint/families/pieces.ts';
import { configText, huggingFaceConfig, modelConfigOf } from '../checkpoint/model-config.ts';
import { fileShape, piecesOf } from '../checkpoint/tensor-match.ts';
import type { WrittenTensor } from '../checkpoint/weight-files.ts';
import { writeWeightFiles } from '../checkpoint/weight-files.ts';
import { CheckpointError } from '../errors.ts';
import type { ModelDimensions } from '../model/dimensions.ts';
import type { MetadataKeys } from './metadata-keys.ts';
import { metadataKeys, shown } from './metadata-keys.ts';
import type { GgufFile } from './open-gguf.ts';
import { openGguf } from './open-gguf.ts';
import { ARCHITECTURE_NAMES, readConfig } from './read-config.ts';
import { ROPE_TENSORS } from './read-rope.ts';
import type { ReadTokenizer } from './read-tokenizer.ts';
import { readTokenizer } from './read-tokenizer.ts';
import { ggufPieces } from './tensor-map.ts';

/** How a file is imported. */
export interface GgufImport {
  /** float32 holds every value as the file has it; bfloat16 halves the folder and rounds. */
  readonly dtype: 'float32' | 'bfloat16';
  /** Hears what the file has and nothing here uses. */
  readonly say: (line: string) => void;
  /** Called with the values that are written, and how many there will be. */
  readonly wrote: (values: number, of: number) => void;
}

/** What a file held. */
export interface ImportedModel {
  readonly dimensions: ModelDimensions;
  /** Whether the folder has a chat template. */
  readonly chats: boolean;
}

/**
 * Writes the files of a Hugging Face folder into an existing folder. Not atomic by itself: call inside `atomicFolder`.
 * The numbers of the file are those of its dequantised tensors.
 * @throws CheckpointError listing what is wrong with the file, or what of it this decoder does not do
 */
export function importGguf(path: string, folder: string, options: GgufImport): ImportedModel {
  const file = openGguf(path);
  try {
    const { dimensions, tokenizer, unread } = readModel(file, path);
    const tensors = weights(file, dimensions, path);
    if (unread.length > 0) options.say(`not used of ${basename(path)}: ${unread.join(', ')}`);
    const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
    const { bos, eos, pad, ends } = tokenizer.ids;
    // Ids the file does not have are none; the type of a config has them all.
    const special = { bosId: bos, eosId: eos ?? 0, padId: pad ?? 0 };
    const { dtype } = options;
    const config = huggingFaceConfig(dimensions, 'tokens', special, { dtype });
    const named = { bos_token_id: bos, eos_token_id: eos, pad_token_id: pad };
    writeFileSync(join(folder, 'config.json'), configText({ ...config, ...named }));
    const generation = { ...named, ...(ends.length > 1 && { eos_token_id: ends }) };
    writeFileSync(join(folder, 'generation_config.json'), json(generation));
    for (const [name, text] of Object.entries(tokenizer.files)) writeFileSync(join(folder, name), text);
    writeWeightFiles(folder, counted(tensors, options), { dtype: dtype === 'float32' ? 'F32' : 'BF16' });
    return { dimensions, chats: tokenizer.files['tokenizer_config.json'].includes('"chat_template"') };
  } finally {
    file.close();
  }
}

/** Everything but the weights, with all that is wrong with it. */
function readModel(
  file: GgufFile,
  path: string,
): { dimensions: ModelDimensions; tokenizer: ReadTokenizer; unread: string[] } {
  const keys = metadataKeys(file.metadata, path);
  const architecture = String(file.metadata.get('general.architecture'));
  checkWhole(keys);
  const fields = readConfig(keys, file);
  if (fields === undefined) {
    const shownName = JSON.stringify(architecture);
    throw new CheckpointError(
      `${path}: general.architecture: ${shownName} is not read here; expected one of ${ARCHITECTURE_NAMES.join(', ')}. Take a model of another family.`,
    );
  }
  const tokenizer = readTokenizer(keys, architecture, Number(file.metadata.get(`${architecture}.context_length`)));
  const unread = keys.unread().filter((name) => !refused(name, architecture, keys));
  if (keys.problems.length > 0 || tokenizer === undefined) throw new CheckpointError(keys.problems);
  const { dimensions } = modelConfigOf(fields, `${path} as config.json`);
  const rows = dimensions.vocab;
  const tokens = (file.metadata.get('tokenizer.ggml.tokens') as readonly string[]).length;
  if (tokens > rows) {
    throw new CheckpointError(
      `${path}: has ${tokens} tokens and a token table of ${rows} rows; expected no more tokens than rows.`,
    );
  }
  return { dimensions, tokenizer, unread: unread.sort() };
}

/** A file may be one of several parts, or no model. */
function checkWhole(keys: MetadataKeys): void {
  const parts = keys.peek('split.count');
  if (typeof parts === 'number' && parts > 1) {
    keys.problem('split.count', `is one of ${parts} parts. Join them: llama-gguf-split --merge <first part> <file>.`);
  }
  const type = keys.text('general.type') ?? 'model';
  if (type !== 'model') keys.problem('general.type', `expected "model", received ${JSON.stringify(type)}.`);
}

/**
 * A key of the architecture that nothing read may change what the model computes, unless it is 0, false or none; the others
 * are descriptions.
 */
function refused(name: string, architecture: string, keys: MetadataKeys): boolean {
  const value = keys.peek(name);
  if (!name.startsWith(`${architecture}.`) || value === 0 || value === false || value === undefined) return false;
  if (/\.(tensor_data_layout|rope\.scaling\.finetuned)$/.test(name)) return false;
  keys.problem(name, `${shown(value)} is not known here, so it might change what the model computes.`);
  return true;
}

/** The tensors of the Hugging Face files, each read when it is written. */
function weights(file: GgufFile, dimensions: ModelDimensions, path: string): WrittenTensor[] {
  const ours = piecesOf(dimensions, 'tokens');
  const theirs = ggufPieces(dimensions);
  const problems: string[] = [];
  for (const piece of theirs) {
    const place = file.tensors.get(piece.name);
    const expected = fileShape(piece, 0);
    if (place === undefined) problems.push(`tensor "${piece.name}" is missing.`);
    else if (place.shape.join() !== expected.join()) {
      problems.push(`tensor "${piece.name}" has shape [${place.shape.join(', ')}]; expected [${expected.join(', ')}].`);
    }
  }
  // A tied head was compared with the embedding.
  const known = new Set([
    ...theirs.map(({ name }) => name),
    ...ROPE_TENSORS,
    ...(dimensions.tiedHead ? ['output.weight'] : []),
  ]);
  for (const name of file.tensors.keys()) {
    if (!known.has(name))
      problems.push(`tensor ${JSON.stringify(name)} is read by nothing: this is another model than its metadata says.`);
  }
  if (problems.length > 0) throw new CheckpointError(problems.slice(0, 20).map((problem) => `${path}: ${problem}`));
  return ours.map((piece, i) => ({
    name: piece.name,
    shape: fileShape(piece, 0),
    values: () => {
      const from = theirs[i] as Piece;
      const values = file.read(from.name);
      checkFinite(values, `${path}: tensor "${from.name}"`);
      const lying = rearranged(values, from, piece);
      // llama.cpp has the gain itself where Hugging Face has what it differs from 1 by.
      const isFromOne = piece.parameter.role === 'gain' && dimensions.gainFromOne;
      return isFromOne ? lying.map((gain) => gain - 1) : lying;
    },
  }));
}

function checkFinite(values: Float32Array, where: string): void {
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad !== -1) throw new CheckpointError(`${where}: element ${bad} is ${values[bad]}; expected finite numbers.`);
}

/** Values that lie as one file has a piece of a parameter, as another has it. */
function rearranged(values: Float32Array, from: Piece, to: Piece): Float32Array {
  if (from.transposed === to.transposed && from.order === to.order) return values;
  const columns = from.to - from.from;
  const rows = values.length / columns;
  const result = new Float32Array(values.length);
  const place = (piece: Piece, column: number): number => piece.order?.(column) ?? column;
  for (let column = 0; column < columns; column++) {
    const [source, target] = [place(from, column), place(to, column)];
    for (let row = 0; row < rows; row++) {
      const at = to.transposed ? target * rows + row : row * columns + target;
      result[at] = values[from.transposed ? source * rows + row : row * columns + source] as number;
    }
  }
  return result;
}

/** The same tensors, and how far they are. */
function counted(tensors: readonly WrittenTensor[], { wrote }: GgufImport): WrittenTensor[] {
  const sizeOf = ({ shape }: WrittenTensor): number => shape.reduce((product, length) => product * length, 1);
  const all = tensors.reduce((sum, tensor) => sum + sizeOf(tensor), 0);
  let done = 0;
  return tensors.map((tensor) => ({
    ...tensor,
    values: () => {
      const values = tensor.values();
      done += values.length;
      wrote(done, all);
      return values;
    },
  }));
}
