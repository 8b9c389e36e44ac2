/** Rows to learn from, out of files of any shape that is recognized: conversations or texts, with a report for people. */
import { existsSync } from 'node:fs';
import { DataError } from '../errors.ts';
import type { Conversation } from '../message.ts';
import type { Tally } from '../tables/tally.ts';
import { checkText, type TextLimits } from './check-text.ts';
import { conversationsOf } from './conversation-rows.ts';
import type { Encoding } from './encodings.ts';
import { openFieldUse } from './field-use.ts';
import { listFiles, type SourceFile } from './files.ts';
import { type ImportReport, openReport, type ReportBuilder } from './import-report.ts';
import { openReader } from './open-reader.ts';
import {
  describeShapes,
  type LearnedShape,
  named,
  optionalParts,
  partNames,
  type Recognized,
  recognize,
} from './recognize.ts';
import { openSplits, type Splits } from './row-split.ts';
import { type BadRow, isBad, RowProblem, type SourceRow, type SourceRows, show } from './source-row.ts';
import { listing } from './walk-folder.ts';

/** What is read, and how. */
export interface TrainingFiles {
  /** A file, a folder, a pattern or a save_to_disk folder. */
  readonly path: string;
  readonly shape: LearnedShape | 'auto';
  readonly encoding: Encoding;
  /** Largest share of the rows that may be unusable. */
  readonly badRows: number;
}

/** One thing to learn. Ids are "<file>-<row>", with the number of the instance where a row has several. */
export interface TrainingRow {
  readonly id: string;
  readonly split: string;
  /** "path:line" of its row. */
  readonly where: string;
  /** A conversation, or a text of which everything is learned. */
  readonly content: Conversation | string;
}

/** What the files hold. */
export interface TrainingRows {
  readonly kind: 'conversation' | 'text';
  readonly rows: readonly TrainingRow[];
  /** The path as it was asked for; of a pattern the files it matches. */
  readonly inputs: readonly string[];
  /** What it was taken for, what was left out, changed or not used. */
  readonly lines: readonly string[];
}

/** Rows of a file that are looked at before it is taken for something. */
export const FIRST_ROWS = 20;
const FILES_NAMED = 5;
/** Longest text in characters, as the importer's own limit. */
export const LONGEST_TEXT = 1_000_000;

/**
 * Reads all rows. Those that cannot be used are left out and counted, up to a share of them.
 *
 * @throws DataError where files are missing or empty; where one cannot be taken for a shape, or some are texts and
 *   others conversations; where more rows than `badRows` allows cannot be used, with reasons and first places
 */
export async function readTrainingRows(asked: TrainingFiles): Promise<TrainingRows> {
  const { files, notes } = listFiles([{ path: asked.path }], { byName: true });
  const splits = openSplits(files, { column: '$split' });
  const builder = openReport(false);
  const rows: TrainingRow[] = [];
  const taken = new Map<string, string[]>();
  const kinds = new Map<TrainingRows['kind'], string>();
  const problems: string[] = [];
  for (const file of files) {
    const found = await readFile(file, { asked, splits, builder, rows, notes });
    if (typeof found === 'string') problems.push(found);
    else if (found !== null) {
      taken.set(named(found), [...(taken.get(named(found)) ?? []), file.path]);
      const kind = found.shape === 'text' ? 'text' : 'conversation';
      if (!kinds.has(kind)) kinds.set(kind, file.path);
    }
  }
  builder.finish();
  const { report } = builder;
  if (problems.length > 0) throw new DataError(unrecognized(problems, asked.shape));
  checkUsable(asked, report);
  const [[kind, first] = ['conversation', ''], other] = [...kinds];
  if (other !== undefined) {
    throw new DataError(
      `${asked.path}: ${first} holds ${kind}s and ${other[1]} ${other[0]}s; expected one of them. Name the files apart under data.file.`,
    );
  }
  const inputs = existsSync(asked.path) ? [asked.path] : files.map(({ path }) => path);
  const lines = describeRows(asked.path, taken, report, [...splits.notes(), ...notes]);
  return { kind: kind as TrainingRows['kind'], rows, inputs, lines };
}

/** The files that were not recognized, and once what would be. */
function unrecognized(problems: readonly string[], shape: TrainingFiles['shape']): string[] {
  const more = problems.length > FILES_NAMED ? [`… and ${problems.length - FILES_NAMED} more files.`] : [];
  return [...problems.slice(0, FILES_NAMED), ...more, ...describeShapes(shape)];
}

interface Reading {
  readonly asked: TrainingFiles;
  readonly splits: Splits;
  readonly builder: ReportBuilder;
  readonly rows: TrainingRow[];
  readonly notes: string[];
}

/** Reads one file: what it was taken for, a problem in words, or null where it has no row that is whole. */
async function readFile(file: SourceFile, reading: Reading): Promise<Recognized | string | null> {
  const { asked, builder, notes } = reading;
  const options = { encoding: asked.encoding, delimiter: null, quote: null, header: true, maximumField: LONGEST_TEXT };
  const groups = openReader(file, options, (line) => notes.push(line));
  const first = await firstRows(groups);
  const fields = first.flatMap((item) => (isBad(item) ? [] : [item.fields]));
  const recognized = fields.length === 0 ? null : recognize(fields.slice(0, FIRST_ROWS), asked.shape);
  if (typeof recognized === 'string') return `${file.path}: ${recognized}.`;
  const take = recognized === null ? null : rowTaker(file, recognized, reading);
  const count = (item: SourceRow | BadRow): void => {
    builder.report.rowsIn++;
    if (isBad(item)) builder.skip(item);
    else take?.(item);
  };
  first.forEach(count);
  for await (const group of groups) group.forEach(count);
  return recognized;
}

