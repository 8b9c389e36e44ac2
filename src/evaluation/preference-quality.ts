/** How well a policy that learns from pairs directly tells the better response: by its implicit rewards. */

import { responseLength } from '../batch/response-batch.ts';
import type { TokenSequence } from '../batch/token-batch.ts';
import type { PreferencePair } from '../examples/preference.ts';
import { pairIds } from '../examples/preference.ts';
import type { Model } from '../model/model.ts';
import type { Likelihood, PreferenceLoss } from '../objectives/preference-losses.ts';
import { preferenceLoss } from '../objectives/preference-losses.ts';
import { tf } from '../tensor/tf.ts';
import type { PairQuality } from './pair-quality.ts';
import { measurePairs, sumLogProbs } from './pair-quality.ts';

/** Quality on pairs, and what became of the likelihood of the chosen responses. */
export interface PreferenceQuality {
  /** Scores are implicit rewards. */
  readonly quality: PairQuality;
  /** Mean of log π − log π_ref of the chosen responses, in nats. */
  readonly shift: number;
  /** The largest |log π − log π_ref| of a response, chosen or rejected, a token. */
  readonly furthest: number;
}

/**
 * Reads both responses of every pair; null where there are none.
 * @param options.referenceOf Σ log π_ref of a sequence's response tokens, in nats
 */
export function preferenceQuality(
  model: Model,
  rows: readonly PreferencePair[],
  options: {
    readonly loss: PreferenceLoss;
    readonly referenceOf: (sequence: TokenSequence) => number;
    readonly padId: number;
  },
): PreferenceQuality | null {
  if (rows.length === 0) return null;
  const ids = rows.map(pairIds);
  const sequences = [...ids.map(({ chosen }) => chosen), ...ids.map(({ rejected }) => rejected)];
  const logProbs = sumLogProbs(model, sequences, options.padId);
  const references = sequences.map(options.referenceOf);
  const { loss, chosen, rejected } = onHost(options.loss, { sequences, logProbs, references });
  const scores = rows.map((_, i) => ({ chosen: chosen[i] as number, rejected: rejected[i] as number }));
  const shifts = rows.map((_, i) => (logProbs[i] as number) - (references[i] as number));
  const aToken = sequences.map(
    (each, i) => Math.abs((logProbs[i] as number) - (references[i] as number)) / responseLength(each),
  );
  const furthest = aToken.reduce((most, difference) => Math.max(most, difference), 0);
  return { quality: measurePairs(rows, scores, mean(loss)), shift: mean(shifts), furthest };
}

/** The loss and the implicit rewards of pairs whose chosen responses are the first half. */
function onHost(
  loss: PreferenceLoss,
  read: { sequences: readonly TokenSequence[]; logProbs: readonly number[]; references: readonly number[] },
) {
  const half = read.sequences.length / 2;
  const found: Float32Array[] = [];
  tf.tidy(() => {
    const side = (from: number): Likelihood => ({
      logProb: tf.tensor1d(read.logProbs.slice(from, from + half)),
      reference: tf.tensor1d(read.references.slice(from, from + half)),
      tokens: tf.tensor1d(read.sequences.slice(from, from + half).map(responseLength)),
    });
    const terms = preferenceLoss(loss, side(0), side(half));
    for (const values of [terms.loss, terms.chosenReward, terms.rejectedReward]) {
      found.push(values.dataSync() as Float32Array);
    }
  });
  const [each, chosen, rejected] = found as [Float32Array, Float32Array, Float32Array];
  return { loss: [...each], chosen, rejected };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
