/** What must hold while PPO runs; each is a bug that would otherwise go unseen for hours. */
import { InvariantError } from '../errors.ts';

/** What happens when an invariant fails. */
export type Checks = 'strict' | 'warn' | 'off';

/** Largest difference of log-probabilities that float32 sums in another order explain, in nats. */
const LOG_PROB_TOLERANCE = 2e-3;

/** One thing that should hold. */
interface Invariant {
  readonly name: string;
  readonly expected: string;
  readonly received: string;
  readonly holds: boolean;
}

/** @throws InvariantError with all that fail, where checks are strict */
function report(checks: Checks, where: string, invariants: readonly Invariant[], say: (line: string) => void): void {
  if (checks === 'off') return;
  const problems = invariants
    .filter(({ holds }) => !holds)
    .map(({ name, expected, received }) => `${where}: ${name}: expected ${expected}, received ${received}.`);
  if (problems.length === 0) return;
  if (checks === 'strict') {
    throw new InvariantError([
      ...problems,
      'The last checkpoint is kept. runtime.checks: warn goes on in spite of this.',
    ]);
  }
  for (const problem of problems) say(`warning: ${problem}`);
}

/** What is known once a rollout has been scored; arrays are [batch · response]. */
export interface RolloutFacts {
  /** As drawn, with the key/value cache and left padding. */
  readonly drawnLogProbs: Float32Array;
  /** By a full forward pass with right padding. */
  readonly policyLogProbs: Float32Array;
  readonly referenceLogProbs: Float32Array;
  readonly responseMask: Float32Array;
  /** The policy still is the reference: no update has been made. */
  readonly isFirst: boolean;
  /** Score of the first row within the batch and by itself. */
  readonly scoreInBatch: number;
  readonly scoreAlone: number;
  readonly checks: Checks;
}

/** Cached decoding equals a full forward pass; left and right padding agree; KL is 0 at the start; scores ignore their batch. */
export function checkRollout(facts: RolloutFacts, where: string, say: (line: string) => void): void {
  const cache = largestDifference(facts.drawnLogProbs, facts.policyLogProbs, facts.responseMask);
  const kl = facts.isFirst ? largestDifference(facts.policyLogProbs, facts.referenceLogProbs, facts.responseMask) : 0;
  const score = Math.abs(facts.scoreInBatch - facts.scoreAlone);
  const rows = rowsWithoutTokens(facts);
  report(
    facts.checks,
    where,
    [
      {
        name: 'log-probabilities of cached, left-padded decoding against a full, right-padded forward pass',
        expected: `a difference of at most ${LOG_PROB_TOLERANCE}`,
        received: cache.toExponential(2),
        holds: cache <= LOG_PROB_TOLERANCE,
      },
      {
        name: 'log-probabilities of policy and reference before the first update',
        expected: `a difference of at most ${LOG_PROB_TOLERANCE} (KL 0)`,
        received: kl.toExponential(2),
        holds: kl <= LOG_PROB_TOLERANCE,
      },
      {
        name: 'reward of a response by itself and within its batch',
        expected: `a difference of at most ${LOG_PROB_TOLERANCE}`,
        received: score.toExponential(2),
        holds: score <= LOG_PROB_TOLERANCE,
      },
      { name: 'response mask', expected: 'a token in every row', received: rows, holds: rows === '' },
    ],
    say,
  );
}

/** In the first update of a rollout the policy is the one that sampled: ratio 1, KL 0, nothing clipped. */
export function checkFirstUpdate(
  checks: Checks,
  stats: { ratio: number; approxKl: number; clipFraction: number },
  where: string,
  say: (line: string) => void,
): void {
  const { ratio, approxKl, clipFraction } = stats;
  report(
    checks,
    where,
    [
      { name: 'ratio of the first update', expected: '1', received: String(ratio), holds: Math.abs(ratio - 1) <= 1e-3 },
      { name: 'approx_kl of the first update', expected: '0', received: String(approxKl), holds: approxKl <= 1e-5 },
      {
        name: 'clip_fraction of the first update',
        expected: '0',
        received: String(clipFraction),
        holds: clipFraction === 0,
      },
    ],
    say,
  );
}

function largestDifference(a: Float32Array, b: Float32Array, mask: Float32Array): number {
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    if (!mask[i]) continue;
    const difference = Math.abs((a[i] as number) - (b[i] as number));
    // NaN compares false with everything: count it as the largest.
    if (!(difference <= largest)) largest = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
  }
  return largest;
}

function rowsWithoutTokens({ responseMask, scoreInBatch }: RolloutFacts): string {
  return responseMask.some((flag) => flag === 1) && Number.isFinite(scoreInBatch) ? '' : 'none';
}
