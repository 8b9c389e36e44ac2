/** The reward model's step: both responses of each pair in one batch, scores at the last token, Bradley–Terry. */
import { decode, selectPositions } from '../model/decoder.ts';
import { scores } from '../model/heads.ts';
import type { DecoderInputs } from '../model/inputs.ts';
import { decoderInputs, disposeInputs } from '../model/inputs.ts';
import type { Model } from '../model/model.ts';
import { bradleyTerry } from '../objectives/bradley-terry.ts';
import type { Scalar, Tensor1D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { Weights } from '../tensor/weights.ts';
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

/** Some pairs on the device. */
interface Uploaded {
  readonly inputs: DecoderInputs;
  /** [2 · pairs], position of each sequence's last token, chosen first. */
  readonly last: Tensor1D;
  /** [pairs] */
  readonly margin: Tensor1D;
  readonly pairs: number;
}

function upload(model: Model, pairs: readonly PairIds[], padId: number): Uploaded {
  const sequences = [...pairs.map(({ chosen }) => chosen), ...pairs.map(({ rejected }) => rejected)];
  const longest = Math.max(...sequences.map(({ promptIds, responseIds }) => promptIds.length + responseIds.length));
  const seq = Math.ceil(longest / LENGTH_BUCKET) * LENGTH_BUCKET;
  const batch = responseBatch(sequences, padId, { seq });
  return {
    inputs: decoderInputs(model.dimensions, batch.tokens),
    last: tf.tensor1d(batch.last, 'int32'),
    margin: tf.tensor1d(pairs.map((pair) => pair.margin)),
    pairs: pairs.length,
  };
}

/**
 * One update on a batch of pairs, in pieces of at most `microBatchPairs`: each piece's mean counts by its share of the
 * batch, so the pieces give the gradient of the whole.
 */
export function rewardUpdate(
  model: Model,
  adam: AdamW,
  pairs: readonly PairIds[],
  padId: number,
  options: UpdateOptions & { centring: number; microBatchPairs?: number },
): UpdateResult<'accuracy' | 'margin'> {
  const size = options.microBatchPairs ?? pairs.length;
  const count = Math.ceil(pairs.length / size);
  const uploaded = Array.from({ length: count }, (_, i) => upload(model, pairs.slice(i * size, (i + 1) * size), padId));
  const losses = uploaded.map((part) => (weights: Weights) => {
    const recompute = model.recompute ?? false;
    const { hidden } = decode(model.dimensions, weights, part.inputs, [], { recompute });
    const all = scores(weights, selectPositions(hidden, part.last)); // [2 · pairs], chosen first
    const [chosen, rejected] = tf.split(all, 2) as [Tensor1D, Tensor1D];
    const terms = bradleyTerry(chosen, rejected, { margin: part.margin, centring: options.centring });
    const share = (mean: Scalar): Scalar => tf.mul(mean, part.pairs / pairs.length);
    return { loss: share(terms.loss), stats: { accuracy: share(terms.accuracy), margin: share(terms.margin) } };
  });
  try {
    return updateParameters(model.parameters, adam, losses, options);
  } finally {
    for (const { inputs, last, margin } of uploaded) {
      tf.dispose([last, margin]);
      disposeInputs(inputs);
    }
  }
}
