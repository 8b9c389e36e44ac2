/** The objective of learning from preferences directly: pairs, each response read once, against what a reference thought of it. */
import { responseLength } from '../batch/response-batch.ts';
import type { TokenSequence } from '../batch/token-batch.ts';
import type { Objective } from '../execution/objective.ts';
import { pick } from '../tensor/host-arrays.ts';
import type { Scalar, Tensor } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { PairIds } from './pair-batch.ts';
import { likelihoodArrays, pairBatch, perPair, responseLikelihoods } from './pair-batch.ts';
import type { Likelihood, PreferenceLoss } from './preference-losses.ts';
import { preferenceLoss } from './preference-losses.ts';

/** What is reported of an update, each a mean over its pairs. */
export type PreferenceStat =
  | 'accuracy'
  | 'chosenReward'
  | 'rejectedReward'
  | 'chosenLogProb'
  | 'rejectedLogProb'
  | 'chosenShift'
  | 'displaced';

/**
 * Mean of `preferenceLoss` over the pairs of an update; each micro-batch counts by its share of them.
 * @param options.referenceOf Σ log π_ref of a sequence's response tokens, in nats; of losses without a reference for what is reported alone
 */
export function directPreference(options: {
  readonly loss: PreferenceLoss;
  readonly referenceOf: (sequence: TokenSequence) => number;
  readonly padId: number;
}): Objective<readonly PairIds[], PreferenceStat> {
  const { loss, referenceOf, padId } = options;
  return {
    key: `preference pairs, ${JSON.stringify(loss)}`,
    unit: 'pairs',
    layOut: ({ dimensions }, pairs) => {
      const batch = pairBatch(dimensions, pairs, padId);
      const given = {
        reference: batch.filled(batch.sequences.map(referenceOf)),
        lengths: batch.filled(batch.sequences.map(responseLength), 1),
      };
      return { arrays: { ...batch.arrays, ...likelihoodArrays(batch, 'sum'), ...given }, count: pairs.length };
    },
    terms: (model, weights, arrays) => {
      const logProb = perPair(responseLikelihoods(model, weights, arrays), arrays);
      const reference = perPair(pick(arrays, 'reference'), arrays);
      const tokens = perPair(pick(arrays, 'lengths'), arrays);
      const side = (of: 'chosen' | 'rejected'): Likelihood => ({
        logProb: logProb[of],
        reference: reference[of],
        tokens: tokens[of],
      });
      const [chosen, rejected] = [side('chosen'), side('rejected')];
      const { loss: each, chosenReward, rejectedReward } = preferenceLoss(loss, chosen, rejected);
      const counted = pick(arrays, 'counted');
      const mean = (values: Tensor): Scalar =>
        tf.div(tf.sum(tf.mul(values, counted)), pick<Scalar>(arrays, 'count')) as Scalar;
      const shift = tf.sub(chosen.logProb, chosen.reference);
      return {
        loss: mean(each),
        stats: {
          accuracy: mean(tf.cast(tf.greater(chosenReward, rejectedReward), 'float32')),
          chosenReward: mean(chosenReward),
          rejectedReward: mean(rejectedReward),
          chosenLogProb: mean(chosen.logProb),
          rejectedLogProb: mean(rejected.logProb),
          chosenShift: mean(shift),
          displaced: mean(tf.cast(tf.less(shift, 0), 'float32')),
        },
      };
    },
  };
}
