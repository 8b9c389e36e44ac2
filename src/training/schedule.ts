/** Learning-rate schedules. */

/** Linear warm-up from 0, then the named decay to `finalRate` of the peak at the last step. */
export interface Schedule {
  readonly learningRate: number;
  readonly schedule: 'constant' | 'linear' | 'cosine';
  readonly warmupSteps: number;
  /** Fraction of the peak that is left at the end; 0 anneals to zero. */
  readonly finalRate: number;
}

/**
 * The rate of update `step` (0-based) of `totalSteps`, as transformers' get_linear/cosine_schedule_with_warmup
 * (transformers/optimization.py), with a floor.
 */
export function learningRateAt(schedule: Schedule, step: number, totalSteps: number): number {
  const { learningRate, warmupSteps, finalRate } = schedule;
  if (step < warmupSteps) return (learningRate * step) / warmupSteps;
  if (schedule.schedule === 'constant') return learningRate;
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps));
  const remaining = schedule.schedule === 'linear' ? 1 - progress : 0.5 * (1 + Math.cos(Math.PI * progress));
  return learningRate * (finalRate + (1 - finalRate) * remaining);
}
