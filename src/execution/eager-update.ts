/** One optimizer update: micro-batch gradients added up, clipped by global norm, checked, applied. */
import { InvariantError } from '../errors.ts';
import type { Parameters } from '../tensor/parameters.ts';
import type { Tensor1D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { Weights } from '../tensor/weights.ts';
import type { AdamW } from './adamw.ts';
import { applyAdamW } from './adamw.ts';
import type { LossTerms } from './gradient.ts';
import { lossAndGradient } from './gradient.ts';

/** Numbers of one update; stats and loss are sums over the micro-batches. */
export interface UpdateResult<Name extends string> {
  readonly loss: number;
  readonly gradientNorm: number;
  readonly stats: Record<Name, number>;
}

/** Settings of an update. */
export interface UpdateOptions {
  readonly learningRate: number;
  /** Largest global gradient norm; null leaves gradients as they are. */
  readonly clipNorm: number | null;
  /** Where this is, for the error when a number is not finite: "instruct step 120". */
  readonly where: string;
  /** Section of the configuration that sets rate and clipping, for the same error. */
  readonly section?: string;
  /** Seeds what adapters drop in this update; nothing is dropped without. */
  readonly dropoutSeed?: number;
}

/**
 * Runs each micro-batch's loss, adds the gradients (each loss is already divided by the whole batch's count), clips, and
 * applies AdamW.
 * @throws InvariantError when loss or gradient is not finite; the parameters are then still those of the last update
 */
export function updateParameters<Name extends string>(
  parameters: Parameters,
  adam: AdamW,
  microBatches: readonly ((weights: Weights) => LossTerms<Name>)[],
  options: UpdateOptions,
): UpdateResult<Name> {
  let total: Tensor1D | null = null;
  let loss = 0;
  const stats = {} as Record<Name, number>;
  for (const [index, microBatch] of microBatches.entries()) {
    const seed = options.dropoutSeed === undefined ? undefined : options.dropoutSeed + 1000 * index;
    const part = lossAndGradient(parameters, microBatch, seed);
    loss += part.loss;
    for (const name of Object.keys(part.stats) as Name[]) stats[name] = (stats[name] ?? 0) + part.stats[name];
    if (total === null) total = part.gradient;
    else {
      const sum: Tensor1D = tf.add(total, part.gradient);
      tf.dispose([total, part.gradient]);
      total = sum;
    }
  }
  if (total === null) throw new InvariantError(`${options.where}: an update needs at least one micro-batch.`);
  const gradient = total;
  const gradientNorm = tf.tidy(() => tf.sqrt(tf.sum(tf.square(gradient))).dataSync()[0] as number);
  try {
    requireFinite(loss, gradientNorm, options);
  } catch (error) {
    gradient.dispose();
    throw error;
  }
  const clipped = clip(gradient, gradientNorm, options.clipNorm);
  applyAdamW(adam, parameters, clipped, options.learningRate);
  tf.dispose(clipped === gradient ? [gradient] : [gradient, clipped]);
  return { loss, gradientNorm, stats };
}

/** @throws InvariantError where a number of an update is not finite */
export function requireFinite(
  loss: number,
  gradientNorm: number,
  { where, section = 'optimizer' }: UpdateOptions,
): void {
  if (Number.isFinite(loss) && Number.isFinite(gradientNorm)) return;
  throw new InvariantError(
    `${where}: the loss is ${loss} and the gradient norm ${gradientNorm}; expected finite numbers. ` +
      `The weights of the last good checkpoint are kept. Lower ${section}.learningRate or ${section}.clipNorm, ` +
      'and look at the last rows of metrics.arrow.',
  );
}

/** Scaled to `clipNorm` where longer; the 1e-6 is that of torch.nn.utils.clip_grad_norm_. */
function clip(gradient: Tensor1D, norm: number, clipNorm: number | null): Tensor1D {
  if (clipNorm === null || norm <= clipNorm) return gradient;
  return tf.mul(gradient, clipNorm / (norm + 1e-6));
}
