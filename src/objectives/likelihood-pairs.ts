/** The objective of reward models that are language models: a response's score is the mean log-probability of its tokens. */
import type { Objective } from '../execution/objective.ts';
import { tokenHead } from '../model/heads.ts';
import { statesAt } from '../model/states.ts';
import { pick, vector } from '../tensor/host-arrays.ts';
import { tf } from '../tensor/tf.ts';
import { logProbsOf } from './log-probabilities.ts';
import type { PairIds } from './pair-batch.ts';
import { pairBatch, pairTerms, perResponse, tokenPlaces } from './pair-batch.ts';

/**
 * −log σ(β · mean log π(chosen) − β · mean log π(rejected) − margin), means over the tokens of the response, EOS included.
 * Each micro-batch's means count by its share of the pairs, so several give the gradient of the whole.
 * @param options.scale β
 * @see Meng et al. 2024, arXiv:2405.14734, eq. 4 and 6 (their γ is the margin); princeton-nlp/SimPO, scripts/simpo_trainer.py
 */
export function likelihoodPairs(options: {
  readonly scale: number;
  readonly padId: number;
}): Objective<readonly PairIds[], 'accuracy' | 'margin'> {
  const { scale, padId } = options;
  return {
    key: `pairs by likelihood, scale ${scale}`,
    unit: 'pairs',
    layOut: ({ dimensions }, pairs) => {
      const batch = pairBatch(dimensions, pairs, padId);
      const { predictors, targets } = batch.responses;
      const read = { at: vector(predictors), tokens: vector(targets), ...tokenPlaces(batch, 'mean') };
      return { arrays: { ...batch.arrays, ...read }, count: pairs.length };
    },
    terms: (model, weights, arrays) => {
      const head = tokenHead(model.dimensions, weights);
      const logProbs = logProbsOf(statesAt(model, weights, arrays, 'at'), head, pick(arrays, 'tokens'), 1);
      return pairTerms(tf.mul(scale, perResponse(logProbs, arrays)), arrays, 0);
    },
  };
}
