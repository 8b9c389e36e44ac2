/** Which matrices get low-rank changes: module names of Hugging Face files → columns of our parameters. */
import { ConfigError } from '../errors.ts';
import type { HeadKind, ModelDimensions } from '../model/dimensions.ts';
import type { AdapterPlace, Adapters, ParameterRole } from '../tensor/parameters.ts';
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

/**
 * The plan of adapters on a model.
 * @throws ConfigError naming each target that no linear layer matches, with those there are
 */
export function adapterPlan(dimensions: ModelDimensions, head: HeadKind, settings: LoraSettings): Adapters {
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
  return { places: places.map(({ place }) => place), scale, dropout, rank };
}
