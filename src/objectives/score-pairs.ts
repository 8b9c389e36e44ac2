/** The objective of reward models with a score head: scores at the last token, Bradley–Terry. */
import type { Objective } from '../execution/objective.ts';
import { scores } from '../model/heads.ts';
import { statesAt } from '../model/states.ts';
import { vector } from '../tensor/host-arrays.ts';
import type { PairIds } from './pair-batch.ts';
import { pairBatch, pairTerms } from './pair-batch.ts';

/** Each micro-batch's means count by its share of the pairs, so several give the gradient of the whole. */
export function scorePairs(options: {
  readonly centring: number;
  readonly padId: number;
}): Objective<readonly PairIds[], 'accuracy' | 'margin'> {
  const { centring, padId } = options;
  return {
    key: `pairs, centring ${centring}`,
    unit: 'pairs',
    layOut: ({ dimensions }, pairs) => {
      const { responses, places, arrays } = pairBatch(dimensions, pairs, padId);
      // What fills up is read like any other, so it repeats a position that is there.
      const last = new Int32Array(places).fill(responses.last[0] as number);
      last.set(responses.last);
      return { arrays: { ...arrays, last: vector(last) }, count: pairs.length };
    },
    terms: (model, weights, arrays) =>
      pairTerms(scores(weights, statesAt(model, weights, arrays, 'last')), arrays, centring),
  };
}
