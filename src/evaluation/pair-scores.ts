/** The measurements that a model is chosen by, on held-out pairs. */
import type { PairQuality } from './pair-quality.ts';

/** Their columns of metrics.arrow, for every stage that learns from pairs; a score is what the stage gives a response. */
export const heldOutMetrics = {
  'loss/held_out': 'The same over the held-out pairs, by their labels.',
  'accuracy/held_out':
    'Fraction of held-out pairs whose better response scores higher: by gold (without label noise) where there is gold, else by the label; pairs with equal gold are left out.',
  'accuracy/held_out_labels': 'Fraction of held-out pairs whose labelled choice (with label noise) scores higher.',
  'calibration/error': 'Expected calibration error of σ(|Δ|) against the held-out labels, ten bins.',
} as const;

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
