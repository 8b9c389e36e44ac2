/** The tensors of a file against those a model is made of: each found, of the right shape and type, and none left over. */
import { CheckpointError } from '../errors.ts';
import type { HeadKind, ModelDimensions } from '../model/dimensions.ts';
import { formatOf } from './families/format-of.ts';
import type { Piece } from './families/pieces.ts';
import { isReadable, READABLE } from './safetensors.ts';
import { describeNames, groupBy, patternOf } from './tensor-groups.ts';
import type { PrefixMatch } from './tensor-prefix.ts';
import { matchNames } from './tensor-prefix.ts';
import type { UnreadTensor } from './unread-tensors.ts';
import { readsImages, TOKEN_HEADS, unreadProblems } from './unread-tensors.ts';
import type { TensorEntry, WeightFiles } from './weight-files.ts';

/** A piece with its place in the file. */
export interface FoundPiece {
  readonly piece: Piece;
  /** Its name in the file. */
  readonly name: string;
  /** Rows (columns of a head) that the model has and the file has not. */
  readonly missing: number;
}

/** Every tensor of a model, found. */
export interface TensorMatch {
  readonly found: readonly FoundPiece[];
  /** The name of a token head that stands beside the embedding it is tied to. */
  readonly tiedHead: string | undefined;
  /** Lines for people: names that begin in an unusual way. */
  readonly notes: readonly string[];
}

/** The pieces of a model's files. */
export function piecesOf(dimensions: ModelDimensions, head: HeadKind): Piece[] {
  return formatOf(dimensions.family).pieces(dimensions, head);
}

/**
 * Finds the tensors of a model by their names and checks them by the headers.
 * @param growFrom rows of the files' token tables where the model has more
 * @throws CheckpointError listing every tensor that is missing, has another shape than config.json implies or a type that
 *   cannot be read, and those that nothing reads
 */
export function matchTensors(
  dimensions: ModelDimensions,
  head: HeadKind,
  files: WeightFiles,
  where: string,
  growFrom = dimensions.vocab,
): TensorMatch {
  const { entries } = files;
  const pieces = piecesOf(dimensions, head);
  const { prefixes } = formatOf(dimensions.family);
  const trunk = pieces.map(({ name }) => name).filter((name) => name.startsWith(prefixes[0]));
  const prefix = matchNames({ family: dimensions.family, trunk, prefixes }, entries.keys(), where);
  const isTied = head === 'tokens' && dimensions.tiedHead;
  const tiedHead = isTied ? TOKEN_HEADS.map(prefix.find).find((name) => name !== undefined) : undefined;
  const missing: string[] = [];
  const misfits: Misfit[] = [];
  const found = pieces.flatMap((piece): FoundPiece[] => {
    const lacking = missingRows(piece, dimensions, growFrom);
    // Of two names for one tensor some files keep that of the head.
    const name = prefix.find(piece.name) ?? (piece.parameter.role === 'embedding.tokens' ? tiedHead : undefined);
    if (name === undefined) {
      missing.push(piece.name);
      return [];
    }
    misfits.push(...misfit(name, entries.get(name) as TensorEntry, fileShape(piece, lacking), piece));
    return [{ piece, name, missing: lacking }];
  });
  const others = unreadTensors(entries, [...found.map(({ name }) => name), tiedHead], prefix);
  const images = others.filter((tensor) => readsImages(tensor, dimensions));
  const unread = others.filter((tensor) => !images.includes(tensor));
  const problems = [
    ...misfitProblems(misfits, where),
    ...missingProblems(missing, where),
    ...unreadProblems(unread, { dimensions, head }, where),
  ];
  if (problems.length > 0) throw new CheckpointError(problems);
  const imagesNote = `${where}: is a model of images, too; its language model is read, and these are not: ${describeNames(images.map(({ name }) => name))}.`;
  return {
    found,
    tiedHead,
    notes: [...(prefix.note === undefined ? [] : [prefix.note]), ...(images.length > 0 ? [imagesNote] : [])],
  };
}

function unreadTensors(
  entries: ReadonlyMap<string, TensorEntry>,
  known: readonly (string | undefined)[],
  prefix: PrefixMatch,
): UnreadTensor[] {
  const read = new Set(known);
  return [...entries].flatMap(([name, entry]) => (read.has(name) ? [] : [{ name, core: prefix.core(name), entry }]));
}

function missingProblems(names: readonly string[], where: string): string[] {
  const [only] = names;
  if (only === undefined) return [];
  const isHead = names.some((name) => name === 'lm_head.weight' || name === 'embed_out.weight');
  const remedy = isHead ? ' Where the head is the embedding, set tie_word_embeddings to true in config.json.' : '';
  if (names.length === 1) return [`${where}: tensor "${only}" is missing.${remedy}`];
  return [`${where}: ${names.length} tensors are missing: ${describeNames(names)}.${remedy}`];
}

/** A tensor that is not as config.json has it. */
interface Misfit {
  readonly name: string;
  readonly problem: string;
}

function misfit(
  name: string,
  { shape, dtype }: TensorEntry,
  expected: readonly number[],
  { parameter }: Piece,
): Misfit[] {
  const list = (sizes: readonly number[]): string => `[${sizes.join(', ')}]`;
  const problems: Misfit[] = [];
  if (shape.join() !== expected.join()) {
    const isTable = parameter.role === 'embedding.tokens' && shape.length === 2 && shape[1] === expected[1];
    const remedy = isTable ? ` Set vocab_size to ${shape[0]} in config.json where the table was resized.` : '';
    const problem = `expected shape ${list(expected)} by config.json, received ${list(shape)}.${remedy}`;
    problems.push({ name, problem });
  }
  if (!isReadable(dtype)) problems.push({ name, problem: `expected type ${READABLE.join(', ')}, received ${dtype}.` });
  return problems;
}

/** One line for the same tensor of several layers. */
function misfitProblems(misfits: readonly Misfit[], where: string): string[] {
  return [...groupBy(misfits, ({ name, problem }) => `${patternOf(name)} ${problem}`).values()].map((group) => {
    const [{ name, problem }] = group as [Misfit];
    const what = group.length === 1 ? `tensor "${name}"` : `${group.length} tensors "${patternOf(name)}"`;
    return `${where}: ${what}: ${problem}`;
  });
}

/** Rows (columns of a head) that a token table of the model has and the file's has not. */
function missingRows({ parameter: { role } }: Piece, dimensions: ModelDimensions, growFrom: number): number {
  return role === 'embedding.tokens' || role === 'head.tokens' ? dimensions.vocab - growFrom : 0;
}

/** The shape of a piece in a file whose token tables lack `missing` rows. */
export function fileShape(piece: Piece, missing: number): number[] {
  const { role, shape } = piece.parameter;
  const columns = piece.to - piece.from;
  if (shape.length === 1) return [columns];
  const rows = shape[0] as number;
  if (piece.transposed) return [columns - (role === 'head.tokens' ? missing : 0), rows];
  return [rows + (piece.skipRows ?? 0) - missing, columns];
}
