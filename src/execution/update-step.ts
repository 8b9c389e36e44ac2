/** A training step: a loss of weights and named arrays, run as a graph where steps are compiled and eagerly elsewhere. */
import { compiledOrAsync } from '../graph/mode.ts';
import type { HostArrays } from '../tensor/host-arrays.ts';
import { uploadArrays } from '../tensor/host-arrays.ts';
import type { Parameters } from '../tensor/parameters.ts';
import { tf } from '../tensor/tf.ts';
import type { Weights } from '../tensor/weights.ts';
import type { AdamW } from './adamw.ts';
import { compiledUpdate } from './compiled-update.ts';
import type { UpdateOptions, UpdateResult } from './eager-update.ts';
import { updateParameters } from './eager-update.ts';
import type { LossStep } from './gradient.ts';

/**
 * One update from micro-batches, each the arrays of one. Compiled, it leaves the event loop free while it runs; the
 * caller awaits it before it uses any model again.
 * @throws InvariantError when loss or gradient is not finite, and the parameters are then still those of the last update;
 *   when another update is not done
 */
export async function updateStep<Name extends string>(
  parameters: Parameters,
  adam: AdamW,
  step: LossStep<Name>,
  microBatches: readonly HostArrays[],
  options: UpdateOptions,
): Promise<UpdateResult<Name>> {
  return compiledOrAsync(
    (engine) => compiledUpdate(engine, parameters, adam, step, microBatches, options),
    () => eagerUpdate(parameters, adam, step, microBatches, options),
  );
}

function eagerUpdate<Name extends string>(
  parameters: Parameters,
  adam: AdamW,
  step: LossStep<Name>,
  microBatches: readonly HostArrays[],
  options: UpdateOptions,
): UpdateResult<Name> {
  const uploaded = microBatches.map(uploadArrays);
  try {
    const losses = uploaded.map((arrays) => (weights: Weights) => step.terms(weights, arrays));
    return updateParameters(parameters, adam, losses, options);
  } finally {
    tf.dispose(uploaded);
  }
}
