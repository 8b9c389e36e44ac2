/** The metric series of a run: a stage declares names with formulas once, and that record types, describes and documents them. */

import { InvariantError } from '../errors.ts';
import { type Column, float64, int32, nullable } from '../tables/columns.ts';
import { openRowLog, type RowLogOptions } from './row-log.ts';

/** Metric name → one sentence with the formula. Names are grouped with a slash: "loss/policy". */
export type MetricDescriptions = Readonly<Record<string, string>>;

/** One row: the step, and whichever metrics were measured at it. */
export type MetricRow<D extends MetricDescriptions> = { readonly step: number } & {
  readonly [Name in keyof D]?: number | null | undefined;
};

/** The open `metrics.arrow` of a run. */
export interface Metrics<D extends MetricDescriptions> {
  /** Adds one row; a metric that is left out is null in the file. Await it: it saves every few seconds. */
  add(row: MetricRow<D>): Promise<void>;
  /** Saves all rows now. */
  flush(): Promise<void>;
}

const STEP = 'Steps done when the row was written: updates of the parameters, or, in PPO, rollouts with their updates.';

/**
 * Opens `metrics.arrow`: column "step" and one nullable float64 column for each metric.
 * @throws DataError where the file to continue is damaged or has other columns
 */
export function openMetrics<const D extends MetricDescriptions>(
  path: string,
  descriptions: D,
  options: RowLogOptions = {},
): Metrics<D> {
  const names = Object.keys(descriptions);
  const metricColumns = names.map((name): [string, Column<number | null>] => [
    name,
    nullable(float64(descriptions[name] ?? '')),
  ]);
  const columns: Record<string, Column<number | null>> = { step: int32(STEP), ...Object.fromEntries(metricColumns) };
  const log = openRowLog(path, columns, options);
  return {
    add: async (row) => {
      const values: Readonly<Record<string, number | null | undefined>> = row;
      const undeclared = Object.keys(values).find((name) => !Object.hasOwn(columns, name));
      if (undeclared !== undefined) {
        throw new InvariantError(
          `${path}: metric "${undeclared}" is not declared; expected one of ${names.join(', ')}.`,
        );
      }
      await log.add({ step: row.step, ...Object.fromEntries(names.map((name) => [name, values[name] ?? null])) });
    },
    flush: log.flush,
  };
}

/** The glossary of a stage's metrics as Markdown table lines, for stages/README.md. */
export function metricGlossary(descriptions: MetricDescriptions): string[] {
  const rows = Object.entries({ step: STEP, ...descriptions }).map(
    ([name, text]) => `| \`${name}\` | ${text.replaceAll('|', '\\|')} |`,
  );
  return ['| metric | meaning |', '|---|---|', ...rows];
}
