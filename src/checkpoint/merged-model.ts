/** Loads a base model with an adapter merged into it: the base's files, seen through the adapter. */
import { join } from 'node:path';
import { CheckpointError } from '../errors.ts';
import type { HeadKind, ModelDimensions } from '../model/dimensions.ts';
import type { Model } from '../model/model.ts';
import { assembleModel, trainNothing } from '../model/model.ts';
import { seededRandom } from '../random.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { readAdapterConfig } from './adapter-config.ts';
import { openAdapterWeights } from './adapter-folder.ts';
import type { BaseModule, MergeSources } from './adapter-merge.ts';
import { finite, mergeBias, mergeChange, mergeProblems, replaceRows } from './adapter-merge.ts';
import { tokenTables } from './adapter-plan.ts';
import { sortTensors } from './adapter-tensors.ts';
import { readModelConfig } from './model-config.ts';
import { grown, tokenizerProblems } from './model-folder.ts';
import { fileShape, matchTensors, piecesOf } from './tensor-match.ts';
import { TOKEN_HEADS } from './unread-tensors.ts';
import type { TensorEntry, WeightFiles } from './weight-files.ts';
import { openWeightFiles, weightPaths } from './weight-files.ts';
import { checkTied, fillWithMean, parameterReader } from './weight-names.ts';

/** Of a reward model; PEFT leaves the middle out when it saves. */
const SCORE_HEAD = /(?:^|\.)score(?:\.modules_to_save(?:\.[^.]+)?)?\.weight$/;

/** A merged model; the caller disposes it. */
export interface MergedModel {
  readonly model: Model;
  /** Modules with low-rank changes, their ranks and scales; tensors that were saved whole; tables whose rows were. */
  readonly changed: readonly { readonly module: string; readonly rank: number; readonly scale: number }[];
  readonly replaced: readonly string[];
  readonly tokenRows: readonly string[];
}

/** What a merge is given beside the two folders. */
export interface MergeOptions {
  readonly tokenizer: Tokenizer;
  readonly say: (line: string) => void;
}

/**
 * Merges an adapter into its base, a tensor at a time: W + scale · B · A, scaled by DoRA's magnitudes where it has them, and
 * whatever was saved whole in place of the base's. Tables grow where it has rows of tokens behind theirs, and the tokenizer has these tokens. A head that is no longer the embedding becomes one of its own.
 * @throws CheckpointError listing what the settings ask for that is not done here, and what fits neither them nor the base
 */
export function loadMergedModel(baseFolder: string, adapterFolder: string, options: MergeOptions): MergedModel {
  const base = readModelConfig(join(baseFolder, 'config.json'));
  const config = readAdapterConfig(join(adapterFolder, 'adapter_config.json'));
  const opened = openAdapterWeights(adapterFolder);
  const files = openWeightFiles(baseFolder);
  try {
    const where = weightPaths(baseFolder)[0] as string;
    const isReward = [...opened.file.entries.keys()].some((name) => SCORE_HEAD.test(name));
    const head: HeadKind = isReward ? 'score' : base.head;
    const added = Math.max(0, Math.min(config.tokens, options.tokenizer.vocabSize) - base.dimensions.vocab);
    const headModule = headModuleOf(opened.file.entries.keys());
    const open = openBase({ ...base, files, where }, head, added, headModule);
    const names = new Map(open.modules.map(({ module, piece }) => [module, piece.name.replace(/\.weight$/, '')]));
    const tensors = sortTensors(opened.file.entries.keys(), names, opened.where);
    const sources = { config, file: opened.file, where: opened.where, tensors };
    const problems = [...mergeProblems(sources, open.modules), ...tieProblems(sources, open)];
    if (problems.length > 0) throw new CheckpointError(problems);
    for (const note of [...open.notes, ...tensors.notes]) options.say(note);
    const dimensions = mergedDimensions(base.dimensions, sources, open);
    const misfits = tokenizerProblems(baseFolder, dimensions, options.tokenizer);
    if (misfits.length > 0) throw new CheckpointError(misfits);
    const view = throughAdapter(sources, open, dimensions.tiedHead);
    const wide = grown(dimensions, options.tokenizer);
    const reader = parameterReader(wide, head, view, `${where} with ${opened.where}`, dimensions.vocab);
    const model = assembleModel(wide, head, reader.read, trainNothing(), seededRandom(0, 'nothing is drawn'));
    const changed = [...tensors.changes.keys()].map((module) => {
      return { module, rank: config.rank(module), scale: config.scale(module) };
    });
    return { model, changed, replaced: [...tensors.replaced.keys()], tokenRows: [...tensors.tokenRows.keys()] };
  } finally {
    files.close();
    opened.file.close();
  }
}

