/** The decoder's parameters as the tensors of a Hugging Face file, one parameter at a time. */
import { CheckpointError } from '../errors.ts';
import type { HeadKind, ModelDimensions } from '../model/dimensions.ts';
import type { ParameterSpec } from '../tensor/parameters.ts';
import type { Piece } from './families/pieces.ts';
import { groupBy } from './tensor-groups.ts';
import { fileShape, matchTensors, piecesOf } from './tensor-match.ts';
import type { WeightFiles, WrittenTensor } from './weight-files.ts';

/** Reads parameters from files that were checked against config.json. */
export interface ParameterReader {
  /** Values of one parameter, [rows, width] or [width], in a fresh array. Reads only the tensors it is made of. */
  read(spec: ParameterSpec): Float32Array;
  /** Lines for people about the files. */
  readonly notes: readonly string[];
}

/**
 * Checks that the files hold what the dimensions imply and nothing else, and reads parameters from them.
 * @param growFrom rows of the files' token tables where the model has more; new rows are the mean of the others, so that
 *   a new token is never likelier than the average one (Hewitt 2021, "Initializing New Word Embeddings")
 * @throws CheckpointError listing every tensor that is missing, has another shape than config.json implies or a type that
 *   cannot be read, and those that nothing reads
 */
export function parameterReader(
  dimensions: ModelDimensions,
  head: HeadKind,
  files: WeightFiles,
  where: string,
  growFrom = dimensions.vocab,
): ParameterReader {
  const { found, tiedHead, notes } = matchTensors(dimensions, head, files, where, growFrom);
  const byParameter = groupBy(found, ({ piece }) => piece.parameter.name);
  return {
    notes,
    read: (spec) => {
      const values = new Float32Array(spec.shape.reduce((product, size) => product * size, 1));
      for (const { piece, name, missing } of byParameter.get(spec.name) ?? []) {
        const source = files.read(name);
        checkFinite(source, `${where}: tensor "${name}"`);
        const isBeside = spec.role === 'embedding.tokens' && tiedHead !== undefined && tiedHead !== name;
        if (isBeside) checkTied(files, tiedHead, source, where);
        if (source.length === values.length && liesAsOurs(piece)) return source;
        place(piece, source, values, missing);
      }
      return values;
    },
  };
}

/** A file may hold the head beside the embedding it is tied to; with other values transformers would use them. */
export function checkTied(files: WeightFiles, head: string, embedding: Float32Array, where: string): void {
  const own = files.read(head);
  if (own.length === embedding.length && own.every((value, i) => value === embedding[i])) return;
  throw new CheckpointError(
    `${where}: tensor "${head}" differs from the embedding and config.json says tie_word_embeddings; expected one of the two. ` +
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

/** True where the tensor of the file is our parameter as it is. */
function liesAsOurs({ parameter, from, to, transposed, order, skipRows }: Piece): boolean {
  const isWhole = from === 0 && to === parameter.shape.at(-1);
  return isWhole && !transposed && order === undefined && skipRows === undefined;
}

/** Copies a tensor of the file to its columns; the rows it lacks become the mean of those it has. */
function place(piece: Piece, source: Float32Array, target: Float32Array, missing: number): void {
  const { parameter, from, transposed, order, skipRows = 0 } = piece;
  const width = parameter.shape.at(-1) as number;
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
export function fillWithMean(
  values: Float32Array,
  [rows, width]: [number, number],
  missing: number,
  columns: boolean,
): void {
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
  return pieceTensors(piecesOf(dimensions, head), valuesOf);
}

/** The same for any file whose tensors are pieces of our parameters. */
export function pieceTensors(pieces: readonly Piece[], valuesOf: (parameter: string) => Float32Array): WrittenTensor[] {
  return pieces.map((piece) => ({
    name: piece.name,
    shape: fileShape(piece, 0),
    values: () => extract(piece, valuesOf(piece.parameter.name)),
  }));
}

function extract(piece: Piece, source: Float32Array): Float32Array {
  const { parameter, from, transposed, order, skipRows = 0 } = piece;
  const width = parameter.shape.at(-1) as number;
  const rows = source.length / width;
  const columns = piece.to - from;
  if (liesAsOurs(piece)) return source;
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
