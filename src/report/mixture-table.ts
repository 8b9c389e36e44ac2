/** The realised mixture as a table for the terminal. */
import type { MixtureRow } from '../examples/render-mixture.ts';
import { formatTable } from './table.ts';

/** A line for each part and task, and one for what is held out. */
export function mixtureLines(mixture: readonly MixtureRow[]): string[] {
  const trained = mixture.filter((row) => row.trained);
  const heldOut = mixture.filter((row) => !row.trained);
  const table = formatTable(
    ['part', 'task', 'cluster', 'rows', 'declared', 'realised', 'examples', 'tokens', 'cut', 'dropped'],
    trained.map((row) => [
      row.part,
      row.task,
      row.cluster,
      String(row.rows),
      percent(row.declared_rate),
      percent(row.realised_rate),
      String(row.examples),
      String(row.tokens),
      String(row.truncated),
      String(row.dropped),
    ]),
  );
  const lost = trained.reduce((sum, row) => sum + row.lost_shots, 0);
  const notes = lost > 0 ? [`  ${lost} solved examples did not fit in front of their questions`] : [];
  return [...table, ...notes, ...heldOut.map((row) => `  held out: ${row.task} (${row.held_out})`)];
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
