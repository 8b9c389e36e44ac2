/** What of a model is trained, at which rates, and how the rest is kept: settings → plan. */
import { ConfigError } from '../errors.ts';
import type { HeadKind, ModelDimensions } from '../model/dimensions.ts';
import type { TrainingPlan } from '../model/model.ts';
import type { ParameterSpec } from '../tensor/parameters.ts';
import type { LoraSettings } from './adapter-plan.ts';
import { adapterPlan } from './adapter-plan.ts';

/** Which parameters learn: the model's own, or low-rank changes to them; `rates` are factors of the learning rate. */
export type TuningSettings =
  | {
      readonly method: 'full';
      /** Parts that stay as they are. */
      readonly freeze: { readonly embeddings: boolean; readonly layers: number };
      readonly rates: LayerRates & { readonly embeddings: number };
    }
  | { readonly method: 'lora'; readonly lora: LoraSettings; readonly rates: LayerRates };

interface LayerRates {
  readonly layerDecay: number;
  readonly head: number;
}

/** How memory is spent. */
export interface MemorySettings {
  readonly recompute: boolean;
  readonly frozen: 'float32' | 'bfloat16';
}

/**
 * The plan of a model that is trained.
 * @param newTokens tokens that were added to the vocabulary: their rows are trained under adapters too
 * @throws ConfigError where targets of adapters match nothing, more layers are to stay than there are, new tokens would
 *   never be learned, or frozen matrices are to be kept otherwise and there are none
 */
export function trainingPlan(
  dimensions: ModelDimensions,
  head: HeadKind,
  tuning: TuningSettings,
  memory: MemorySettings,
  newTokens: readonly number[] = [],
): TrainingPlan {
  const rest = { frozenPrecision: memory.frozen, recompute: memory.recompute };
  if (tuning.method === 'lora') {
    // A new score head has nothing to be adapted: it is trained itself.
    return {
      ...rest,
      trains: ({ role }) => role === 'head.score',
      adapters: adapterPlan(dimensions, head, tuning.lora, newTokens),
    };
  }
  const { embeddings, layers } = tuning.freeze;
  if (layers > dimensions.layers) {
    throw new ConfigError(
      `tuning.freeze.layers: expected at most ${dimensions.layers}, the layers of the model; received ${layers}. Correct the number.`,
    );
  }
  if (embeddings && newTokens.length > 0) {
    throw new ConfigError(
      `tuning.freeze.embeddings: expected false, as ${newTokens.length} tokens were added to the vocabulary (data.template) and ` +
        'would never be learned; received true. Leave it out, or use tuning.method=lora, which trains their rows alone.',
    );
  }
  if (memory.frozen !== 'float32' && !embeddings && layers === 0) {
    throw new ConfigError(
      `memory.frozen: expected float32, as every matrix is trained and none is frozen; received ${memory.frozen}. ` +
        'Use tuning.method=lora or tuning.freeze, or leave it out.',
    );
  }
  const isFrozen = (spec: ParameterSpec): boolean =>
    isEmbedding(spec) ? embeddings : spec.layer !== null && spec.layer < layers;
  return { ...rest, trains: (spec) => !isFrozen(spec), adapters: null };
}

function isEmbedding({ role }: ParameterSpec): boolean {
  return role === 'embedding.tokens' || role === 'embedding.positions';
}

/**
 * The learning rate of each parameter as a factor: decay^(depth below the top), times that of its group.
 * @see Bao et al. 2022, arXiv:2106.08254, appendix (layer-wise decay); Howard and Ruder 2018, arXiv:1801.06146
 */
export function rateOf({ layers }: ModelDimensions, tuning: TuningSettings): (spec: ParameterSpec) => number {
  const { layerDecay, head } = tuning.rates;
  const embeddings = tuning.method === 'full' ? tuning.rates.embeddings : 1;
  return (spec) => {
    // Embeddings are below the first layer; the final norm and heads are the top.
    if (isEmbedding(spec)) return layerDecay ** (layers + 1) * embeddings;
    const decay = spec.layer === null ? 1 : layerDecay ** (layers - spec.layer);
    return spec.role === 'head.tokens' || spec.role === 'head.score' ? decay * head : decay;
  };
}
