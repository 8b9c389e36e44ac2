/** How well a reward model tells the better response of a pair, against the labels and against the judge. */

import { responseScores } from '../alignment/score-responses.ts';
import { distinctSequences } from '../batch/distinct-sequences.ts';
import { likeLengths } from '../batch/like-lengths.ts';
import { responseLength } from '../batch/response-batch.ts';
import type { TokenSequence } from '../batch/token-batch.ts';
import type { PreferencePair } from '../examples/preference.ts';
import { pairSequences } from '../examples/preference.ts';
import { betterResponse } from '../examples/preference-sets.ts';
import type { Model } from '../model/model.ts';
import { bradleyTerryLoss } from '../objectives/bradley-terry.ts';
import type { CalibrationBin, ScoredPair } from './calibration.ts';
import { calibration, pairAccuracy } from './calibration.ts';

/** Quality on the pairs of one group. */
export interface GroupQuality {
  readonly group: string;
  /** Pairs with a better response. */
  readonly pairs: number;
  readonly accuracy: number;
}

/** Quality on a set of pairs. */
export interface PairQuality {
  /** The training loss of the pairs. */
  readonly loss: number;
  /** Raw scores, in the order of the pairs. */
  readonly scores: readonly PairScores[];
  /** Against the judge where a pair has its totals, else against its label; pairs with equal totals are not counted. */
  readonly accuracy: number;
  /** Against the labels, noise included. */
  readonly labelAccuracy: number;
  /** As `accuracy`, over the pairs whose better response is the shorter one: far below `accuracy` means length
   * bias; null where there is no such pair. */
  readonly shorterAccuracy: number | null;
  /** Expected calibration error against the labels. */
  readonly calibrationError: number;
  readonly bins: CalibrationBin[];
  /** As `accuracy`, for each group by name; empty where pairs have no group. */
  readonly groups: GroupQuality[];
}

/** Raw scores of sequences; those that are there several times are read once. `show` hears how many are known so far. */
export function scoreSequences(
  model: Model,
  sequences: readonly TokenSequence[],
  padId: number,
  show: (done: number) => void = () => undefined,
): number[] {
  const { sequences: distinct, placeOf } = distinctSequences(sequences);
  const times = new Int32Array(distinct.length);
  for (const place of placeOf) times[place] = (times[place] as number) + 1;
  const scores = new Array<number>(distinct.length);
  let done = 0;
  for (const { indices, batch } of likeLengths(distinct, padId)) {
    const found = responseScores(model, batch);
    for (const [row, index] of indices.entries()) {
      scores[index] = found[row] as number;
      done += times[index] as number;
    }
    show(done);
  }
  return placeOf.map((place) => scores[place] as number);
}

/** Σ log π of each sequence's response tokens, EOS included, in nats. */
export function sumLogProbs(
  model: Model,
  sequences: readonly TokenSequence[],
  padId: number,
  show?: (done: number) => void,
): number[] {
  const means = scoreSequences(model, sequences, padId, show);
  return means.map((mean, i) => mean * responseLength(sequences[i] as TokenSequence));
}

/** What the two responses of a pair score. */
export interface PairScores {
  readonly chosen: number;
  readonly rejected: number;
}

/**
 * A reward model on pairs; null where there are none.
 * @param options.scale    what a score counts in the loss
 * @param options.marginOf how much higher than the rejected response's the chosen one's is to be
 */
export function rewardQuality(
  model: Model,
  rows: readonly PreferencePair[],
  options: {
    readonly scale: number;
    readonly centring: number;
    readonly marginOf: (row: PreferencePair) => number;
    readonly padId: number;
  },
): PairQuality | null {
  if (rows.length === 0) return null;
  const { scale, centring, marginOf, padId } = options;
  const all = scoreSequences(model, pairSequences(rows), padId).map((score) => scale * score);
  const scores = rows.map((_, i) => ({ chosen: all[2 * i] as number, rejected: all[2 * i + 1] as number }));
  const withMargins = scores.map((pair, i) => ({ ...pair, margin: marginOf(rows[i] as PreferencePair) }));
  return measurePairs(rows, scores, bradleyTerryLoss(withMargins, centring));
}

/**
 * Compares the scores of every pair with its label and its judge.
 * @param loss the training loss of the pairs
 */
export function measurePairs(
  rows: readonly PreferencePair[],
  scores: readonly PairScores[],
  loss: number,
): PairQuality {
  const byJudge = rows.flatMap((row, i) => {
    const better = betterResponse(row);
    if (better === null) return [];
    const { chosen, rejected } = scores[i] as PairScores;
    const difference = row.chosen_ids.length - row.rejected_ids.length;
    const pair = better === 'chosen' ? { chosen, rejected } : { chosen: rejected, rejected: chosen };
    return [{ ...pair, group: row.group, betterIsShorter: better === 'chosen' ? difference < 0 : difference > 0 }];
  });
  const shorter = byJudge.filter(({ betterIsShorter }) => betterIsShorter);
  const { bins, error } = calibration(scores);
  return {
    loss,
    scores,
    accuracy: pairAccuracy(byJudge),
    labelAccuracy: pairAccuracy(scores),
    shorterAccuracy: shorter.length === 0 ? null : pairAccuracy(shorter),
    calibrationError: error,
    bins,
    groups: accuracyByGroup(byJudge),
  };
}

function accuracyByGroup(pairs: readonly (ScoredPair & { readonly group: string | null })[]): GroupQuality[] {
  const groups = new Map<string, ScoredPair[]>();
  for (const pair of pairs) {
    if (pair.group === null) continue;
    const known = groups.get(pair.group);
    if (known === undefined) groups.set(pair.group, [pair]);
    else known.push(pair);
  }
  return [...groups]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([group, pairs]) => ({ group, pairs: pairs.length, accuracy: pairAccuracy(pairs) }));
}
