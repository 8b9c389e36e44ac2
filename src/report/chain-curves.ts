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
    const series = metrics.map(([metric, title]) => [metric, nullable(float64(title))] as const);
    const columns = Object.fromEntries([['step', nullable(int32('Step.'))] as const, ...series]);
    const { rows } = readTable(path, columns, `the ${name} stage`);
    const drawn = plotCurves(
      metrics.map(([metric, title]) => ({
        title,
        points: rows.flatMap(({ step, [metric]: value }) => {
          return typeof step === 'number' && typeof value === 'number' ? [{ step, value }] : [];
        }),
      })),
    );
    return drawn.length === 0 ? [] : [`Step by step of ${name}:`, ...drawn];
  });
}
