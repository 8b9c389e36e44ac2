/** Preference pairs as a batch: every response stands in it once, in however many pairs it is. */

import { distinctSequences } from '../batch/distinct-sequences.ts';
import type { ResponseBatch } from '../batch/response-batch.ts';
import { packedResponseBatch } from '../batch/response-batch.ts';
import type { TokenSequence } from '../batch/token-batch.ts';
import type { LossTerms } from '../execution/objective.ts';
import type { ModelDimensions } from '../model/dimensions.ts';
import { tokenHead } from '../model/heads.ts';
import { inputArrays } from '../model/inputs.ts';
import type { Model } from '../model/model.ts';
import { statesAt } from '../model/states.ts';
import { gatherRows, sumRows } from '../tensor/gather-rows.ts';
import type { HostArray, HostArrays, Tensors } from '../tensor/host-arrays.ts';
import { pick, vector } from '../tensor/host-arrays.ts';
import type { Scalar, Tensor1D, Tensor2D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { Weights } from '../tensor/weights.ts';
import { bradleyTerry } from './bradley-terry.ts';
import { logProbsOf } from './log-probabilities.ts';

/** A labelled pair as ids. */
export interface PairIds {
  readonly chosen: TokenSequence;
  readonly rejected: TokenSequence;
  /** Added to the difference the chosen response has to reach; 0 where left out. */
  readonly margin?: number;
}

/** Pairs laid out: what the model reads, and which score is whose. */
export interface PairBatch {
  readonly responses: ResponseBatch;
  /** Each response with its prompt, once: place i is that of sequence i. */
  readonly sequences: readonly TokenSequence[];
  /** Numbers of the first places, and one, 0 where left out, for those beyond: [places]. */
  readonly filled: (values: readonly number[], beyond?: number) => HostArray;
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
  const placed = (all: Float32Array | Int32Array, values: readonly number[]): HostArray => {
    all.set(values);
    return vector(all);
  };
  const filled = (values: readonly number[], beyond = 0): HostArray =>
    placed(new Float32Array(places).fill(beyond), values);
  const arrays = {
    ...inputArrays(dimensions, responses.tokens),
    chosen: placed(new Int32Array(places), placeOf.slice(0, pairs.length)),
    rejected: placed(new Int32Array(places), placeOf.slice(pairs.length)),
    counted: filled(pairs.map(() => 1)),
    margin: filled(pairs.map(({ margin = 0 }) => margin)),
  };
  return { responses, sequences, filled, places, arrays };
}

/** What `responseLikelihoods` reads: the response tokens, the place of each, and what it counts there: 1 in sums, 1 / tokens in means. */
export function likelihoodArrays({ responses }: PairBatch, counts: 'sum' | 'mean'): HostArrays {
  const { grid, cells, responseMask, predictors, targets } = responses;
  const lines = Int32Array.from(cells, (cell) => Math.floor(cell / grid.response));
  const lengths = new Int32Array(grid.sequences);
  for (const [i, line] of lines.entries()) lengths[line] = (lengths[line] as number) + (responseMask[i] as number);
  const weight = (mask: number, i: number): number =>
    counts === 'sum' ? mask : mask / (lengths[lines[i] as number] as number);
  const weights = vector(responseMask.map(weight));
  return { at: vector(predictors), tokens: vector(targets), lines: vector(lines), weights };
}

/**
 * The sum or the mean of log π over the tokens of each response, EOS included, in nats.
 * @param arrays those of `pairBatch` and `likelihoodArrays`
 * @returns [places]; beyond the responses 0
 */
export function responseLikelihoods(model: Model, weights: Weights, arrays: Tensors): Tensor1D {
  const head = tokenHead(model.dimensions, weights);
  const logProbs = logProbsOf(statesAt(model, weights, arrays, 'at'), head, pick(arrays, 'tokens'), 1);
  const weighted = tf.expandDims(tf.mul(logProbs, pick<Tensor1D>(arrays, 'weights')), 1) as Tensor2D;
  const places = pick<Tensor1D>(arrays, 'counted').shape[0];
  return tf.squeeze(sumRows(weighted, pick(arrays, 'lines'), places), [1]) as Tensor1D;
}

/**
 * Numbers of responses as those of pairs.
 * @param values [places]
 * @param arrays those of `pairBatch`
 * @returns each [places]; beyond the pairs they mean nothing
 */
export function perPair(values: Tensor1D, arrays: Tensors): { readonly chosen: Tensor1D; readonly rejected: Tensor1D } {
  const column = tf.expandDims(values, 1) as Tensor2D;
  const of = (side: 'chosen' | 'rejected'): Tensor1D =>
    tf.squeeze(gatherRows(column, pick(arrays, side)), [1]) as Tensor1D;
  return { chosen: of('chosen'), rejected: of('rejected') };
}

/**
 * The terms of a micro-batch of pairs, by its share of the update's.
 * @param scores [places]
 * @param arrays those of `pairBatch`, and `count`, the pairs of the update
 */
export function pairTerms(scores: Tensor1D, arrays: Tensors, centring: number): LossTerms<'accuracy' | 'margin'> {
  const { chosen, rejected } = perPair(scores, arrays);
  const counted = pick<Tensor1D>(arrays, 'counted');
  const terms = bradleyTerry(chosen, rejected, { margin: pick(arrays, 'margin'), centring, counted });
  const portion = tf.div(tf.sum(counted), pick<Scalar>(arrays, 'count'));
  const share = (mean: Scalar): Scalar => tf.mul(mean, portion);
  return { loss: share(terms.loss), stats: { accuracy: share(terms.accuracy), margin: share(terms.margin) } };
}
