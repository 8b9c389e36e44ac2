/** Imports a dataset: reads the files of a source, maps their rows to columns, and writes the canonical table. */

import { relative } from 'node:path';
import { DataError } from '../errors.ts';
import { openTableWriter, type TableWriter } from '../tables/arrow-writer.ts';
import { int32, utf8 } from '../tables/columns.ts';
import { openJsonLinesWriter } from '../tables/jsonl.ts';
import { checkText } from './check-text.ts';
import { chooseSplit, type SplitRule, splitsAreFound } from './choose-split.ts';
import { type ColumnSpec, type Convert, columnConverter, pickField } from './column-value.ts';
import { type FieldUse, openFieldUse } from './field-use.ts';
import type { Format } from './file-kind.ts';
import { listFiles, type SourceFile } from './files.ts';
import { idSet } from './id-set.ts';
import { type ImportReport, openReport } from './import-report.ts';
import { openReader, type ReadOptions } from './open-reader.ts';
import { openSplits, type Splits } from './row-split.ts';
import type { ShapeName } from './shape-columns.ts';
import { openShape, type Shape, type ShapeRules } from './shapes.ts';
import { type BadRow, fieldsOf, isBad, isVoid, type Note, RowProblem, type SourceRow, show } from './source-row.ts';
import { listing } from './walk-folder.ts';

