/** Imports a dataset: reads the files of a source, maps their rows to columns, and writes the canonical table. */

import { relative } from 'node:path';
import { openTableWriter, type TableWriter } from '../data/arrow-writer.ts';
import { int32, utf8 } from '../data/columns.ts';
import { openJsonLinesWriter } from '../data/jsonl.ts';
import { DataError } from '../errors.ts';
import { checkText } from './check-text.ts';
import { chooseSplit, type SplitRule } from './choose-split.ts';
import { type ColumnSpec, type Convert, columnConverter, pickField } from './column-value.ts';
import { listFiles, type SourceFile } from './files.ts';
import { idSet } from './id-set.ts';
import { type ImportReport, openReport } from './import-report.ts';
import { openReader, type ReadOptions } from './open-reader.ts';
import { openShape, type Shape, type ShapeName, type ShapeRules } from './shapes.ts';
import { type BadRow, fieldsOf, isBad, RowProblem, type SourceRow, show } from './source-row.ts';

/** What is imported, and how. */
export interface ImportOptions {
  files: readonly { path: string; split?: string | undefined }[];
  read: ReadOptions;
  /** Field that holds a list: each of its entries becomes a row, with the fields around it. */
  explode: string | null;
  shape: ShapeName;
  columns: Readonly<Record<string, ColumnSpec>>;
  rules: Omit<ShapeRules, 'maximumField'>;
  split: SplitRule;
  badRows: 'fatal' | 'skip';
  /** Facts for the table's metadata: source, licence, hash of the configuration. */
  metadata: Readonly<Record<string, string>>;
  /** Ends in .arrow or .jsonl. */
  output: string;
}

type Values = Readonly<Record<string, unknown>>;

/**
 * Runs an import. The output appears whole or not at all. Ids are "<file>-<row>" unless a column `id` is mapped.
 *
 *   const report = await importDataset({ files: [{ path: 'a.csv' }], shape: 'task', columns: { text: 0 }, … });
 *
 * @param interrupted asked between groups of rows; where true the import stops and leaves nothing behind
 * @throws DataError where files are missing; where bad rows are fatal, naming the first twenty; or where no row is left
 */
export async function importDataset(
  options: ImportOptions,
  interrupted: () => boolean = () => false,
): Promise<ImportReport> {
  const files = listFiles(options.files);
  const rules: ShapeRules = { ...options.rules, maximumField: options.read.maximumField };
  const shape = openShape(options.shape, options.columns, rules);
  const columns = { ...idColumns, ...shape.columns, ...provenanceColumns };
  const builder = openReport(options.badRows === 'fatal');
  const toRows = rowMaker(options, shape, rules);
  const metadata = { ...options.metadata, shape: options.shape };
  const table: TableWriter<Values> = options.output.endsWith('.jsonl')
    ? await openJsonLinesWriter(options.output)
    : await openTableWriter(options.output, columns, metadata);
  try {
    for (const file of files) {
      for await (const group of openReader(file, options.read)) {
        for (const item of group) {
          const result = isBad(item) ? item : toRows(file, item);
          builder.report.rowsIn++;
          if ('reason' in result) builder.skip(result);
          else {
            for (const row of result.rows) table.append(row);
            builder.wrote(result.split, result.rows.length);
          }
        }
        if (interrupted()) throw new DataError(`${options.output}: interrupted; nothing was written. Run it again.`);
      }
    }
    builder.finish();
    if (builder.report.rowsOut === 0) throw new DataError(nothingLeft(options, builder.report));
    await table.close({ report: JSON.stringify(builder.report) });
  } finally {
    table.discard();
  }
  return builder.report;
}

const idColumns = { id: utf8('Id of the row, unique in this table.'), split: utf8('Split of the row.') };
const provenanceColumns = {
  source: utf8('File of the source.'),
  source_row: int32('Line or number of the row in that file, from 1 on.'),
};

function nothingLeft({ files }: ImportOptions, { rowsIn, skipped }: ImportReport): string[] {
  const paths = files.map(({ path }) => path).join(', ');
  const first = Object.values(skipped).flatMap((reason) => reason.first.slice(0, 1));
  return [`${paths}: no rows are left; expected at least one, received ${rowsIn} of which none is good.`, ...first];
}

type Made = { rows: readonly Values[]; split: string };

/** The function that makes the rows of the table from one row of a source. */
function rowMaker(
  options: ImportOptions,
  shape: Shape,
  rules: ShapeRules,
): (file: SourceFile, row: SourceRow) => Made | BadRow {
  const converters = Object.entries(shape.sources).map(([name, spec]): [string, Convert] => {
    return [name, columnConverter(name, spec)];
  });
  const seen = idSet();
  const make = (file: SourceFile, source: SourceRow): Made => {
    const { row } = source;
    const fields = { ...source.fields, $file: file.name, $split: file.split ?? 'train' };
    const parts = explodeFields(fields, options.explode);
    let split = '';
    const rows = parts.flatMap((part, i): Values[] => {
      const values = Object.fromEntries(converters.map(([name, convert]) => [name, convert(part)]));
      const made = shape.rows(values);
      split = chooseSplit(options.split, made[0] ?? {}, part);
      return made.map((one, k) => {
        const id = values.id === undefined ? `${file.name}-${row}` : checkText('id', values.id, rules);
        const suffix = `${parts.length > 1 ? `-${i + 1}` : ''}${made.length > 1 ? `-${k + 1}` : ''}`;
        return { id: id + suffix, split, ...one, source: relative('.', file.path), source_row: row };
      });
    });
    for (const { id } of rows) {
      if (!seen.add(String(id))) throw new RowProblem('doubled id', `id "${id}" stands twice; expected it once`);
    }
    return { rows, split };
  };
  return (file, source) => {
    try {
      return make(file, source);
    } catch (error) {
      if (!(error instanceof RowProblem)) throw error;
      return { where: source.where, reason: error.reason, problem: error.message };
    }
  };
}

function explodeFields(fields: Values, explode: string | null): readonly Values[] {
  if (explode === null) return [fields];
  const entries = pickField(fields, explode);
  if (!Array.isArray(entries) || entries.length === 0) {
    throw new RowProblem('wrong type', `"${explode}": expected a list with entries, received ${show(entries)}`);
  }
  return entries.map((entry: unknown) => ({ ...fields, ...(fieldsOf(entry) ?? { [explode]: entry }) }));
}
