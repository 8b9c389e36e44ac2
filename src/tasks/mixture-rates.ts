/** How large a share of a mixture each task gets. */
import { DataError } from '../errors.ts';

/** How shares come about: examples-proportional as in T5 and FLAN, or written down. */
export type RateRule = (ProportionalRates | WrittenRates) & {
  /** Largest share of one task; null for no limit. What is cut off goes to the other tasks. */
  readonly maximumRate: number | null;
};

interface ProportionalRates {
  readonly rule: 'proportional';
  /** Rows of a task that count towards its rate; larger tasks are not mixed in more often. */
  readonly cap: number;
  /** 1: in proportion to the capped rows; larger: flatter. */
  readonly temperature: number;
}

interface WrittenRates {
  readonly rule: 'weights';
  /** Shares by task; they need not add up to 1. */
  readonly weights: Readonly<Record<string, number>>;
}

/** A task and its rows. */
export interface Counted {
  readonly name: string;
  readonly count: number;
}

/**
 * Rates that add up to 1: rate_m ∝ min(count_m, cap)^(1 / temperature), or ∝ weight_m, no rate above `maximumRate`.
 * Raffel et al. 2020, arXiv:1910.10683, section 3.5.2; google/seqio `mixing_rate_num_examples`; FLAN: cap 3,000.
 *
 * counts [10, 100, 1000], cap 100, temperature 1  ->  [10/210, 100/210, 100/210]
 *
 * @param where names the mixture in errors
 * @throws DataError for tasks without rows or without a weight, weights that are all 0, and a maximum rate too low for the
 *   number of tasks
 */
export function mixtureRates(tasks: readonly Counted[], rule: RateRule, where = 'mixture'): number[] {
  const problems = [
    ...countProblems(tasks, where),
    ...(rule.rule === 'weights' ? weightProblems(tasks, rule.weights, where) : []),
  ];
  const { maximumRate } = rule;
  if (maximumRate !== null && maximumRate * tasks.length < 1 - 1e-9) {
    problems.push(
      `${where}: maximumRate: ${tasks.length} tasks of at most ${maximumRate} do not add up to 1; ` +
        `expected at least ${(1 / tasks.length).toFixed(3)}. Raise it.`,
    );
  }
  if (problems.length > 0) throw new DataError(problems);
  const sizes = tasks.map(({ name, count }) =>
    rule.rule === 'weights' ? (rule.weights[name] ?? 0) : Math.min(count, rule.cap) ** (1 / rule.temperature),
  );
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const rates = sizes.map((size) => size / total);
  return maximumRate === null ? rates : limitRates(rates, maximumRate);
}

/** Sets rates above the limit to it and gives the rest to the others in proportion, until none is above. */
function limitRates(rates: readonly number[], limit: number): number[] {
  let limited = [...rates];
  const isFull = rates.map(() => false);
  for (;;) {
    const over = limited.flatMap((rate, i) => (!isFull[i] && rate > limit ? [i] : []));
    if (over.length === 0) return limited;
    for (const i of over) isFull[i] = true;
    const left = 1 - limit * isFull.filter(Boolean).length;
    const free = limited.reduce((sum, rate, i) => sum + (isFull[i] ? 0 : rate), 0);
    limited = limited.map((rate, i) => (isFull[i] ? limit : free === 0 ? 0 : (rate * left) / free));
  }
}

function countProblems(tasks: readonly Counted[], where: string): string[] {
  return tasks
    .filter(({ count }) => !Number.isInteger(count) || count < 1)
    .map(({ name, count }) => `${where}: ${name}: expected at least one row, received ${count}. Leave the task out.`);
}

function weightProblems(tasks: readonly Counted[], weights: Readonly<Record<string, number>>, where: string): string[] {
  const names = tasks.map(({ name }) => name);
  const given = Object.keys(weights).join(', ');
  const problems = names
    .filter((name) => weights[name] === undefined)
    .map((name) => `${where}: weights: no weight for ${name}; received weights for ${given || 'nothing'}. Add it.`);
  if (problems.length === 0 && !names.some((name) => (weights[name] ?? 0) > 0)) {
    problems.push(`${where}: weights: all weights of ${names.join(', ')} are 0; expected one above 0. Raise one.`);
  }
  return problems;
}

/**
 * Whole numbers in proportion to rates that add up to `total`: each is its share rounded up or down
 * (largest remainders are rounded up; ties to the earlier).
 */
export function apportion(rates: readonly number[], total: number): number[] {
  const shares = rates.map((rate) => rate * total);
  const whole = shares.map(Math.floor);
  const left = total - whole.reduce((sum, count) => sum + count, 0);
  const order = shares
    .map((share, i) => ({ i, rest: share - Math.floor(share) }))
    .sort((a, b) => b.rest - a.rest || a.i - b.i);
  for (const { i } of order.slice(0, left)) whole[i] = (whole[i] ?? 0) + 1;
  return whole;
}