/** What is imported, and how. */
export interface ImportOptions {
  files: readonly { path: string; split?: string | undefined }[];
  format: Format;
  read: ReadOptions;
  /** Field that holds a list: each of its entries becomes a row, with the fields around it. */
  explode: string | null;
  shape: ShapeName;
  columns: Readonly<Record<string, ColumnSpec>>;
  rules: Omit<ShapeRules, 'maximumField' | 'note'>;
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
  const byName = splitsAreFound(options.split);
  const { files, notes: listed } = listFiles(options.files, { format: options.format, byName });
  const splits = openSplits(files, options.split);
  const notes: Noted[] = [];
  const note: Note = (what, where) => void notes.push({ what, where });
  const rules: ShapeRules = { ...options.rules, maximumField: options.read.maximumField, note };
  const shape = openShape(options.shape, options.columns, rules);
  const columns = { ...idColumns, ...shape.columns, ...provenanceColumns };
  const builder = openReport(options.badRows === 'fatal');
  const use = fieldUse(options, shape);
  const toRows = rowMaker(options, shape, rules, splits);
  const metadata = { ...options.metadata, shape: options.shape };
  const empty: string[] = [];
  const table: TableWriter<Values> = options.output.endsWith('.jsonl')
    ? await openJsonLinesWriter(options.output)
    : await openTableWriter(options.output, columns, metadata);
  try {
    for (const file of files) {
      const before = builder.report.rowsIn;
      for await (const group of openReader(file, options.read, (line) => listed.push(line))) {
        for (const item of group) {
          notes.length = 0;
          const result = isBad(item) ? item : toRows(file, item);
          builder.report.rowsIn++;
          if ('reason' in result) builder.skip(result);
          else {
            for (const row of result.rows) {
              table.append(row);
              builder.wrote(String(row.split));
            }
            for (const { what, where } of notes) builder.noted(what, `${item.where}: ${where}`);
            for (const { name, isVoid } of result.parts.flatMap(use.unused)) builder.unused(name, isVoid, item.where);
          }
        }
        if (interrupted()) throw new DataError(`${options.output}: interrupted; nothing was written. Run it again.`);
      }
      if (builder.report.rowsIn === before) empty.push(file.path);
    }
    listed.push(...unusedSettings(files, options.read));
    if (empty.length > 0) listed.push(`without any row: ${listing(empty)}.`);
    builder.report.source.push(...splits.notes(), ...listed);
    builder.finish();
    if (builder.report.rowsOut === 0) throw new DataError(nothingLeft(options, builder.report));
    builder.report.absent = use.absent();
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

function nothingLeft({ files }: ImportOptions, { rowsIn, skipped, source }: ImportReport): string[] {
  const paths = files.map(({ path }) => path).join(', ');
  const first = Object.values(skipped).flatMap((reason) => reason.first.slice(0, 1));
  return [
    `${paths}: no rows are left; expected at least one, received ${rowsIn} of which none is good.`,
    ...first,
    ...source,
  ];
}

/** A line about settings of `input` that are set and that no file has a use for. */
function unusedSettings(files: readonly SourceFile[], { encoding, delimiter, quote, header }: ReadOptions): string[] {
  const isText = files.some(({ format }) => format !== 'parquet' && format !== 'arrow');
  const isTable = files.some(({ format }) => format === 'csv' || format === 'tsv');
  const unused = [
    ...(encoding !== 'utf-8' && !isText ? ['input.encoding'] : []),
    ...(delimiter !== null && !isTable ? ['input.delimiter'] : []),
    ...(quote !== null && !isTable ? ['input.quote'] : []),
    ...(!header && !isTable ? ['input.header'] : []),
  ];
  return unused.length === 0 ? [] : [`no file has a use for ${unused.join(', ')}.`];
}

/** Told by `Note` while a row is made. */
interface Noted {
  what: string;
  where: string;
}

/** Watches for fields that neither columns nor splits are made of. */
function fieldUse({ columns, explode, split }: ImportOptions, shape: Shape): FieldUse {
  const from = (specs: Readonly<Record<string, ColumnSpec>>): string[] =>
    Object.values(specs).flatMap((spec) => {
      const field = typeof spec === 'object' ? spec.from : spec;
      return field === undefined ? [] : [String(field)];
    });
  const keys = [split.column, ...(split.by ?? [])].filter((name) => name !== undefined && !(name in shape.columns));
  // Where splits are looked for in the source, a field "split" is one place.
  const found = splitsAreFound(split) ? ['split'] : [];
  const read = [...from(shape.sources), ...keys.map(String), ...found, ...(explode === null ? [] : [explode])];
  return openFieldUse(read, from(columns));
}

/** The rows of the table, and the fields that each was made of. */
type Made = { rows: readonly Values[]; parts: readonly Values[] };

/** The function that makes the rows of the table from one row of a source. */
function rowMaker(
  options: ImportOptions,
  shape: Shape,
  rules: ShapeRules,
  splits: Splits,
): (file: SourceFile, row: SourceRow) => Made | BadRow {
  const converters = Object.entries(shape.sources).map(([name, spec]): [string, Convert] => {
    return [name, columnConverter(name, spec)];
  });
  const seen = idSet();
  const make = (file: SourceFile, source: SourceRow): Made => {
    const { row } = source;
    const fields = { ...source.fields, $file: file.name, $split: splits.of(file, source.fields) };
    const parts = explodeFields(fields, options.explode, rules.note);
    const rows = parts.flatMap((part, i): Values[] => {
      const values = Object.fromEntries(converters.map(([name, convert]) => [name, convert(part)]));
      const made = shape.rows(values);
      const split = chooseSplit(options.split, made[0] ?? {}, part);
      return made.map((one, k) => {
        const id = values.id === undefined ? `${file.name}-${row}` : checkText('id', values.id, rules);
        const suffix = `${parts.length > 1 ? `-${i + 1}` : ''}${made.length > 1 ? `-${k + 1}` : ''}`;
        return { id: id + suffix, split, ...one, source: relative('.', file.path), source_row: row };
      });
    });
    for (const { id } of rows) {
      if (!seen.add(String(id))) throw new RowProblem('doubled id', `id "${id}" stands twice; expected it once`);
    }
    return { rows, parts };
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

function explodeFields(fields: Values, explode: string | null, note: Note): readonly Values[] {
  if (explode === null) return [fields];
  const entries = pickField(fields, explode);
  if (!Array.isArray(entries) || entries.length === 0) {
    throw new RowProblem('wrong type', `"${explode}": expected a list with entries, received ${show(entries)}`);
  }
  return entries.map((entry: unknown, i) => {
    const own = fieldsOf(entry) ?? { [explode]: entry };
    for (const name of Object.keys(own)) {
      if (name === explode || !Object.hasOwn(fields, name) || isVoid(fields[name])) continue;
      note(`field "${name}" of the row, which the entries of "${explode}" have too, not used`, `${explode}[${i}]`);
    }
    return { ...fields, ...own };
  });
}
