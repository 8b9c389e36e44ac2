/** Bootstrap confidence intervals of means over tasks. */
import type { Random } from '../random.ts';

/** Values that stand or fall together: one row asked with several templates. */
export type Group = readonly number[];

/** What is averaged: the groups of one task. The statistic is the mean over tasks of the mean over a task's values. */
export type Stratum = readonly Group[];

/** A mean and the percentile interval around it. */
export interface Interval {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

/**
 * Percentile bootstrap (Efron 1979): groups are drawn with replacement within each task, so that tasks keep their weight
 * and the templates of a row stay together.
 *
 * @param level e.g. 0.95
 */
export function bootstrapInterval(
  strata: readonly Stratum[],
  { samples, level, random }: { samples: number; level: number; random: Random },
): Interval {
  const filled = strata.filter((groups) => groups.length > 0);
  const mean = average(filled.map((groups) => groupMean(groups)));
  const sums = filled.map((groups) => groups.map((values) => [total(values), values.length] as const));
  const means = Array.from({ length: samples }, () => {
    return average(
      sums.map((groups) => {
        let sum = 0;
        let count = 0;
        for (let i = 0; i < groups.length; i++) {
          const [value, size] = groups[random.integer(groups.length)] ?? [0, 0];
          sum += value;
          count += size;
        }
        return sum / count;
      }),
    );
  }).sort((a, b) => a - b);
  const tail = (1 - level) / 2;
  return { mean, low: quantile(means, tail), high: quantile(means, 1 - tail) };
}

/** Linear interpolation between order statistics, as numpy's default. */
function quantile(sorted: readonly number[], share: number): number {
  const at = share * (sorted.length - 1);
  const low = sorted[Math.floor(at)] ?? Number.NaN;
  const high = sorted[Math.ceil(at)] ?? Number.NaN;
  return low + (high - low) * (at - Math.floor(at));
}

function groupMean(groups: Stratum): number {
  return total(groups.map(total)) / total(groups.map((values) => values.length));
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

function average(values: readonly number[]): number {
  return total(values) / values.length;
}
