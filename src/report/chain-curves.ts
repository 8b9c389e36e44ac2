/** The metrics that stages of a chain declare as their curves, drawn. */
import { join } from 'node:path';
import type { Stage, StageConfig } from '../run/stage.ts';
import { readTable } from '../tables/arrow-file.ts';
import { float64, int32, nullable } from '../tables/columns.ts';
import { plotCurves } from './plot.ts';

/**
 * For each stage that has curves a line that says what they are, and their plots; a metric without values is left out.
 * @param folder run folder of the chain
 * @throws DataError where a stage's metrics.arrow is missing or lacks a column
 */
export function chainCurves(folder: string, stages: readonly Stage<StageConfig>[]): string[] {
  return stages.flatMap(({ name, curves = {} }) => {
    const metrics = Object.entries(curves);
    if (metrics.length === 0) return [];
    const path = join(folder, name, 'metrics.arrow');
    const columns = Object.fromEntries(metrics.map(([metric, title]) => [metric, nullable(float64(title))]));
    const { rows } = readTable(path, columns, `the ${name} stage`);
    const steps = readTable(path, { step: int32('Step.') }, `the ${name} stage`).rows;
    const drawn = plotCurves(
      metrics.map(([metric, title]) => ({
        title,
        points: rows.flatMap((row, i) => {
          const value = row[metric] ?? null;
          return value === null ? [] : [{ step: steps[i]?.step ?? 0, value }];
        }),
      })),
    );
    return drawn.length === 0 ? [] : [`Step by step of ${name}:`, ...drawn];
  });
}
