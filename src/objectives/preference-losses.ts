/** Losses of learning from preferences directly: what a pair costs, given how likely both responses are. */
import type { Tensor, Tensor1D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';

/** By what they ask of a pair; those that end in -mean and the last two measure a response by its mean token, others by the sum. */
export const preferenceLosses = [
  'sigmoid',
  'robust',
  'hinge',
  'ipo-sum',
  'ipo-mean',
  'sigmoid-mean',
  'simpo',
  'orpo',
] as const;
export type PreferenceLossKind = (typeof preferenceLosses)[number];

/** Those that compare with no other model. */
const withoutReference: ReadonlySet<PreferenceLossKind> = new Set(['simpo', 'orpo']);

/** Those that measure a response by its mean token. */
const byMean: ReadonlySet<PreferenceLossKind> = new Set(['ipo-mean', 'sigmoid-mean', 'simpo', 'orpo']);

/** β where none is given: of sums, of the means that are about a fiftieth of them, of the odds. */
export const usualBeta: Readonly<Record<PreferenceLossKind, number>> = {
  sigmoid: 0.1,
  robust: 0.1,
  hinge: 0.1,
  'ipo-sum': 0.1,
  'ipo-mean': 0.1,
  'sigmoid-mean': 5,
  simpo: 2,
  orpo: 0.1,
};

export interface PreferenceLoss {
  readonly kind: PreferenceLossKind;
  /** What a nat of log-probability is worth; of orpo the weight of the odds. */
  readonly beta: number;
  /** ε: the share of labels that are taken to be wrong. Of sigmoid, sigmoid-mean and robust. */
  readonly labelSmoothing: number;
  /** γ/β: how much better than the rejected one, in nats a token, the chosen response is to be. Of simpo. */
  readonly targetMargin: number;
  /** Weight of −mean log π of the chosen response's tokens. */
  readonly sft: number;
  /** As if the reference found every response equally likely. */
  readonly referenceFree: boolean;
}

/** Whether losses of this kind ask what another model thinks of the responses. */
export function hasReference(kind: PreferenceLossKind): boolean {
  return !withoutReference.has(kind);
}

/** Responses, each array [pairs]. */
export interface Likelihood {
  /** Σ log π(token), EOS included, in nats. */
  readonly logProb: Tensor1D;
  /** The same by the reference; read where the loss compares with one. */
  readonly reference: Tensor1D;
  /** Tokens of the response. */
  readonly tokens: Tensor1D;
}

export interface PreferenceTerms {
  /** [pairs] */
  readonly loss: Tensor1D;
  /** Implicit rewards, whose difference the loss is a function of: β times the log-ratio or log-probability; of orpo the log odds. [pairs] each. */
  readonly chosenReward: Tensor1D;
  readonly rejectedReward: Tensor1D;
}

/**
 * The loss of each pair. With h the difference of implicit rewards, chosen less rejected, and z = h / β:
 *
 * sigmoid, sigmoid-mean, simpo  −(1 − ε) log σ(h − γ) − ε log σ(−h); γ of simpo alone, ε not of it
 * robust                        [−(1 − ε) log σ(h) + ε log σ(−h)] / (1 − 2ε)
 * hinge                         max(0, 1 − h)
 * ipo-sum, ipo-mean             (z − 1 / (2β))²
 * orpo                          −β log σ(log odds(chosen) − log odds(rejected)), odds p / (1 − p) of p = exp(mean log π)
 *
 * and to each sft · (−mean log π(chosen)).
 * @see sigmoid: Rafailov et al. 2023, arXiv:2305.18290, eq. 7, with ε as in Mitchell's note on conservative DPO
 *   (eric-mitchell/direct-preference-optimization, trainers.py); robust: Chowdhury et al. 2024, arXiv:2403.00409, eq. 12;
 *   hinge: Zhao et al. 2023, arXiv:2305.10425, eq. 1 on ratios as in arXiv:2309.06657; ipo: Azar et al. 2023,
 *   arXiv:2310.12036, eq. 17; simpo: Meng et al. 2024, arXiv:2405.14734, eq. 6; orpo: Hong et al. 2024, arXiv:2403.07691,
 *   eq. 6 and 7; sft: Pang et al. 2024, arXiv:2404.19733, eq. 1
 */
export function preferenceLoss(options: PreferenceLoss, chosen: Likelihood, rejected: Likelihood): PreferenceTerms {
  const [chosenReward, rejectedReward] = [implicitReward(options, chosen), implicitReward(options, rejected)];
  const compared = comparison(options, tf.sub(chosenReward, rejectedReward));
  const nll = tf.neg(tf.div(chosen.logProb, chosen.tokens));
  const loss = options.sft === 0 ? compared : tf.add(compared, tf.mul(options.sft, nll));
  return { loss: loss as Tensor1D, chosenReward, rejectedReward };
}

function implicitReward({ kind, beta, referenceFree }: PreferenceLoss, likelihood: Likelihood): Tensor1D {
  if (kind === 'orpo') return logOdds(likelihood);
  const { logProb, reference, tokens } = likelihood;
  const shift = hasReference(kind) && !referenceFree ? tf.sub(logProb, reference) : logProb;
  return tf.mul(beta, byMean.has(kind) ? tf.div(shift, tokens) : shift) as Tensor1D;
}

function comparison(
  { kind, beta, labelSmoothing: smoothing, targetMargin }: PreferenceLoss,
  difference: Tensor,
): Tensor {
  // −log σ(x) = softplus(−x).
  const wrong = (x: Tensor): Tensor => tf.softplus(tf.neg(x));
  switch (kind) {
    case 'sigmoid':
    case 'sigmoid-mean':
      return tf.add(tf.mul(1 - smoothing, wrong(difference)), tf.mul(smoothing, tf.softplus(difference)));
    case 'robust': {
      const both = tf.sub(tf.mul(1 - smoothing, wrong(difference)), tf.mul(smoothing, tf.softplus(difference)));
      return tf.div(both, 1 - 2 * smoothing);
    }
    case 'hinge':
      return tf.relu(tf.sub(1, difference));
    case 'ipo-sum':
    case 'ipo-mean':
      return tf.square(tf.sub(tf.div(difference, beta), 1 / (2 * beta)));
    case 'simpo':
      return wrong(tf.sub(difference, beta * targetMargin));
    case 'orpo':
      return tf.mul(beta, wrong(difference));
  }
}

/** Where the mean log-probability is nearer to 0 than this, the odds have no more digits in float32. */
const SUREST = -1e-6;

/** log(p / (1 − p)) of p = exp(mean log π). */
function logOdds({ logProb, tokens }: Likelihood): Tensor1D {
  const mean = tf.minimum(tf.div(logProb, tokens), SUREST);
  return tf.sub(mean, tf.log(tf.neg(tf.expm1(mean)))) as Tensor1D;
}
