/** What must hold while a policy is trained; each is a bug that would otherwise go unseen for hours. */

import { roundedLength } from '../batch/padding.ts';
import { responseBatch } from '../batch/response-batch.ts';
import type { TokenSequence } from '../batch/token-batch.ts';
import { InvariantError } from '../errors.ts';
import { productRounding } from '../graph/mode.ts';
import type { PpoModels, Rollout } from './collect.ts';
import { responseScores } from './score-responses.ts';

/** What happens when an invariant fails. */
export type Checks = 'strict' | 'warn' | 'off';

/**
 * Largest differences that sums in another order explain. With narrower products whatever is rounded the other way makes
 * one: a log-probability is the difference of logits of 10 to 25, each rounded, and errors of layers before add to it.
 */
function tolerances() {
  const rounding = productRounding();
  const ratio = Math.max(1e-3, 4 * rounding);
  return {
    /** Nats of a log-probability, units of a score. */
    numbers: Math.max(2e-3, 50 * rounding),
    ratio,
    /** ½ · the square of a difference, as k2 is. */
    approxKl: Math.max(1e-5, (4 * rounding) ** 2 / 2),
  };
}

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

/**
 * A policy that learns from pairs directly is its reference before the first update.
 * @param furthest the largest difference of a response's log-probability, in nats a token
 * @throws InvariantError where checks are strict
 */
export function checkReference(furthest: number, checks: Checks, say: (line: string) => void): void {
  const most = tolerances().numbers;
  const invariant = {
    name: 'log-probabilities of policy and reference before the first update',
    expected: `the same, within ${most} nats a token`,
    received: `${furthest} apart`,
    holds: furthest <= most,
  };
  report(checks, 'dpo', [invariant], say);
}

/** Where a check is made, and how strictly. */
export interface RolloutCheck {
  /** No update has been made: the policy still is the reference. */
  readonly isFirst: boolean;
  readonly checks: Checks;
  readonly where: string;
}

/**
 * Cached, left-padded decoding equals a full, right-padded forward pass; KL is 0 before the first update; a score does
 * not depend on the other rows of its batch; every row has a response.
 * @throws InvariantError listing all that fail, where checks are strict
 */
export function checkRollout(
  rollout: Rollout,
  models: PpoModels,
  check: RolloutCheck,
  say: (line: string) => void,
): void {
  if (check.checks === 'off') return;
  const { mask } = rollout;
  const first = rollout.sequences[0] as TokenSequence;
  const { mean, deviation } = models.normalisation;
  const seq = roundedLength(first.ids.length);
  const [raw] = responseScores(models.reward, responseBatch([first], rollout.padId, { seq }));
  const alone = ((raw as number) - mean) / deviation;
  const allowed = tolerances().numbers;
  const small = (name: string, difference: number): Invariant => ({
    name,
    expected: `a difference of at most ${allowed}`,
    received: difference.toExponential(2),
    holds: difference <= allowed,
  });
  const cache = largestDifference(rollout.drawnLogProbs, rollout.logProbs, mask);
  const empty = rollout.responses.filter((ids) => ids.length === 0).length;
  const found = [
    small('log-probabilities of cached, left-padded decoding and of a full, right-padded pass', cache),
    small('reward of a response alone and in its batch', Math.abs(alone - (rollout.scores[0] as number))),
    { name: 'rows without a response', expected: '0', received: String(empty), holds: empty === 0 },
  ];
  if (check.isFirst) {
    const kl = largestDifference(rollout.logProbs, rollout.referenceLogProbs, mask);
    found.push(small('log-probabilities of policy and reference before the first update (KL 0)', kl));
  }
  report(check.checks, check.where, found, say);
}

/** In the first update of a rollout the policy is the one that sampled: ratio 1, KL 0, nothing clipped. */
export function checkFirstUpdate(
  checks: Checks,
  stats: { ratio: number; approxKl: number; clipFraction: number },
  where: string,
  say: (line: string) => void,
): void {
  const { ratio, approxKl, clipFraction } = stats;
  const allowed = tolerances();
  report(
    checks,
    where,
    [
      {
        name: 'ratio of the first update',
        expected: '1',
        received: String(ratio),
        holds: Math.abs(ratio - 1) <= allowed.ratio,
      },
      {
        name: 'approx_kl of the first update',
        expected: '0',
        received: String(approxKl),
        holds: approxKl <= allowed.approxKl,
      },
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
