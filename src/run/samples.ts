/** The sample table of a run: prompts and what the model answered, with scores; the first thing a person looks at. */

import { type Column, type Columns, int32, type Row } from '../tables/columns.ts';
import { openRowLog, type RowLog, type RowLogOptions } from './row-log.ts';

/** The columns of a sample table: those a stage declares, after "step". */
export type SampleColumns<C extends Columns> = { step: Column<number> } & C;

/** A stage's columns after "step". */
export function sampleColumns<C extends Columns>(columns: C): SampleColumns<C> {
  return { step: int32('Training step at which the sample was drawn.'), ...columns };
}

/**
 * Opens `samples.arrow` with a stage's columns, e.g. `{ prompt: utf8('…'), response: utf8('…'), score: float32('…') }`.
 * @throws DataError where the file to continue is damaged or has other columns
 */
export function openSamples<C extends Columns>(
  path: string,
  columns: C,
  options: RowLogOptions = {},
): RowLog<Row<SampleColumns<C>>> {
  return openRowLog<SampleColumns<C>>(path, sampleColumns(columns), options);
}
