/** The objective of reward models: both responses of each pair in one batch, scores at the last token, Bradley–Terry. */
import { packedResponseBatch } from '../batch/response-batch.ts';
import type { TokenSequence } from '../batch/token-batch.ts';
import type { Objective } from '../execution/objective.ts';
import { scores } from '../model/heads.ts';
import { inputArrays } from '../model/inputs.ts';
import { statesAt } from '../model/states.ts';
import { pick, vector } from '../tensor/host-arrays.ts';
import type { Scalar, Tensor1D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';

/** A labelled pair as ids. */
export interface PairIds {
  readonly chosen: TokenSequence;
  readonly rejected: TokenSequence;
  /** Added to the difference the chosen response has to reach; 0 for none. */
  readonly margin: number;
}

/** Each micro-batch's means count by its share of the pairs, so several give the gradient of the whole. */
export function preferences(options: {
  readonly centring: number;
  readonly padId: number;
}): Objective<readonly PairIds[], 'accuracy' | 'margin'> {
  const { centring, padId } = options;
  return {
    key: `pairs, centring ${centring}`,
    unit: 'pairs',
    layOut: ({ dimensions }, pairs) => {
      const sequences = [...pairs.map(({ chosen }) => chosen), ...pairs.map(({ rejected }) => rejected)];
      const batch = packedResponseBatch(sequences, padId);
      const arrays = {
        ...inputArrays(dimensions, batch.tokens),
        last: vector(batch.last),
        margin: vector(Float32Array.from(pairs, (pair) => pair.margin)),
      };
      return { arrays, count: pairs.length };
    },
    terms: (model, weights, arrays) => {
      const all = scores(weights, statesAt(model, weights, arrays, 'last')); // [2 · pairs], chosen first
      const [chosen, rejected] = tf.split(all, 2) as [Tensor1D, Tensor1D];
      const terms = bradleyTerry(chosen, rejected, { margin: pick(arrays, 'margin'), centring });
      const portion = tf.div(chosen.size, pick<Scalar>(arrays, 'count'));
      const share = (mean: Scalar): Scalar => tf.mul(mean, portion);
      return { loss: share(terms.loss), stats: { accuracy: share(terms.accuracy), margin: share(terms.margin) } };
    },
  };
}

/** A term of the loss and what it is made of, all scalars. */
export interface BradleyTerryTerms {
  /** What is minimised. */
  readonly loss: Scalar;
  /** Fraction of pairs with the chosen score above the rejected one. */
  readonly accuracy: Scalar;
  /** Mean of chosen − rejected. */
  readonly margin: Scalar;
}

/**
 * mean(−log σ(r_chosen − r_rejected − margin)) + centring · mean((r_chosen + r_rejected)²).
 *
 * The first term only sees differences, so scores may drift together; the second, off at 0, holds them near zero.
 * @param chosen   [pairs]
 * @param rejected [pairs]
 * @param margin   [pairs], how much better the chosen one should be; zeros where not known
 * @see Christiano et al. 2017, arXiv:1706.03741, eq. 1; margin: Touvron et al. 2023, arXiv:2307.09288, eq. 2;
 *   centring: Eisenstein et al. 2023, arXiv:2312.09244, eq. 3
 */
export function bradleyTerry(
  chosen: Tensor1D,
  rejected: Tensor1D,
  options: { margin: Tensor1D; centring: number },
): BradleyTerryTerms {
  const difference = tf.sub(chosen, rejected);
  // −log σ(d) = softplus(−d); tfjs 4.22's own logSigmoid fails to differentiate (it reads a tensor it never saved).
  const loss = tf.mean(tf.softplus(tf.sub(options.margin, difference)));
  const centre = tf.mul(options.centring, tf.mean(tf.square(tf.add(chosen, rejected))));
  return {
    loss: (options.centring === 0 ? loss : tf.add(loss, centre)) as Scalar,
    accuracy: tf.mean(tf.cast(tf.greater(difference, 0), 'float32')) as Scalar,
    margin: tf.mean(difference) as Scalar,
  };
}

/** The loss of `bradleyTerry` from scores on the host, in float64. */
export function bradleyTerryLoss(
  pairs: readonly { readonly chosen: number; readonly rejected: number; readonly margin: number }[],
  centring: number,
): number {
  const sum = pairs.reduce((total, { chosen, rejected, margin }) => {
    const short = margin - (chosen - rejected);
    // log(1 + e^x) without overflow.
    const softplus = Math.max(short, 0) + Math.log1p(Math.exp(-Math.abs(short)));
    return total + softplus + centring * (chosen + rejected) ** 2;
  }, 0);
  return sum / pairs.length;
}
