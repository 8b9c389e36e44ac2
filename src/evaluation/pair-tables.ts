/** What stage 2 reports on its held-out pairs: tables and summary numbers. */

import type { PreferencePair } from '../examples/preference.ts';
import { writeTable } from '../tables/arrow-file.ts';
import { bool, float32, int32, nullable, utf8 } from '../tables/columns.ts';
import type { PairQuality } from './pair-quality.ts';
import { meanAndDeviation } from './statistics.ts';

/** Columns of samples.arrow: a held-out pair a row. */
const sampleColumns = {
  prompt: utf8('Rendered prompt.'),
  chosen: utf8('Labelled choice.'),
  rejected: utf8('The other response.'),
  score_chosen: float32('Raw score of the labelled choice.'),
  score_rejected: float32('Raw score of the other response.'),
  gold_chosen: nullable(float32('Total of the judge for the labelled choice; null where there is none.')),
  gold_rejected: nullable(float32('Total of the judge for the other response; null where there is none.')),
  flipped: nullable(bool('Whether label noise swapped the two; null where that is unknown.')),
};

/** Columns of groups.arrow. */
const groupColumns = {
  group: utf8('Value of the column that groupBy names.'),
  pairs: int32('Held-out pairs of the group that have a better response.'),
  accuracy: float32('Fraction of them whose better response scores higher.'),
};

/** Columns of calibration.arrow. */
const calibrationColumns = {
  from: float32('Lower end of the confidence bin.'),
  to: float32('Upper end of the confidence bin.'),
  count: int32('Held-out pairs in the bin.'),
  confidence: float32('Mean predicted probability of the preferred response.'),
  accuracy: float32('Fraction of pairs where it is the labelled choice.'),
};

const isHeldOut = 'where pairs are held out';

/** The tables of the held-out pairs, by their role among a stage's outputs. */
export const pairTables = {
  samples: {
    path: 'samples.arrow',
    holds: 'held-out pairs with their scores',
    columns: sampleColumns,
    written: isHeldOut,
  },
  calibration: {
    path: 'calibration.arrow',
    holds: 'how often the model is right, by how sure it is',
    columns: calibrationColumns,
    written: isHeldOut,
  },
  groups: {
    path: 'groups.arrow',
    holds: 'accuracy by group of held-out pairs',
    columns: groupColumns,
    written: 'where groupBy names a column',
  },
} as const;

/** Writes the tables of the held-out pairs into a run folder: each pair, calibration, and groups where pairs have them. */
export async function writePairTables(
  fileOf: (name: string) => string,
  heldOut: readonly PreferencePair[],
  quality: PairQuality,
  hasGroups: boolean,
): Promise<void> {
  const { samples, calibration, groups } = pairTables;
  await writeTable(fileOf(calibration.path), calibration.columns, quality.bins);
  const rows = heldOut.map((row, i) => sampleRow(row, quality.scores[i]));
  await writeTable(fileOf(samples.path), samples.columns, rows);
  if (hasGroups) await writeTable(fileOf(groups.path), groups.columns, quality.groups);
}

/** A held-out pair with what the model thinks of it. */
function sampleRow(row: PreferencePair, scores: { chosen: number; rejected: number } | undefined) {
  const { prompt, chosen, rejected, gold_chosen, gold_rejected, flipped } = row;
  const scored = { score_chosen: scores?.chosen ?? 0, score_rejected: scores?.rejected ?? 0 };
  return { prompt, chosen, rejected, ...scored, gold_chosen, gold_rejected, flipped };
}

/** What the summary calls the accuracy on a group, before its name. */
export const ACCURACY_OF = 'accuracy: ';

/** The numbers that matter; none without held-out pairs. Groups count equally in `groupAccuracy`, whatever their size. */
export function qualityOf(quality: PairQuality | null): Record<string, number | null> {
  if (quality === null) return {};
  const { loss, accuracy, labelAccuracy, calibrationError, shorterAccuracy, groups } = quality;
  const groupAccuracy = groups.length === 0 ? null : meanAndDeviation(groups.map((group) => group.accuracy)).mean;
  const heldOut = { heldOutLoss: loss, heldOutAccuracy: accuracy };
  const byGroup = Object.fromEntries(groups.map(({ group, accuracy: own }) => [`${ACCURACY_OF}${group}`, own]));
  return { ...heldOut, labelAccuracy, ece: calibrationError, shorterAccuracy, groupAccuracy, ...byGroup };
}
