/** The reward model's step: both responses of each pair in one batch, scores at the last token, Bradley–Terry. */
import { decode, selectPositions } from '../model/decoder.ts';
import { scores } from '../model/heads.ts';
import { decoderInputs, disposeInputs } from '../model/inputs.ts';
import type { Model } from '../model/model.ts';
import { bradleyTerry } from '../objectives/bradley-terry.ts';
import type { Weights } from '../tensor/parameters.ts';
import { tf } from '../tensor/tf.ts';
import type { AdamW } from '../training/adamw.ts';
import type { UpdateOptions, UpdateResult } from '../training/update.ts';
import { updateParameters } from '../training/update.ts';
import type { PromptResponse } from './response-batch.ts';
import { responseBatch } from './response-batch.ts';

/** A labelled pair as ids. */
export interface PairIds {
  readonly chosen: PromptResponse;
  readonly rejected: PromptResponse;
  /** Added to the difference the chosen response has to reach; 0 for none. */
  readonly margin: number;
}

/** Sequences are padded to a multiple of this, so that few distinct shapes occur. */
const LENGTH_BUCKET = 16;

/** One update on a batch of pairs. */
export function rewardUpdate(
  model: Model,
  adam: AdamW,
  pairs: readonly PairIds[],
  padId: number,
  options: UpdateOptions & { centring: number },
): UpdateResult<'accuracy' | 'margin'> {
  const sequences = [...pairs.map(({ chosen }) => chosen), ...pairs.map(({ rejected }) => rejected)];
  const longest = Math.max(...sequences.map(({ promptIds, responseIds }) => promptIds.length + responseIds.length));
  const seq = Math.min(model.dimensions.context, Math.ceil(longest / LENGTH_BUCKET) * LENGTH_BUCKET);
  const batch = responseBatch(sequences, padId, { seq });
  const inputs = decoderInputs(model.dimensions, batch.tokens);
  const last = tf.tensor1d(batch.last, 'int32');
  const margin = tf.tensor1d(pairs.map((pair) => pair.margin));
  const loss = (weights: Weights) => {
    const { hidden } = decode(model.dimensions, weights, inputs);
    const all = scores(weights, selectPositions(hidden, last)); // [2 · pairs], chosen first
    const chosen = tf.slice(all, 0, pairs.length);
    const rejected = tf.slice(all, pairs.length, pairs.length);
    const terms = bradleyTerry(chosen, rejected, { margin, centring: options.centring });
    return { loss: terms.loss, stats: { accuracy: terms.accuracy, margin: terms.margin } };
  };
  try {
    return updateParameters(model.parameters, adam, [loss], options);
  } finally {
    tf.dispose([last, margin]);
    disposeInputs(inputs);
  }
}
