/** The reward model's step: both responses of each pair in one batch, scores at the last token, Bradley–Terry. */

import type { PromptResponse } from '../batch/response-batch.ts';
import { packedResponseBatch } from '../batch/response-batch.ts';
import type { AdamW } from '../execution/adamw.ts';
import type { UpdateOptions, UpdateResult } from '../execution/eager-update.ts';
import type { LossStep } from '../execution/gradient.ts';
import { updateStep } from '../execution/update-step.ts';
import { decode, selectPositions } from '../model/decoder.ts';
import type { ModelDimensions } from '../model/dimensions.ts';
import { scores } from '../model/heads.ts';
import { inputArrays, inputsFrom } from '../model/inputs.ts';
import type { Model } from '../model/model.ts';
import type { HostArrays } from '../tensor/host-arrays.ts';
import { number, pick, vector } from '../tensor/host-arrays.ts';
import type { Scalar, Tensor1D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import { bradleyTerry } from './bradley-terry.ts';

/** A labelled pair as ids. */
export interface PairIds {
  readonly chosen: PromptResponse;
  readonly rejected: PromptResponse;
  /** Added to the difference the chosen response has to reach; 0 for none. */
  readonly margin: number;
}

/**
 * A batch of pairs as a step reads it, in pieces of at most `size`; made of host arrays alone, so it may be done while a
 * step runs.
 */
export function pairBatches(
  { dimensions }: Model,
  pairs: readonly PairIds[],
  padId: number,
  size: number = pairs.length,
): HostArrays[] {
  const count = Math.ceil(pairs.length / size);
  return Array.from({ length: count }, (_, i) =>
    pairArrays(dimensions, pairs.slice(i * size, (i + 1) * size), padId, pairs.length),
  );
}

/** Some pairs of `all`: decoder inputs, `last` [2 · pairs] (chosen first), `margin` [pairs], `share`. */
function pairArrays(dimensions: ModelDimensions, pairs: readonly PairIds[], padId: number, all: number): HostArrays {
  const sequences = [...pairs.map(({ chosen }) => chosen), ...pairs.map(({ rejected }) => rejected)];
  const batch = packedResponseBatch(sequences, padId);
  return {
    ...inputArrays(dimensions, batch.tokens),
    last: vector(batch.last),
    margin: vector(Float32Array.from(pairs, (pair) => pair.margin)),
    share: number(pairs.length / all),
  };
}

/**
 * One update on a batch of pairs, in pieces as `pairBatches` makes them: each piece's mean counts by its share of the
 * batch, so the pieces give the gradient of the whole.
 */
export async function rewardUpdate(
  model: Model,
  adam: AdamW,
  pieces: readonly HostArrays[],
  options: UpdateOptions & { centring: number },
): Promise<UpdateResult<'accuracy' | 'margin'>> {
  const { dimensions, recompute = false } = model;
  const { centring } = options;
  const step: LossStep<'accuracy' | 'margin'> = {
    key: `pairs, centring ${centring}`,
    terms: (weights, arrays) => {
      const { hidden } = decode(dimensions, weights, inputsFrom(dimensions, arrays), [], { recompute });
      const all = scores(weights, selectPositions(hidden, pick(arrays, 'last'))); // [2 · pairs], chosen first
      const [chosen, rejected] = tf.split(all, 2) as [Tensor1D, Tensor1D];
      const terms = bradleyTerry(chosen, rejected, { margin: pick(arrays, 'margin'), centring });
      const share = (mean: Scalar): Scalar => tf.mul(mean, pick<Scalar>(arrays, 'share'));
      return { loss: share(terms.loss), stats: { accuracy: share(terms.accuracy), margin: share(terms.margin) } };
    },
  };
  return updateStep(model.parameters, adam, step, pieces, options);
}
