/** Means, deviations and comparisons of lists of numbers. */

/** Mean and standard deviation (divided by n − 1). */
export function meanAndDeviation(values: readonly number[]): { mean: number; deviation: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : 0 };
}

/** Fraction of pairs in which the first value is the larger; ties count half. */
export function winRate(first: readonly number[], second: readonly number[]): number {
  const wins = first.reduce((sum, value, i) => {
    const other = second[i] as number;
    return sum + (value > other ? 1 : value === other ? 0.5 : 0);
  }, 0);
  return wins / first.length;
}
