/** The objective of learning from preferences directly: pairs, each response read once, against what a reference thought of it. */
import type { TokenSequence } from '../batch/token-batch.ts';
import type { Objective } from '../execution/objective.ts';
import { tokenHead } from '../model/heads.ts';
import { statesAt } from '../model/states.ts';
import { pick, vector } from '../tensor/host-arrays.ts';
import type { Scalar, Tensor } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import { logProbsOf } from './log-probabilities.ts';
import type { PairIds } from './pair-batch.ts';
import { pairBatch, perPair, perResponse, tokenPlaces } from './pair-batch.ts';
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
      const { predictors, targets } = batch.responses;
      const lengths = batch.sequences.map(({ learned }) => learned.reduce((sum, flag) => sum + flag, 0));
      const given = {
        at: vector(predictors),
        targets: vector(targets),
        reference: batch.filled(batch.sequences.map(referenceOf)),
        lengths: batch.filled(lengths, 1),
      };
      return { arrays: { ...batch.arrays, ...tokenPlaces(batch, 'sum'), ...given }, count: pairs.length };
    },
    terms: (model, weights, arrays) => {
      const head = tokenHead(model.dimensions, weights);
      const logProbs = logProbsOf(statesAt(model, weights, arrays, 'at'), head, pick(arrays, 'targets'), 1);
      const logProb = perPair(perResponse(logProbs, arrays), arrays);
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
