/** Learning-rate schedules. */

/** Linear warm-up to the peak, then the named decay towards `finalRate` of the peak. */
export interface Schedule {
  readonly learningRate: number;
  readonly schedule: 'constant' | 'linear' | 'cosine';
  /** Steps below the peak at the beginning; the step after them is at the peak. */
  readonly warmupSteps: number;
  /** Fraction of the peak that the decay would reach one step after the last. */
  readonly finalRate: number;
}

/**
 * The rate of update `step` (0-based) of `totalSteps`. From the end of the warm-up on as transformers'
 * get_linear/cosine_schedule_with_warmup (transformers/optimization.py), with a floor; it never reaches that floor within
 * the run. The warm-up rises in equal steps from peak / (warmupSteps + 1), where transformers begins at 0 and its first
 * update changes nothing.
 */
export function learningRateAt(schedule: Schedule, step: number, totalSteps: number): number {
  const { learningRate, finalRate } = schedule;
  const warmup = fittedWarmup(schedule, totalSteps);
  if (step < warmup) return (learningRate * (step + 1)) / (warmup + 1);
  if (schedule.schedule === 'constant') return learningRate;
  const progress = Math.min(1, (step - warmup) / Math.max(1, totalSteps - warmup));
  const remaining = schedule.schedule === 'linear' ? 1 - progress : 0.5 * (1 + Math.cos(Math.PI * progress));
  return learningRate * (finalRate + (1 - finalRate) * remaining);
}

/** Whether some step of the run is at the peak. */
function warmupFits({ warmupSteps }: Schedule, totalSteps: number): boolean {
  return warmupSteps < totalSteps;
}

/** The warm-up as asked where the run is longer than it, else a tenth of the run. */
function fittedWarmup(schedule: Schedule, totalSteps: number): number {
  return warmupFits(schedule, totalSteps) ? schedule.warmupSteps : Math.floor(totalSteps / 10);
}

/**
 * A line for people on every warm-up that is shortened because the run ends before it would.
 * @param schedules by section of the configuration, as { optimizer: … }
 */
export function shortenedWarmups(schedules: Readonly<Record<string, Schedule>>, totalSteps: number): string[] {
  return Object.entries(schedules).flatMap(([section, schedule]) => {
    if (warmupFits(schedule, totalSteps)) return [];
    const run = totalSteps === 1 ? '1 step' : `${totalSteps} steps`;
    return [
      `${section}.warmupSteps ${schedule.warmupSteps}: the run has ${run} and would end before its peak rate; ` +
        `shortened to ${fittedWarmup(schedule, totalSteps)}, a tenth of the run. Set it below ${totalSteps} to choose.`,
    ];
  });
}
