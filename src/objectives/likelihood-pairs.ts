/** The objective of reward models that are language models: a response's score is the mean log-probability of its tokens. */
import type { Objective } from '../execution/objective.ts';
import { tf } from '../tensor/tf.ts';
import type { PairIds } from './pair-batch.ts';
import { likelihoodArrays, pairBatch, pairTerms, responseLikelihoods } from './pair-batch.ts';

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
      return { arrays: { ...batch.arrays, ...likelihoodArrays(batch, 'mean') }, count: pairs.length };
    },
    terms: (model, weights, arrays) => pairTerms(tf.mul(scale, responseLikelihoods(model, weights, arrays)), arrays, 0),
  };
}
