/** Compares a finished run folder with what its stage declares. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Stage, StageConfig } from '../../src/run/stage.ts';
import { arrowColumns, namesIn } from './tiny-runs.ts';

/** What is not as declared: files too many or missing, tables with other columns. */
export function notAsDeclared({ outputs, metrics }: Stage<StageConfig>, folder: string): string[] {
  const ofTraining = metrics === undefined ? [] : ['checkpoints', 'metrics.arrow'];
  const declared = Object.values(outputs);
  const names = [...ofTraining, 'config.yaml', 'manifest.json', ...declared.map(({ path }) => path)];
  const isThere = (path: string): boolean => existsSync(join(folder, path));
  const tables = declared.flatMap(({ path, columns, moreColumns }) => {
    if (!isThere(path) || (columns === undefined && !path.endsWith('.arrow'))) return [];
    const [expected, found] = [Object.keys(columns ?? {}).join(), namesOf(join(folder, path))];
    const isAsDeclared = moreColumns === undefined ? expected === found : found.startsWith(`${expected},`);
    return isAsDeclared ? [] : [`${path}: declares ${expected}, has ${found}`];
  });
  return [
    ...namesIn(folder).flatMap((name) => (names.includes(name) ? [] : [`${name}: not declared`])),
    ...declared.flatMap(({ path, written }) => (written === undefined && !isThere(path) ? [`${path}: missing`] : [])),
    ...tables,
  ];
}

function namesOf(table: string): string {
  return arrowColumns(table)
    .map((column) => column.slice(0, column.lastIndexOf(': ')))
    .join();
}