/** The base's tensors by the names we know them under, and its modules. */
interface OpenBase {
  readonly entries: ReadonlyMap<string, TensorEntry>;
  read(name: string): Float32Array;
  readonly modules: readonly BaseModule[];
  readonly embedding: string;
  /** Name of the token head, there or not; undefined in a reward model. */
  readonly head: string | undefined;
  readonly isTied: boolean;
  readonly notes: readonly string[];
}

/** What an adapter calls the token head: transformers 5 says lm_head in every family, earlier versions embed_out in GPT-NeoX. */
function headModuleOf(names: Iterable<string>): string {
  return [...names].some((name) => name.split('.').includes('embed_out')) ? 'embed_out' : 'lm_head';
}

function openBase(
  base: { dimensions: ModelDimensions; head: HeadKind; files: WeightFiles; where: string },
  head: HeadKind,
  added: number,
  headModule: string,
): OpenBase {
  const { dimensions, files, where } = base;
  const match = matchTensors(dimensions, base.head, files, where);
  const inFiles = new Map(match.found.map(({ piece, name }) => [piece.name, name]));
  const inFile = (name: string): Float32Array => files.read(inFiles.get(name) as string);
  // With a head of its own, as an adapter may bring one.
  const pieces = piecesOf({ ...dimensions, tiedHead: false }, head);
  const embedding = pieces.find(({ parameter }) => parameter.role === 'embedding.tokens')?.name as string;
  if (match.tiedHead !== undefined) checkTied(files, match.tiedHead, inFile(embedding), where);
  const tables = new Set(tokenTables({ ...dimensions, tiedHead: false }, head).map(({ weight }) => weight));
  const entryOf = (name: string): TensorEntry | undefined => {
    const entry = files.entries.get(inFiles.get(name) ?? '');
    if (entry === undefined || added === 0 || !tables.has(name)) return entry;
    return { ...entry, shape: [(entry.shape[0] as number) + added, entry.shape[1] as number] };
  };
  const read = (name: string): Float32Array => {
    const entry = entryOf(name);
    if (entry === undefined || added === 0 || !tables.has(name)) return inFile(name);
    const [rows, width] = entry.shape as [number, number];
    const values = new Float32Array(rows * width);
    values.set(inFile(name));
    fillWithMean(values, [rows, width], added, false);
    return values;
  };
  const all = new Set(pieces.map(({ name }) => name));
  const modules = pieces
    .filter(({ name }) => name.endsWith('.weight'))
    .map((piece): BaseModule => {
      const { role } = piece.parameter;
      const own = piece.name.replace(/\.weight$/, '');
      const module = own === 'embed_out' ? headModule : own;
      // A head may be missing in the base's files.
      const shape = entryOf(piece.name)?.shape ?? fileShape(piece, 0);
      const isHead = role === 'head.tokens' || role === 'head.score';
      return {
        module,
        piece,
        shape,
        isHead,
        isInputEmbedding: piece.name === embedding,
        hasBias: all.has(`${own}.bias`),
      };
    });
  const entries = new Map(pieces.flatMap(({ name }) => [[name, entryOf(name)] as const]).filter(isThere));
  const tokenHead = TOKEN_HEADS.find((name) => all.has(name));
  const isTied = head === 'tokens' && dimensions.tiedHead;
  return { entries, read, modules, embedding, head: tokenHead, isTied, notes: match.notes };
}

