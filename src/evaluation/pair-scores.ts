/** The measurements that a reward model is chosen by, on held-out pairs. */
import type { PairQuality } from './pair-quality.ts';

/** What they are called, in words and in metrics.arrow, and which way they are better. */
export const pairMeasures = {
  loss: { name: 'held-out loss', better: 'lower', metric: 'loss/held_out' },
  accuracy: { name: 'held-out accuracy', better: 'higher', metric: 'accuracy/held_out', bar: 'accuracy' },
  labelAccuracy: { name: 'held-out accuracy by labels', better: 'higher', metric: 'accuracy/held_out_labels' },
  calibrationError: { name: 'calibration error', better: 'lower', metric: 'calibration/error' },
} as const;

/** The measurement in the quality of the pairs; null where there are none. */
export function pairScores(quality: PairQuality | null): Record<keyof typeof pairMeasures, number | null> {
  const { loss = null, accuracy = null, labelAccuracy = null, calibrationError = null } = quality ?? {};
  return { loss, accuracy, labelAccuracy, calibrationError };
}
