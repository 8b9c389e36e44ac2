/** Where the tensors of a Hugging Face file lie in the decoder's parameters. */
import { ShapeError } from '../../errors.ts';
import type { HeadKind, ModelDimensions } from '../../model/dimensions.ts';
import { parameterSpecs } from '../../model/parameter-table.ts';
import type { ParameterSpec } from '../../tensor/parameters.ts';
import type { ConfigFields } from '../config-fields.ts';

/** Columns [from, to) of one of our parameters, as one tensor of the file. */
export interface Piece {
  /** Our parameter: a matrix [rows, width] or a vector [width]. */
  readonly parameter: ParameterSpec;
  /** Name in the file. */
  readonly name: string;
  readonly from: number;
  readonly to: number;
  /** nn.Linear is [out, in] where ours is [in, out]; embeddings and GPT-2's Conv1D lie as ours do. */
  readonly transposed: boolean;
  /** The output of the file that our column `column` (counted from `from`) is; its own number where left out. */
  readonly order?: (column: number) => number;
  /** Rows at the start of the file's table that ours does not have. */
  readonly skipRows?: number;
}

/** A Hugging Face architecture: its fields in config.json and its tensors. */
export interface FamilyFormat {
  /** Names of transformers' classes, by what the last layer gives. */
  readonly classes: Readonly<Record<HeadKind, string>>;
  /** What the names of all tensors but the heads begin with: as we write it first, then as older files have it. */
  readonly prefixes: readonly [string, ...string[]];
  readonly defaultTied: boolean;
  read(fields: ConfigFields): ModelDimensions;
  write(dimensions: ModelDimensions): Record<string, unknown>;
  pieces(dimensions: ModelDimensions, head: HeadKind): Piece[];
}

/** Builds the pieces of a family, a layer at a time. */
export interface PieceList {
  /** A parameter that is one tensor of the file, as it lies. */
  whole(parameter: string, name: string, width: number, more?: Partial<Piece>): void;
  /** A linear layer, weight and bias (where there is one), as columns [from, to) of ours. */
  linear(
    parameter: string,
    name: string,
    columns: readonly [number, number],
    bias: boolean,
    more?: Partial<Piece>,
  ): void;
  readonly pieces: Piece[];
}

/** @param conv true where linear weights are [in, out] in the file (GPT-2) */
export function pieceList(dimensions: ModelDimensions, head: HeadKind, conv = false): PieceList {
  const specs = new Map(parameterSpecs(dimensions, head).map((spec) => [spec.name, spec]));
  const pieces: Piece[] = [];
  const add = (parameter: string, piece: Omit<Piece, 'parameter'>): void => {
    const spec = specs.get(parameter);
    if (spec === undefined) throw new ShapeError(`${dimensions.family}: a model has no parameter "${parameter}".`);
    pieces.push({ parameter: spec, ...piece });
  };
  return {
    pieces,
    whole: (parameter, name, width, more = {}) => {
      add(parameter, { name, from: 0, to: width, transposed: false, ...more });
    },
    linear: (parameter, name, [from, to], bias, more = {}) => {
      add(`${parameter}.weight`, { name: `${name}.weight`, from, to, transposed: !conv, ...more });
      if (bias) add(`${parameter}.bias`, { name: `${name}.bias`, from, to, transposed: false, ...more });
    },
  };
}

/** A norm's gain and bias. */
export function addNorm(list: PieceList, parameter: string, name: string, { dModel, norm }: ModelDimensions): void {
  list.whole(`${parameter}.gain`, `${name}.weight`, dModel);
  if (norm === 'layer') list.whole(`${parameter}.bias`, `${name}.bias`, dModel);
}

/** The score head, or the token head where it is a matrix of its own. */
export function addHead(list: PieceList, dimensions: ModelDimensions, head: HeadKind, name: string): void {
  if (head === 'score') list.linear('score', 'score', [0, 1], false);
  else if (!dimensions.tiedHead) list.linear('head', name, [0, dimensions.vocab], false);
}
