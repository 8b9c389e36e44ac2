/**
 * Imports a dataset: JSONL, JSON, CSV, TSV, Parquet, Arrow or a Hugging Face folder → the canonical Arrow table.
 *
 *   Reads   the files that `input` names
 *   Writes  `output`, whole or not at all, with provenance columns and the report in its metadata
 *   Run     node --import tsx scripts/import.ts configs/import/public/banking77.yaml
 */

import { hashText } from '../src/files/hash.ts';
import { makeAlone } from '../src/files/lock.ts';
import { importDataset } from '../src/import/import-dataset.ts';
import type { ImportReport } from '../src/import/import-report.ts';
import { formatTable } from '../src/report/table.ts';
import { readArguments, runMain } from '../src/run/program.ts';
import { stringifyConfig } from '../src/run/show-config.ts';
import type { Tally } from '../src/tables/tally.ts';
import { watchInterrupts } from '../src/terminal/interrupts.ts';
import { ImportConfig } from './import.config.ts';

/** Runs the import that a configuration describes. */
export function runImport(config: ImportConfig, interrupted?: () => boolean): Promise<ImportReport> {
  const { input, provenance, split } = config;
  const { path, files, explode, format, ...read } = input;
  const isUnset = split.name === undefined && split.column === undefined && split.fractions === undefined;
  const options = {
    files: files ?? [{ path: path ?? '' }],
    format,
    read: { ...read, maximumField: config.limits.field },
    explode,
    shape: config.shape,
    columns: config.columns,
    rules: { ...config.messages, ...config.ranked },
    split: isUnset ? { ...split, column: '$split' } : split,
    badRows: config.badRows,
    metadata: { ...provenance, config: hashText(stringifyConfig(config)) },
    output: config.output,
  };
  return importDataset(options, interrupted);
}

/** Hundreds of ranges are for the table's metadata. */
const shorten = (text: string): string =>
  text.length > 300 ? `${text.slice(0, 300)}… (all in the table's metadata)` : text;

/** The report as lines: rows in and out, splits, why rows were left out, and what of the others was not used. */
export function describeImport({
  rowsIn,
  rowsOut,
  splits,
  skipped,
  notes,
  unused,
  absent,
  source,
}: ImportReport): string[] {
  const count = Object.entries(splits).map(([split, rows]) => [`  ${split}`, rows]);
  const reasons = Object.entries(skipped).map(([reason, entry]) => [`skipped: ${reason}`, entry.count]);
  const lines = formatTable(['', 'rows'], [['in', rowsIn], ['out', rowsOut], ...count, ...reasons]);
  const places = Object.values(skipped).flatMap(({ first }) => first.map((place) => `  ${place}`));
  const lost = Object.entries(skipped).map(
    ([reason, { lines: rows = [] }]) => `  ${reason}: ${shorten(rows.join(', '))}`,
  );
  const listed = (title: string, entries: Readonly<Tally>): string[] => {
    const named = Object.entries(entries).map(([what, { count: times, first }]) => {
      const detail = times === 0 ? 'empty throughout' : `${times}, first at ${first[0]}`;
      return `  ${what}: ${detail}`;
    });
    return named.length === 0 ? [] : [title, ...named];
  };
  return [
    ...lines,
    ...(places.length === 0 ? [] : ['first of those skipped:', ...places, 'lines of those skipped:', ...lost]),
    ...listed('rows written, but not as they stood:', notes),
    ...listed('fields that no column uses:', unused),
    ...(absent.length === 0 ? [] : [`mapped fields that stand in no row: ${absent.join(', ')}`]),
    ...source,
  ];
}

await runMain(import.meta.url, async (argv) => {
  const usage = 'Imports a dataset into the canonical Arrow table.';
  const parsed = readArguments(ImportConfig, { argv, script: 'scripts/import.ts', usage });
  if (parsed.help !== undefined) return console.log(parsed.help);
  const watch = watchInterrupts(
    () => process.stderr.write('stopping; nothing will be written\n'),
    () => process.exit(130),
  );
  try {
    const { output } = parsed.config;
    const report = await makeAlone(output, { work: 'import', say: console.log }, () =>
      runImport(parsed.config, watch.interrupted),
    );
    for (const line of describeImport(report)) console.log(line);
    console.log(`wrote ${parsed.config.output}`);
  } finally {
    watch.stop();
  }
});
