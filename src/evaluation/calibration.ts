/** How a reward model's score differences relate to what was preferred. */

/** A pair as a reward model sees it: scores of the labelled choice and of the other response. */
export interface ScoredPair {
  readonly chosen: number;
  readonly rejected: number;
}

/** Pairs whose predicted confidence falls in one range. */
export interface CalibrationBin {
  readonly from: number;
  readonly to: number;
  readonly count: number;
  /** Mean predicted probability of the response the model prefers. */
  readonly confidence: number;
  /** Fraction of pairs where that response is the labelled choice. */
  readonly accuracy: number;
}

/** Fraction of pairs in which the chosen response scores higher; an exact tie counts half. */
export function pairAccuracy(pairs: readonly ScoredPair[]): number {
  const right = pairs.reduce(
    (sum, { chosen, rejected }) => sum + (chosen > rejected ? 1 : chosen === rejected ? 0.5 : 0),
    0,
  );
  return right / pairs.length;
}

/**
 * Confidence bins over [½, 1] and the expected calibration error Σ_b (n_b / n) · |accuracy_b − confidence_b|, with the
 * Bradley–Terry probability σ(|Δ|) as confidence.
 * @see Guo et al. 2017, arXiv:1706.04599, eq. 5
 */
export function calibration(pairs: readonly ScoredPair[], binCount = 10): { bins: CalibrationBin[]; error: number } {
  const groups = Array.from({ length: binCount }, () => ({ count: 0, confidence: 0, right: 0 }));
  for (const { chosen, rejected } of pairs) {
    const difference = chosen - rejected;
    const confidence = 1 / (1 + Math.exp(-Math.abs(difference)));
    const group = groups[Math.min(binCount - 1, Math.floor((confidence - 0.5) * 2 * binCount))];
    if (group === undefined) continue;
    group.count += 1;
    group.confidence += confidence;
    group.right += difference > 0 ? 1 : difference === 0 ? 0.5 : 0;
  }
  const bins = groups.map(({ count, confidence, right }, i) => ({
    from: 0.5 + i / (2 * binCount),
    to: 0.5 + (i + 1) / (2 * binCount),
    count,
    confidence: count === 0 ? 0 : confidence / count,
    accuracy: count === 0 ? 0 : right / count,
  }));
  const error = bins.reduce(
    (sum, bin) => sum + (bin.count / pairs.length) * Math.abs(bin.accuracy - bin.confidence),
    0,
  );
  return { bins, error };
}
