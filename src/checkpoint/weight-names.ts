/** The decoder's parameters as the tensors of a Hugging Face file, one parameter at a time. */
import { CheckpointError } from '../errors.ts';
import type { HeadKind, ModelDimensions } from '../model/dimensions.ts';
import { parameterSpecs } from '../model/dimensions.ts';
import type { ParameterSpec } from '../tensor/parameters.ts';
import { formatOf } from './families/format-of.ts';
import type { Piece } from './families/pieces.ts';
import type { WeightFiles, WrittenTensor } from './weight-files.ts';

/** The pieces of a model's files. */
export function piecesOf(dimensions: ModelDimensions, head: HeadKind): Piece[] {
  return formatOf(dimensions.family).pieces(dimensions, head);
}

/** Reads parameters from files that were checked against config.json. */
export interface ParameterReader {
  /** Values of one parameter, [rows, width] or [width], in a fresh array. Reads only the tensors it is made of. */
  read(spec: ParameterSpec): Float32Array;
}

/**
 * Checks that the files hold what the dimensions imply, and reads parameters from them.
 * @param growFrom rows of the files' token tables where the model has more; new rows are the mean of the others, so that
 *   a new token is never likelier than the average one (Hewitt 2021, "Initializing New Word Embeddings")
 * @throws CheckpointError listing every tensor that is missing or has another shape than config.json implies
 */
export function parameterReader(
  dimensions: ModelDimensions,
  head: HeadKind,
  files: WeightFiles,
  where: string,
  growFrom = dimensions.vocab,
): ParameterReader {
  const specs = new Map(parameterSpecs(dimensions, head).map((spec) => [spec.name, spec]));
  const byParameter = new Map<string, { piece: Piece; name: string; rows: number }[]>();
  const problems: string[] = [];
  for (const piece of piecesOf(dimensions, head)) {
    const spec = specs.get(piece.parameter) as ParameterSpec;
    const missing = missingRows(spec, dimensions, growFrom);
    const shape = fileShape(piece, spec, missing);
    const name = [piece.name, ...(piece.aliases ?? [])].find((candidate) => files.entries.has(candidate));
    const found = name === undefined ? undefined : files.entries.get(name)?.shape;
    if (name === undefined) problems.push(`${where}: tensor "${piece.name}" is missing.`);
    else if (found?.join() !== shape.join()) {
      problems.push(
        `${where}: tensor "${name}": expected shape [${shape.join(', ')}] by config.json, received [${found?.join(', ')}].`,
      );
    }
    const list = byParameter.get(piece.parameter) ?? [];
    byParameter.set(piece.parameter, [...list, { piece, name: name ?? '', rows: missing }]);
  }
  if (problems.length > 0) throw new CheckpointError(problems);
  return {
    read: (spec) => {
      const pieces = byParameter.get(spec.name) ?? [];
      const values = new Float32Array(spec.shape.reduce((product, size) => product * size, 1));
      for (const { piece, name, rows } of pieces) {
        const source = files.read(name);
        checkFinite(source, `${where}: tensor "${name}"`);
        if (spec.name === 'embedding.tokens' && dimensions.tiedHead && head === 'tokens')
          checkTied(files, source, where);
        if (source.length === values.length && liesAsOurs(piece, spec)) return source;
        place(piece, spec, source, values, rows);
      }
      return values;
    },
  };
}

/** A file may hold the head beside the embedding it is tied to; with other values transformers would use them. */
function checkTied(files: WeightFiles, embedding: Float32Array, where: string): void {
  const name = ['lm_head.weight', 'embed_out.weight'].find((candidate) => files.entries.has(candidate));
  if (name === undefined) return;
  const own = files.read(name);
  if (own.length === embedding.length && own.every((value, i) => value === embedding[i])) return;
  throw new CheckpointError(
    `${where}: tensor "${name}" differs from the embedding and config.json says tie_word_embeddings; expected one of the two. ` +
      'Set tie_word_embeddings to false in config.json, or remove the tensor.',
  );
}

