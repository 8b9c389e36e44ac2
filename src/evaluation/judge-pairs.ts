/** How well a reward model judges preference pairs, against the labels and against gold. */
import type { PreferenceRow } from '../data/preference.ts';
import type { Model } from '../model/model.ts';
import type { PromptResponse } from '../steps/response-batch.ts';
import { responseBatch } from '../steps/response-batch.ts';
import { responseScores } from '../steps/score-responses.ts';
import type { CalibrationBin } from './calibration.ts';
import { calibration, pairAccuracy } from './calibration.ts';

/** Quality on a set of pairs. */
export interface PairQuality {
  /** Raw scores, in the order of the pairs. */
  readonly scores: { chosen: number; rejected: number }[];
  /** Against gold, without label noise. */
  readonly accuracy: number;
  /** Against the labels, noise included. */
  readonly labelAccuracy: number;
  /** Against gold, over the pairs whose better response is the shorter one: far below `accuracy` means length
   * bias; null where there is no such pair. */
  readonly shorterAccuracy: number | null;
  /** Expected calibration error against the labels. */
  readonly calibrationError: number;
  readonly bins: CalibrationBin[];
}

/** Sequences scored side by side. */
const SCORE_BATCH = 64;

/** The two sequences of a pair as prompt and response. */
export function pairIds(row: PreferenceRow): { chosen: PromptResponse; rejected: PromptResponse } {
  const split = (ids: Int32Array): PromptResponse => ({
    promptIds: ids.subarray(0, row.prompt_length),
    responseIds: ids.subarray(row.prompt_length),
  });
  return { chosen: split(row.chosen_ids), rejected: split(row.rejected_ids) };
}

/** Raw scores of sequences, read at their last token. */
export function scoreSequences(model: Model, sequences: readonly PromptResponse[], padId: number): number[] {
  const scores: number[] = [];
  for (let at = 0; at < sequences.length; at += SCORE_BATCH) {
    scores.push(...responseScores(model, responseBatch(sequences.slice(at, at + SCORE_BATCH), padId)));
  }
  return scores;
}

/** Scores both responses of every pair and compares. */
export function judgePairs(model: Model, rows: readonly PreferenceRow[], padId: number): PairQuality {
  const sequences = rows.map(pairIds).flatMap(({ chosen, rejected }) => [chosen, rejected]);
  const all = scoreSequences(model, sequences, padId);
  const scores = rows.map((_, i) => ({ chosen: all[2 * i] as number, rejected: all[2 * i + 1] as number }));
  const byGold = rows.map(({ gold_chosen, gold_rejected, chosen_ids, rejected_ids }, i) => {
    const { chosen, rejected } = scores[i] as { chosen: number; rejected: number };
    const labelIsRight = gold_chosen > gold_rejected;
    const difference = chosen_ids.length - rejected_ids.length;
    const pair = labelIsRight ? { chosen, rejected } : { chosen: rejected, rejected: chosen };
    return { ...pair, betterIsShorter: labelIsRight ? difference < 0 : difference > 0 };
  });
  const shorter = byGold.filter(({ betterIsShorter }) => betterIsShorter);
  const { bins, error } = calibration(scores);
  return {
    scores,
    accuracy: pairAccuracy(byGold),
    labelAccuracy: pairAccuracy(scores),
    shorterAccuracy: shorter.length === 0 ? null : pairAccuracy(shorter),
    calibrationError: error,
    bins,
  };
}
