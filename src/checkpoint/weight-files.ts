/** The weight files of a folder: one model.safetensors, or shards with an index. Read and written a tensor at a time. */
import { existsSync, lstatSync, realpathSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { CheckpointError } from '../errors.ts';
import { isShardName, readWeightMap } from '../files/shard-index.ts';
import { readRegularFile } from './file-bytes.ts';
import type { FileType, SafetensorsFile, TensorEntry, WrittenTensor } from './safetensors.ts';
import { BYTES, openSafetensors, writeSafetensors } from './safetensors.ts';

export type { TensorEntry, WrittenTensor } from './safetensors.ts';

const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';

/** Open weight files; `close` them. */
export interface WeightFiles {
  readonly entries: ReadonlyMap<string, TensorEntry>;
  /** The values of a tensor as float32, in a fresh array. */
  read(name: string): Float32Array;
  close(): void;
}

/**
 * The paths of a folder's weight files, the index first where there is one.
 * @throws CheckpointError where there are none, or the index is not one
 */
export function weightPaths(folder: string): string[] {
  if (existsSync(join(folder, SINGLE))) return [join(folder, SINGLE)];
  const index = join(folder, INDEX);
  if (existsSync(index))
    return [index, ...[...new Set(Object.values(readIndex(index)))].map((name) => join(folder, name))];
  const pickles = ['pytorch_model.bin', 'pytorch_model.bin.index.json'].filter((name) =>
    existsSync(join(folder, name)),
  );
  throw new CheckpointError(
    pickles.length === 0
      ? `${folder}: has neither ${SINGLE} nor ${INDEX}; expected the weights of a model. Copy them there.`
      : `${folder}: has its weights as ${pickles[0]} only. Such files can run code when they are read, so they are not read here: ` +
          'save the model as safetensors with transformers (from_pretrained, then save_pretrained), or take a revision that has it.',
  );
}

/**
 * Opens the weights of a folder and checks every header.
 * @throws CheckpointError listing what is missing, damaged, or not where the index says
 */
export function openWeightFiles(folder: string): WeightFiles {
  const [first, ...shards] = weightPaths(folder) as [string, ...string[]];
  if (shards.length === 0) return single(first);
  const map = readIndex(first);
  const open = new Map<string, SafetensorsFile>();
  const close = (): void => {
    for (const file of open.values()) file.close();
  };
  try {
    const problems: string[] = [];
    for (const path of shards) attempt(problems, () => open.set(basename(path), openSafetensors(path)));
    if (problems.length > 0) throw new CheckpointError(problems);
    const entries = collectEntries(first, map, open);
    const read = (name: string): Float32Array => {
      const file = open.get(map[name] ?? '');
      if (file === undefined) throw new CheckpointError(`${first}: tensor "${name}" is missing.`);
      return file.read(name);
    };
    return { entries, close, read };
  } catch (error) {
    close();
    throw error;
  }
}

function single(path: string): WeightFiles {
  if (leadsOut(path)) throw new CheckpointError(`${path}: is a link out of the folder. Put the file itself there.`);
  return openSafetensors(path);
}

function attempt(problems: string[], work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    problems.push(...error.problems);
  }
}

function collectEntries(
  index: string,
  map: Readonly<Record<string, string>>,
  open: ReadonlyMap<string, SafetensorsFile>,
): Map<string, TensorEntry> {
  const entries = new Map<string, TensorEntry>();
  const problems: string[] = [];
  for (const [name, file] of Object.entries(map)) {
    const entry = open.get(file)?.entries.get(name);
    if (entry === undefined) problems.push(`${index}: says that "${name}" is in ${file}, which does not hold it.`);
    else entries.set(name, entry);
  }
  for (const [file, { entries: held }] of open) {
    for (const name of held.keys()) {
      if (map[name] !== file)
        problems.push(`${index}: ${file} holds "${name}", which the index has elsewhere or not at all.`);
    }
  }
  if (problems.length > 0)
    throw new CheckpointError([...problems.slice(0, 20), 'Copy the files of one revision again.']);
  return entries;
}

/** Tensor name → file name, with names that would leave the folder refused. */
function readIndex(path: string): Record<string, string> {
  const names = readWeightMap(readRegularFile(path, 'the index of shards'), path);
  const problems = [...new Set(Object.values(names))].flatMap((name) => nameProblem(path, name));
  if (problems.length > 0) throw new CheckpointError(problems);
  return names as Record<string, string>;
}

function nameProblem(index: string, name: unknown): string[] {
  const shown = JSON.stringify(name);
  if (!isShardName(name)) {
    return [`${index}: ${shown} is no name of a safetensors file in this folder. Do not trust this folder.`];
  }
  const path = join(dirname(index), name);
  if (!existsSync(path)) return [`${index}: ${name} is missing in the folder; expected every shard. Copy it there.`];
  return leadsOut(path) ? [`${index}: ${name} is a link out of the folder. Put the file itself there.`] : [];
}

/** True for a link to anywhere but where `isInCache` allows it. */
function leadsOut(path: string): boolean {
  return lstatSync(path).isSymbolicLink() && !isInCache(realpathSync(path), realpathSync(dirname(path)));
}

/**
 * True where a link leads to another file of the folder, or where the Hub's cache keeps the files of its folders:
 * models--org--name/snapshots/<commit>/model.safetensors → models--org--name/blobs/<hash>. A link elsewhere is a trick.
 */
function isInCache(target: string, folder: string): boolean {
  const blobs = join(dirname(dirname(folder)), 'blobs');
  const isSnapshot = basename(dirname(folder)) === 'snapshots';
  return dirname(target) === folder || (isSnapshot && dirname(target) === blobs);
}

/** How weights are written. */
export interface WriteOptions {
  readonly dtype: FileType & ('F32' | 'BF16');
  /** Larger models are cut into shards of at most this many bytes; transformers' default of old, 5 GB. */
  readonly maxShardBytes?: number;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Writes model.safetensors, or shards with an index, into an existing folder. Call inside `atomicFolder`. */
export function writeWeightFiles(folder: string, tensors: readonly WrittenTensor[], options: WriteOptions): void {
  const { dtype, maxShardBytes = 5e9, metadata = { format: 'pt' } } = options;
  const size = ({ shape }: WrittenTensor): number => shape.reduce((product, length) => product * length, BYTES[dtype]);
  const shards: WrittenTensor[][] = [[]];
  let filled = 0;
  for (const tensor of tensors) {
    if (filled > 0 && filled + size(tensor) > maxShardBytes) {
      shards.push([]);
      filled = 0;
    }
    (shards.at(-1) as WrittenTensor[]).push(tensor);
    filled += size(tensor);
  }
  if (shards.length === 1) {
    writeSafetensors(join(folder, SINGLE), tensors, dtype, metadata);
    return;
  }
  const map: Record<string, string> = Object.create(null);
  const count = String(shards.length).padStart(5, '0');
  for (const [i, shard] of shards.entries()) {
    const name = `model-${String(i + 1).padStart(5, '0')}-of-${count}.safetensors`;
    writeSafetensors(join(folder, name), shard, dtype, metadata);
    for (const tensor of shard) map[tensor.name] = name;
  }
  const total = tensors.reduce((sum, tensor) => sum + size(tensor), 0);
  const index = { metadata: { total_size: total }, weight_map: map };
  writeFileSync(join(folder, INDEX), `${JSON.stringify(index, null, 2)}\n`);
}
