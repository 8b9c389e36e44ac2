/** Draws one token from logits. Host arithmetic in float64. */
import type { Random } from '../random.ts';

/** How tokens are drawn. */
export interface Sampling {
  /** 0 takes the most likely token. */
  readonly temperature: number;
  /** Only the k most likely tokens; 0 for all. */
  readonly topK: number;
  /** Only the smallest set of tokens whose probability reaches p; 1 for all. */
  readonly topP: number;
}

/** A drawn token and its log-probability at the temperature, before top-k and top-p. */
export interface DrawnToken {
  readonly id: number;
  readonly logProb: number;
}

/**
 * Draws from softmax(logits / temperature) restricted by top-k, then top-p. Greedy decoding (temperature 0) reports
 * log-probabilities at temperature 1 and uses no randomness.
 * @param logits [vocab]
 * @see Holtzman et al. 2020, arXiv:1904.09751 (top-p); Fan et al. 2018, arXiv:1805.04833 (top-k)
 */
export function sampleToken(logits: Float32Array, sampling: Sampling, random: Random): DrawnToken {
  const temperature = sampling.temperature === 0 ? 1 : sampling.temperature;
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
  const logProb = (id: number): number => (logits[id] as number) / temperature - top - Math.log(total);
  if (sampling.temperature === 0) return { id: best, logProb: logProb(best) };
  const id = draw(weights, candidates(weights, total, sampling), random);
  return { id, logProb: logProb(id) };
}

/** The ids that top-k and top-p leave, most likely first; null for all. */
function candidates(weights: Float64Array, total: number, sampling: Sampling): number[] | null {
  const { topK, topP } = sampling;
  if ((topK === 0 || topK >= weights.length) && topP >= 1) return null;
  const order = Array.from(weights.keys()).sort((a, b) => (weights[b] as number) - (weights[a] as number) || a - b);
  const kept = topK > 0 ? order.slice(0, topK) : order;
  if (topP >= 1) return kept;
  const mass = topK > 0 ? kept.reduce((sum, id) => sum + (weights[id] as number), 0) : total;
  let reached = 0;
  const end = kept.findIndex((id) => {
    reached += weights[id] as number;
    return reached >= topP * mass;
  });
  return end < 0 ? kept : kept.slice(0, end + 1);
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
