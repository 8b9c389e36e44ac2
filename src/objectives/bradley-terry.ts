/** The Bradley–Terry loss of pairs. */
import type { Scalar, Tensor, Tensor1D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';

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
 * @param counted  [pairs], 1 on those the means are over; all where left out
 * @see Christiano et al. 2017, arXiv:1706.03741, eq. 1; margin: Touvron et al. 2023, arXiv:2307.09288, eq. 2;
 *   centring: Eisenstein et al. 2023, arXiv:2312.09244, eq. 3
 */
export function bradleyTerry(
  chosen: Tensor1D,
  rejected: Tensor1D,
  options: { margin: Tensor1D; centring: number; counted?: Tensor1D },
): BradleyTerryTerms {
  const { counted = tf.onesLike(chosen) } = options;
  const mean = (values: Tensor): Scalar => tf.div(tf.sum(tf.mul(values, counted)), tf.sum(counted));
  const difference = tf.sub(chosen, rejected);
  // −log σ(d) = softplus(−d); tfjs 4.22's own logSigmoid fails to differentiate (it reads a tensor it never saved).
  const loss = mean(tf.softplus(tf.sub(options.margin, difference)));
  const centre = tf.mul(options.centring, mean(tf.square(tf.add(chosen, rejected))));
  return {
    loss: (options.centring === 0 ? loss : tf.add(loss, centre)) as Scalar,
    accuracy: mean(tf.cast(tf.greater(difference, 0), 'float32')),
    margin: mean(difference),
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