/** One NaN makes every number that is computed from it NaN; better said here than at the first step. */
function checkFinite(values: Float32Array, where: string): void {
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad === -1) return;
  throw new CheckpointError([
    `${where}: element ${bad} is ${values[bad]}; expected finite numbers.`,
    'Its training went wrong: use an earlier checkpoint.',
  ]);
}

/** Rows (columns of a head) that a token table of the model has and the file's has not. */
function missingRows(spec: ParameterSpec, dimensions: ModelDimensions, growFrom: number): number {
  return spec.name === 'embedding.tokens' || spec.name === 'head.weight' ? dimensions.vocab - growFrom : 0;
}

function fileShape(piece: Piece, spec: ParameterSpec, missing: number): number[] {
  const columns = piece.to - piece.from;
  if (spec.shape.length === 1) return [columns];
  const rows = spec.shape[0] as number;
  if (piece.transposed) return [columns - (spec.name === 'head.weight' ? missing : 0), rows];
  return [rows + (piece.skipRows ?? 0) - missing, columns];
}

/** True where the tensor of the file is our parameter as it is. */
function liesAsOurs({ from, to, transposed, order, skipRows }: Piece, spec: ParameterSpec): boolean {
  const isWhole = from === 0 && to === spec.shape.at(-1);
  return isWhole && !transposed && order === undefined && skipRows === undefined;
}

/** Copies a tensor of the file to its columns; the rows it lacks become the mean of those it has. */
function place(piece: Piece, spec: ParameterSpec, source: Float32Array, target: Float32Array, missing: number): void {
  const { from, transposed, order, skipRows = 0 } = piece;
  const width = spec.shape.at(-1) as number;
  const rows = target.length / width;
  const columns = piece.to - from;
  if (columns === width && order === undefined && !transposed) target.set(source.subarray(skipRows * columns));
  else if (transposed) {
    const held = columns - missing;
    for (let column = 0; column < held; column++) {
      const start = (order === undefined ? column : order(column)) * rows;
      for (let row = 0; row < rows; row++) target[row * width + from + column] = source[start + row] as number;
    }
  } else {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const at = row * columns + (order === undefined ? column : order(column));
        target[row * width + from + column] = source[at] as number;
      }
    }
  }
  if (missing > 0) fillWithMean(target, [rows, width], missing, transposed);
}

/** New rows of an embedding, or new columns of a head, as the mean of the others. */
function fillWithMean(values: Float32Array, [rows, width]: [number, number], missing: number, columns: boolean): void {
  const tokens = (columns ? width : rows) - missing;
  const size = columns ? rows : width;
  const at = (token: number, i: number): number => (columns ? i * width + token : token * width + i);
  for (let i = 0; i < size; i++) {
    let sum = 0;
    for (let token = 0; token < tokens; token++) sum += values[at(token, i)] as number;
    for (let token = tokens; token < tokens + missing; token++) values[at(token, i)] = sum / tokens;
  }
}

/**
 * The tensors of a Hugging Face file, each made when it is written.
 * @param valuesOf the host values of one of our parameters
 */
export function fileTensors(
  dimensions: ModelDimensions,
  head: HeadKind,
  valuesOf: (parameter: string) => Float32Array,
): WrittenTensor[] {
  const specs = new Map(parameterSpecs(dimensions, head).map((spec) => [spec.name, spec]));
  return piecesOf(dimensions, head).map((piece) => {
    const spec = specs.get(piece.parameter) as ParameterSpec;
    const shape = fileShape(piece, spec, 0);
    return { name: piece.name, shape, values: () => extract(piece, spec, valuesOf(piece.parameter)) };
  });
}

function extract(piece: Piece, spec: ParameterSpec, source: Float32Array): Float32Array {
  const { from, transposed, order, skipRows = 0 } = piece;
  const width = spec.shape.at(-1) as number;
  const rows = source.length / width;
  const columns = piece.to - from;
  if (liesAsOurs(piece, spec)) return source;
  const values = new Float32Array((rows + skipRows) * columns);
  for (let column = 0; column < columns; column++) {
    const there = order === undefined ? column : order(column);
    for (let row = 0; row < rows; row++) {
      const at = transposed ? there * rows + row : (row + skipRows) * columns + there;
      values[at] = source[row * width + from + column] as number;
    }
  }
  return values;
}
