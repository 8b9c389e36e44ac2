/** Draws tokens from logits: on the host in float64, and where sampling is plain as ops of a graph. */
import type { Random } from '../random.ts';
import type { Tensors } from '../tensor/host-arrays.ts';
import { pick } from '../tensor/host-arrays.ts';
import type { Scalar, Tensor1D, Tensor2D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';

/** How tokens are drawn. */
export interface Sampling {
  /** 0 takes the most likely token. */
  readonly temperature: number;
  /** Only the k most likely tokens; 0 for all. */
  readonly topK: number;
  /** Only the smallest set of tokens whose probability reaches p; 1 for all. */
  readonly topP: number;
  /** Only tokens at least p times as likely as the likeliest; 0 (or left out) for all. */
  readonly minP?: number;
  /** Above 1, tokens that were read or written before become less likely; 1 (or left out) for none. */
  readonly repetitionPenalty?: number;
}

/** A drawn token and its log-probability at the temperature, before penalty, top-k, top-p and min-p. */
export interface DrawnToken {
  readonly id: number;
  readonly logProb: number;
}

/**
 * Draws from softmax(logits / temperature) restricted by top-k, then top-p, then min-p; the repetition penalty comes
 * before all of them, as in transformers. Greedy decoding (temperature 0) reports log-probabilities at temperature 1 and
 * uses no randomness.
 * @param logits [vocab]
 * @param seen   ids of prompt and response so far, for the repetition penalty
 * @see Holtzman et al. 2020, arXiv:1904.09751 (top-p); Fan et al. 2018, arXiv:1805.04833 (top-k); Nguyen et al. 2024,
 *   arXiv:2407.01082 (min-p); Keskar et al. 2019, arXiv:1909.05858, section 4.1 (repetition penalty)
 */
export function sampleToken(
  logits: Float32Array,
  sampling: Sampling,
  random: Random,
  seen: Iterable<number> = [],
): DrawnToken {
  const { repetitionPenalty = 1 } = sampling;
  const temperature = sampling.temperature === 0 ? 1 : sampling.temperature;
  const model = distribution(logits, temperature);
  const drawn =
    repetitionPenalty === 1 ? model : distribution(penalizeRepetition(logits, seen, repetitionPenalty), temperature);
  const id =
    sampling.temperature === 0
      ? drawn.best
      : draw(drawn.weights, candidates(drawn.weights, drawn.total, sampling), random);
  return { id, logProb: (logits[id] as number) / temperature - model.top - Math.log(model.total) };
}

/**
 * Logits of the ids seen divided by the penalty where positive, multiplied where negative; each id once.
 * @returns a copy, or `logits` itself where the penalty is 1
 * @see transformers' RepetitionPenaltyLogitsProcessor
 */
export function penalizeRepetition(logits: Float32Array, seen: Iterable<number>, penalty: number): Float32Array {
  if (penalty === 1) return logits;
  const changed = logits.slice();
  for (const id of new Set(seen)) {
    const logit = changed[id];
    if (logit !== undefined) changed[id] = logit < 0 ? logit * penalty : logit / penalty;
  }
  return changed;
}

/** softmax(logits / temperature) before it is divided by its sum: the likeliest token has weight 1. */
interface Distribution {
  readonly weights: Float64Array;
  readonly total: number;
  /** The likeliest id and its logit / temperature. */
  readonly best: number;
  readonly top: number;
}

/** The likeliest token is found beside the weights. logits [vocab] */
export function distribution(logits: Float32Array, temperature: number): Distribution {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if ((logits[i] as number) > (logits[best] as number)) best = i;
  const top = (logits[best] as number) / temperature;
  const weights = new Float64Array(logits.length);
  let total = 0;
  for (let i = 0; i < logits.length; i++) {
    const weight = Math.exp((logits[i] as number) / temperature - top);
    weights[i] = weight;
    total += weight;
  }
  return { weights, total, best, top };
}

/** The ids that top-k, top-p and min-p leave, most likely first; null for all. */
export function candidates(weights: Float64Array, total: number, sampling: Sampling): number[] | null {
  const { topK, topP, minP = 0 } = sampling;
  if ((topK === 0 || topK >= weights.length) && topP >= 1 && minP === 0) return null;
  const order = Array.from(weights.keys()).sort((a, b) => (weights[b] as number) - (weights[a] as number) || a - b);
  const kept = nucleus(weights, total, topK > 0 ? order.slice(0, topK) : order, sampling);
  // The likeliest token has weight 1, so weights are already relative to it.
  return minP === 0 ? [...kept] : kept.filter((id) => (weights[id] as number) >= minP);
}

/** The shortest beginning of `ordered` whose share reaches p. */
function nucleus(
  weights: Float64Array,
  total: number,
  ordered: readonly number[],
  { topK, topP }: Sampling,
): readonly number[] {
  if (topP >= 1) return ordered;
  const mass = topK > 0 ? ordered.reduce((sum, id) => sum + (weights[id] as number), 0) : total;
  let reached = 0;
  const end = ordered.findIndex((id) => {
    reached += weights[id] as number;
    return reached >= topP * mass;
  });
  return end < 0 ? ordered : ordered.slice(0, end + 1);
}

function draw(weights: Float64Array, ids: readonly number[] | null, random: Random): number {
  const count = ids === null ? weights.length : ids.length;
  const at = (i: number): number => (ids === null ? i : (ids[i] as number));
  let total = 0;
  for (let i = 0; i < count; i++) total += weights[at(i)] as number;
  let rest = random.uniform() * total;
  for (let i = 0; i < count; i++) {
    rest -= weights[at(i)] as number;
    if (rest < 0) return at(i);
  }
  // Rounding can leave a hair of `rest`; the most likely candidate takes it, never one with probability 0.
  let best = at(0);
  for (let i = 1; i < count; i++) if ((weights[at(i)] as number) > (weights[best] as number)) best = at(i);
  return best;
}

/** True where a token is drawn from the whole distribution, or the likeliest taken: the graph can do that. */
export function isPlain({ topK, topP, minP = 0, repetitionPenalty = 1 }: Sampling): boolean {
  return topK === 0 && topP >= 1 && minP === 0 && repetitionPenalty === 1;
}

/**
 * `sampleToken` for many rows, as ops of a graph in float32, where sampling is plain: tokens and their log-probabilities.
 * Elsewhere the logits, for the host to draw from. The same uniform numbers draw the same tokens but for rounding.
 * @param logits [rows, vocab]
 * @param arrays `uniform` [rows] and `temperature`, where tokens are drawn here and not the likeliest taken
 */
export function drawInGraph(
  logits: Tensor2D,
  arrays: Tensors,
  sampling: Sampling,
): Record<string, Tensor1D | Tensor2D> {
  if (!isPlain(sampling)) return { logits };
  const isGreedy = sampling.temperature === 0;
  const scaled: Tensor2D = isGreedy ? logits : tf.div(logits, pick<Scalar>(arrays, 'temperature'));
  const top = tf.max(scaled, 1, true);
  const weights = tf.exp(tf.sub(scaled, top));
  const ids = isGreedy ? tf.argMax(logits, 1) : inverse(weights as Tensor2D, pick(arrays, 'uniform'));
  const chosen = tf.sum(tf.mul(scaled, tf.oneHot(ids as Tensor1D, logits.shape[1])), 1);
  const logTotal = tf.log(tf.sum(weights, 1));
  const logProbs = tf.sub(tf.sub(chosen, tf.squeeze(top, [1])), logTotal);
  return { ids: tf.cast(ids, 'int32') as Tensor1D, logProbs: logProbs as Tensor1D };
}

/** The first token at which the sum of the weights passes the given share of their total. weights [rows, vocab] → [rows] */
function inverse(weights: Tensor2D, uniform: Tensor1D): Tensor1D {
  const sums = tf.cumsum(weights, 1);
  const [rows, vocab] = weights.shape;
  const total = tf.slice(sums, [0, vocab - 1], [rows, 1]);
  const reached = tf.lessEqual(sums, tf.mul(tf.expandDims(uniform, 1), total));
  // Counted in float32, exactly: TensorFlow adds int32 on the CPU, and a GPU would have to send it all of them.
  const count = tf.minimum(tf.sum(tf.cast(reached, 'float32'), 1), tf.scalar(vocab - 1));
  return tf.cast(count, 'int32') as Tensor1D;
}