/** As many groups of rows as it takes to know what they are. */
export async function firstRows(groups: SourceRows): Promise<(SourceRow | BadRow)[]> {
  const first: (SourceRow | BadRow)[] = [];
  for (let whole = 0; whole < FIRST_ROWS; ) {
    const { done, value } = await groups.next();
    if (done === true) break;
    first.push(...value);
    whole += value.filter((item) => !isBad(item)).length;
  }
  return first;
}

/** The function that takes a row of a file: into `rows`, or among what is left out. */
function rowTaker(file: SourceFile, recognized: Recognized, reading: Reading): (row: SourceRow) => void {
  const { splits, builder, rows } = reading;
  const { shape, fields } = recognized;
  const optional = optionalParts[shape].flatMap((part) => partNames[part]);
  const use = openFieldUse([...Object.values(fields), ...optional, 'split'], []);
  const noted: { what: string; where: string }[] = [];
  const limits: TextLimits = { maximumField: LONGEST_TEXT, note: (what, where) => void noted.push({ what, where }) };
  return ({ where, row, fields: values }) => {
    noted.length = 0;
    try {
      const contents = contentsOf(values, recognized, limits);
      const split = splits.of(file, values);
      contents.forEach((content, i) => {
        const id = `${file.name}-${row}${contents.length > 1 ? `-${i + 1}` : ''}`;
        rows.push({ id, split, where, content });
        builder.wrote(split);
      });
      for (const note of noted) builder.noted(note.what, `${where}: ${note.where}`);
      for (const { name, isVoid: isEmpty } of use.unused(values)) builder.unused(name, isEmpty, where);
    } catch (error) {
      if (!(error instanceof RowProblem)) throw error;
      builder.skip({ where, reason: error.reason, problem: error.message });
    }
  };
}

function contentsOf(
  values: Readonly<Record<string, unknown>>,
  recognized: Recognized,
  limits: TextLimits,
): readonly (Conversation | string)[] {
  const { text } = recognized.fields;
  if (text === undefined) return conversationsOf(values, recognized, limits);
  if (values[text] !== undefined && values[text] !== null) return [checkText(text, values[text], limits)];
  throw new RowProblem('missing field', `"${text}": expected text, received ${show(values[text])}`);
}

/** Refuses files without a row, and with more rows that cannot be used than is allowed. */
function checkUsable({ path, badRows }: TrainingFiles, { rowsIn, rowsOut, skipped }: ImportReport): void {
  const bad = Object.values(skipped).reduce((sum, { count }) => sum + count, 0);
  if (rowsOut > 0 && bad <= badRows * rowsIn) return;
  if (rowsIn === 0) throw new DataError(`${path}: holds no rows; expected at least one.`);
  const places = Object.values(skipped).flatMap(({ first }) => first);
  const limit = rowsOut === 0 ? 'and none is left' : `more than data.badRows ${badRows} allows`;
  throw new DataError([
    `${path}: ${bad} of ${rowsIn} rows cannot be used, ${limit}: ${Object.entries(skipped)
      .map(([reason, { count }]) => `${reason} ${count}`)
      .join(', ')}.`,
    ...places.map((place) => `  ${place}`),
    rowsOut === 0
      ? 'Mend the rows, or name another data.shape.'
      : 'Mend the rows, name another data.shape, or raise data.badRows.',
  ]);
}

/** What was read, in lines for people; only what there is to say. */
function describeRows(
  path: string,
  taken: ReadonlyMap<string, readonly string[]>,
  { rowsIn, rowsOut, splits, skipped, notes, unused }: ImportReport,
  more: readonly string[],
): string[] {
  const what = [...taken].map(([name, files]) =>
    taken.size === 1 && files.length === 1 ? name : `${name} in ${listing(files)}`,
  );
  const counts = Object.entries(splits).map(([split, count]) => `${split} ${count.toLocaleString('en-US')}`);
  const bad = Object.values(skipped).reduce((sum, { count }) => sum + count, 0);
  const instances = rowsOut > rowsIn - bad ? `, of ${rowsIn - bad} with several instances` : '';
  const listed = (title: string, entries: Tally): string[] =>
    Object.keys(entries).length === 0 ? [] : [`  ${title}  ${tallyLine(entries)}`];
  const whole = rowsIn - bad;
  const fields = Object.entries(unused).flatMap(([name, { count }]) =>
    count === 0 ? [] : [count === whole ? name : `${name} (${count} rows)`],
  );
  return [
    `data  ${path}: taken for ${what.join('; ')}; ${counts.join(', ')} rows${instances}`,
    ...listed(`left out ${bad} of ${rowsIn} rows:`, skipped),
    ...listed('not as they stood:', notes),
    ...(fields.length === 0 ? [] : [`  fields not used:  ${fields.join(', ')}`]),
    ...more.map((line) => `  ${line}`),
  ];
}

/** "empty text 2 (a.jsonl:4, a.jsonl:9), not JSON 1 (a.jsonl:77)". */
function tallyLine(entries: Tally): string {
  return Object.entries(entries)
    .map(
      ([name, { count, first }]) => `${name} ${count} (${first.map((place) => place.replace(/: .*/s, '')).join(', ')})`,
    )
    .join('; ');
}