function isThere(pair: readonly [string, TensorEntry | undefined]): pair is readonly [string, TensorEntry] {
  return pair[1] !== undefined;
}

/** Low-rank changes to either end of tied weights: PEFT's merge changes the tensor both share. */
function tieProblems({ where, tensors }: MergeSources, { isTied, modules }: OpenBase): string[] {
  if (!isTied) return [];
  return modules
    .filter(({ module, isHead, isInputEmbedding }) => (isHead || isInputEmbedding) && tensors.changes.has(module))
    .map(
      ({ module }) =>
        `${where}: changes "${module}", and the base's head is its embedding (tie_word_embeddings): merging would change both ends, ` +
        'which is not what the adapter computes. Give the base a head of its own first (lm_head.weight, and tie_word_embeddings false).',
    );
}

/** With a head of its own where the adapter parts it from the embedding, and as many rows as an embedding that was resized. */
function mergedDimensions(dimensions: ModelDimensions, sources: MergeSources, base: OpenBase): ModelDimensions {
  const { tensors, file } = sources;
  const embedding = tensors.replaced.get(base.embedding);
  const table = embedding === undefined ? base.entries.get(base.embedding) : file.entries.get(embedding);
  const vocab = table?.shape[0] ?? dimensions.vocab;
  return { ...dimensions, vocab, tiedHead: base.isTied ? staysTied(sources, base) : dimensions.tiedHead };
}

/**
 * Modules that PEFT saves whole are copies: saving one end of tied weights parts it from the other. Tensors that no
 * modules_to_save names are loaded into the weights both share.
 */
function staysTied({ config, tensors, file, where }: MergeSources, base: OpenBase): boolean {
  const [embedding, head] = [tensors.replaced.get(base.embedding), tensors.replaced.get(base.head ?? '')];
  if (embedding === undefined && head === undefined) return true;
  if (embedding !== undefined && head !== undefined) {
    const [one, other] = [finite(file, embedding, where), finite(file, head, where)];
    if (one.length === other.length && one.every((value, i) => value === other[i])) return true;
  }
  return config.savedModules.length === 0;
}

/** The base's files with every tensor as the adapter has it. */
function throughAdapter(sources: MergeSources, base: OpenBase, tied: boolean): WeightFiles {
  const { config, file, where, tensors } = sources;
  const byWeight = new Map(base.modules.map((one) => [one.piece.name, one]));
  const entries = new Map(base.entries);
  const ownHead = tied ? undefined : base.head;
  const table = base.entries.get(base.embedding) as TensorEntry;
  if (ownHead !== undefined && !entries.has(ownHead)) entries.set(ownHead, table);
  for (const [name, given] of tensors.replaced) {
    if (!tied || name !== base.head) entries.set(name, file.entries.get(given) as TensorEntry);
  }
  const whole = (name: string): Float32Array => {
    const given = tensors.replaced.get(name);
    if (given !== undefined) return finite(file, given, where);
    return base.read(name === ownHead && !base.entries.has(name) ? base.embedding : name);
  };
  const read = (name: string): Float32Array => {
    const values = whole(name);
    const one = byWeight.get(name);
    if (one === undefined) {
      const module = name.replace(/\.bias$/, '');
      const bias = tensors.changes.get(module)?.bias;
      if (bias !== undefined) mergeBias(values, module, bias, sources);
      return values;
    }
    const change = tensors.changes.get(one.module);
    if (change !== undefined) mergeChange(values, one, change, sources);
    const rows = config.tokenRows(one.module, one.isInputEmbedding);
    const held = tensors.tokenRows.get(one.module);
    if (rows !== undefined && held !== undefined) {
      replaceRows(values, one.shape[1] as number, rows, finite(file, held, where));
    }
    return values;
  };
  return { entries, read, close: () => undefined };
}
