/** The measurements that a reward model is chosen by, on held-out pairs. */
import type { PairQuality } from './judge-pairs.ts';

/** One measurement; null where there are no pairs. */
export type PairScores = Readonly<Record<'loss' | 'accuracy' | 'labelAccuracy' | 'calibrationError', number | null>>;

/** What they are called, and which way they are better. */
export const pairMeasures = {
  loss: { name: 'held-out loss', better: 'lower' },
  accuracy: { name: 'held-out accuracy', better: 'higher' },
  labelAccuracy: { name: 'held-out accuracy by labels', better: 'higher' },
  calibrationError: { name: 'calibration error', better: 'lower' },
} as const;

/** The measurement in a judgement of the pairs. */
export function pairScores(quality: PairQuality | null): PairScores {
  const { loss = null, accuracy = null, labelAccuracy = null, calibrationError = null } = quality ?? {};
  return { loss, accuracy, labelAccuracy, calibrationError };
}

/** A measurement in metrics.arrow. */
export function pairMetrics({ loss, accuracy, labelAccuracy, calibrationError }: PairScores) {
  return {
    'loss/held_out': loss,
    'accuracy/held_out': accuracy,
    'accuracy/held_out_labels': labelAccuracy,
    'calibration/error': calibrationError,
  };
}
