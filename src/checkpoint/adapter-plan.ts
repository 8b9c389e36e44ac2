/** Which matrices adapters change: module names of Hugging Face files → columns of our parameters, rows of token tables. */
import { ConfigError } from '../errors.ts';
import type { HeadKind, ModelDimensions } from '../model/dimensions.ts';
import type { AdapterPlace, Adapters, ParameterRole, ParameterSpec, TokenRows } from '../tensor/parameters.ts';
import type { Piece } from './families/pieces.ts';
import { piecesOf } from './tensor-match.ts';

/** Settings of low-rank adapters, by PEFT's names for the modules. */
export interface LoraSettings {
  readonly rank: number;
  readonly alpha: number;
  readonly dropout: number;
  /** "q_proj", "mlp.c_proj", …, or "all-linear" for every linear layer but the head. */
  readonly targets: readonly string[];
  /** Scale α / √rank instead of α / rank. Kalajdzievski 2023, arXiv:2312.03732. */
  readonly rankStabilized: boolean;
}

/** A linear layer of the file that can be adapted, with its place among ours. */
export interface LinearModule {
  readonly piece: Piece;
  /** "model.layers.0.self_attn.q_proj" */
  readonly module: string;
  readonly place: AdapterPlace;
}

/** What can have low-rank changes: the matrices of linear layers within blocks. */
const ADAPTABLE: ReadonlySet<ParameterRole> = new Set(['attention.qkv', 'attention.output', 'mlp.input', 'mlp.output']);

/** The linear layers of a model's blocks, in the order of their columns. */
export function linearModules(dimensions: ModelDimensions, head: HeadKind): LinearModule[] {
  return piecesOf(dimensions, head).flatMap((piece) => {
    const { parameter, name, from, to } = piece;
    if (!ADAPTABLE.has(parameter.role)) return [];
    const module = name.replace(/\.weight$/, '');
    const own = `${parameter.name.replace(/\.weight$/, '')}.${module.split('.').at(-1)}.lora`;
    return [{ piece, module, place: { name: own, matrix: parameter, from, to } }];
  });
}

/** A table of tokens by its module: "model.embed_tokens", and "lm_head" where it is not the same. */
export interface TokenTable {
  readonly module: string;
  /** Its tensor in files: "model.embed_tokens.weight". */
  readonly weight: string;
  readonly matrix: ParameterSpec;
}

/** The tables that have a row for each token: the embedding, and a head of its own. */
export function tokenTables(dimensions: ModelDimensions, head: HeadKind): TokenTable[] {
  return piecesOf(dimensions, head)
    .filter(({ parameter: { role } }) => role === 'embedding.tokens' || role === 'head.tokens')
    .map(({ name, parameter }) => {
      // transformers 5 calls every head so, and reads GPT-NeoX's embed_out into it.
      const module = parameter.role === 'head.tokens' ? 'lm_head' : name.replace(/\.weight$/, '');
      return { module, weight: name, matrix: parameter };
    });
}

/** Rows of a table that are trained. */
export function rowsOfTable({ matrix }: TokenTable, ids: readonly number[]): TokenRows {
  return { name: `${matrix.name.replace(/\.weight$/, '')}.rows`, matrix, ids };
}

/**
 * The plan of adapters on a model.
 * @param newTokens tokens whose rows are trained beside them, in every table
 * @throws ConfigError naming each target that no linear layer matches, with those there are
 */
export function adapterPlan(
  dimensions: ModelDimensions,
  head: HeadKind,
  settings: LoraSettings,
  newTokens: readonly number[] = [],
): Adapters {
  const { rank, alpha, dropout, targets, rankStabilized } = settings;
  const modules = linearModules(dimensions, head);
  const matches = (module: string, target: string): boolean =>
    target === 'all-linear' || module === target || module.endsWith(`.${target}`);
  const unknown = targets.filter((target) => !modules.some(({ module }) => matches(module, target)));
  if (unknown.length > 0) {
    const known = [...new Set(modules.map(({ module }) => module.split('.').at(-1)))].join(', ');
    throw new ConfigError(
      `tuning.lora.targets: ${unknown.join(', ')}: no linear layer of a ${dimensions.family} model is called so; expected all-linear or some of ${known}.`,
    );
  }
  const places = modules.filter(({ module }) => targets.some((target) => matches(module, target)));
  const scale = alpha / (rankStabilized ? Math.sqrt(rank) : rank);
  const tables = newTokens.length === 0 ? [] : tokenTables(dimensions, head);
  const tokenRows = tables.map((table) => rowsOfTable(table, newTokens));
  return { places: places.map(({ place }) => place), tokenRows, scale, dropout, rank };
}
