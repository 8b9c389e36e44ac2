/** Preference pairs as a batch: every response stands in it once, in however many pairs it is. */

import { distinctSequences } from '../batch/distinct-sequences.ts';
import type { ResponseBatch } from '../batch/response-batch.ts';
import { packedResponseBatch } from '../batch/response-batch.ts';
import type { TokenSequence } from '../batch/token-batch.ts';
import type { LossTerms } from '../execution/objective.ts';
import type { ModelDimensions } from '../model/dimensions.ts';
import { inputArrays } from '../model/inputs.ts';
import type { HostArray, HostArrays, Tensors } from '../tensor/host-arrays.ts';
import { pick, vector } from '../tensor/host-arrays.ts';
import type { Scalar, Tensor1D, Tensor2D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import { bradleyTerry } from './bradley-terry.ts';

/** A labelled pair as ids. */
export interface PairIds {
  readonly chosen: TokenSequence;
  readonly rejected: TokenSequence;
  /** Added to the difference the chosen response has to reach; 0 for none. */
  readonly margin: number;
}

/** Pairs laid out: what the model reads, and which score is whose. */
export interface PairBatch {
  readonly responses: ResponseBatch;
  /** Places for scores, and for pairs; beyond these they mean nothing. */
  readonly places: number;
  /** Those of `pairTerms`, and what the model reads. */
  readonly arrays: HostArrays;
}

/** As InstructGPT reads its K answers to a prompt: one pass for each, not one for each comparison (arXiv:2203.02155, 3.5). */
export function pairBatch(dimensions: ModelDimensions, pairs: readonly PairIds[], padId: number): PairBatch {
  const all = [...pairs.map(({ chosen }) => chosen), ...pairs.map(({ rejected }) => rejected)];
  const { sequences, placeOf } = distinctSequences(all);
  const responses = packedResponseBatch(sequences, padId);
  // They cost nothing, and every shape is a compiled step of its own: as many for pairs as for responses.
  const places = 2 ** Math.ceil(Math.log2(Math.max(8, sequences.length, pairs.length)));
  const filled = (values: readonly number[]): HostArray => {
    const all = new Float32Array(places);
    all.set(values);
    return vector(all);
  };
  const arrays = {
    ...inputArrays(dimensions, responses.tokens),
    chosen: selection(placeOf.slice(0, pairs.length), places),
    rejected: selection(placeOf.slice(pairs.length), places),
    counted: filled(pairs.map(() => 1)),
    margin: filled(pairs.map(({ margin }) => margin)),
  };
  return { responses, places, arrays };
}

/** [places, places], times scores [places] the score of each pair; zeros beyond the pairs. */
function selection(columnOf: readonly number[], places: number): HostArray {
  const values = new Float32Array(places * places);
  for (const [row, column] of columnOf.entries()) values[row * places + column] = 1;
  return { shape: [places, places], values };
}

/**
 * The terms of a micro-batch of pairs, by its share of the update's.
 * @param scores [places]
 * @param arrays those of `pairBatch`, and `count`, the pairs of the update
 */
export function pairTerms(scores: Tensor1D, arrays: Tensors, centring: number): LossTerms<'accuracy' | 'margin'> {
  const column = tf.expandDims(scores, 1);
  const of = (name: string): Tensor1D => tf.squeeze(tf.matMul(pick<Tensor2D>(arrays, name), column), [1]);
  const counted = pick<Tensor1D>(arrays, 'counted');
  const terms = bradleyTerry(of('chosen'), of('rejected'), { margin: pick(arrays, 'margin'), centring, counted });
  const portion = tf.div(tf.sum(counted), pick<Scalar>(arrays, 'count'));
  const share = (mean: Scalar): Scalar => tf.mul(mean, portion);
  return { loss: share(terms.loss), stats: { accuracy: share(terms.accuracy), margin: share(terms.margin) } };
}
