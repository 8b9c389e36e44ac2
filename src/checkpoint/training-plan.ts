/** What of a model is trained, at which rates, and how the rest is kept: settings → plan. */
import { ConfigError } from '../errors.ts';
import type { HeadKind, ModelDimensions } from '../model/dimensions.ts';
import type { TrainingPlan } from '../model/model.ts';
import type { LoraSettings } from './adapter-plan.ts';
import { adapterPlan } from './adapter-plan.ts';

/** Which parameters learn. */
export interface TuningSettings {
  readonly method: 'full' | 'lora';
  readonly lora: LoraSettings;
  /** Parts that stay as they are under `full`. */
  readonly freeze: { readonly embeddings: boolean; readonly layers: number };
  /** Factors of the learning rate. */
  readonly rates: { readonly layerDecay: number; readonly embeddings: number; readonly head: number };
}

/** How memory is spent. */
export interface MemorySettings {
  readonly recompute: boolean;
  readonly frozen: 'float32' | 'bfloat16';
}

/**
 * The plan of a model that is trained.
 * @throws ConfigError where targets of adapters match nothing, more layers are to stay than there are,
 *   or frozen matrices are to be kept otherwise and there are none
 */
export function trainingPlan(
  dimensions: ModelDimensions,
  head: HeadKind,
  tuning: TuningSettings,
  memory: MemorySettings,
): TrainingPlan {
  const rest = { frozenPrecision: memory.frozen, recompute: memory.recompute };
  if (tuning.method === 'lora') {
    // A new score head has nothing to be adapted: it is trained itself.
    return { ...rest, trains: (name) => name === 'score.weight', adapters: adapterPlan(dimensions, head, tuning.lora) };
  }
  const { embeddings, layers } = tuning.freeze;
  if (layers > dimensions.layers) {
    throw new ConfigError(
      `tuning.freeze.layers: expected at most ${dimensions.layers}, the layers of the model; received ${layers}. Correct the number.`,
    );
  }
  if (memory.frozen !== 'float32' && !embeddings && layers === 0) {
    throw new ConfigError(
      `memory.frozen: expected float32, as every matrix is trained and none is frozen; received ${memory.frozen}. ` +
        'Use tuning.method=lora or tuning.freeze, or leave it out.',
    );
  }
  const isFrozen = (name: string): boolean =>
    name.startsWith('embedding.')
      ? embeddings
      : depthOf(name, dimensions.layers) <= layers && name.startsWith('blocks.');
  return { ...rest, trains: (name) => !isFrozen(name), adapters: null };
}

/** 0 for embeddings, 1 … for the layers, one more for what comes after them. */
function depthOf(name: string, layers: number): number {
  const layer = /^blocks\.(\d+)\./.exec(name)?.[1];
  if (layer !== undefined) return Number(layer) + 1;
  return name.startsWith('embedding.') ? 0 : layers + 1;
}

/**
 * The learning rate of each parameter as a factor: decay^(depth below the top), times that of its group.
 * @see Bao et al. 2022, arXiv:2106.08254, appendix (layer-wise decay); Howard and Ruder 2018, arXiv:1801.06146
 */
export function rateOf(
  { layers }: ModelDimensions,
  { rates: { layerDecay, embeddings, head } }: TuningSettings,
): (name: string) => number {
  return (name) => {
    const decay = layerDecay ** (layers + 1 - depthOf(name, layers));
    if (name.startsWith('embedding.')) return decay * embeddings;
    return name === 'score.weight' || name === 'head.weight' ? decay * head : decay;
  };
}
