/** Rows of files whose shape is found by their fields: read, taken for something, counted, and told to people. */
import { existsSync } from 'node:fs';
import { DataError } from '../errors.ts';
import { countAndPlaces, type Tally } from '../tables/tally.ts';
import type { TextLimits } from './check-text.ts';
import type { Encoding } from './encodings.ts';
import { openFieldUse } from './field-use.ts';
import { listFiles, type SourceFile } from './files.ts';
import { type ImportReport, openReport, type ReportBuilder } from './import-report.ts';
import { openReader } from './open-reader.ts';
import { openSplits } from './row-split.ts';
import { type BadRow, isBad, RowProblem, type SourceRow, type SourceRows } from './source-row.ts';
import { splitOfWordAlone } from './split-names.ts';
import { listing } from './walk-folder.ts';

type Fields = Readonly<Record<string, unknown>>;

/** What is read, and how. */
export interface RowFiles {
  /** A file, a folder, a pattern or a save_to_disk folder. */
  readonly path: string;
  readonly encoding: Encoding;
  /** Largest share of the rows that may be unusable. */
  readonly badRows: number;
}

/** How rows are recognized and taken. */
export interface RowTaking<Taken, Content> {
  /** What most of the first rows of a file are; what is wrong, in words, where they are nothing known. */
  recognize(rows: readonly Fields[]): Taken | string;
  /** What would be recognized, for errors. */
  readonly known: readonly string[];
  /** Names of the fields that are read. */
  fieldsOf(taken: Taken): readonly string[];
  /** What a row holds. @throws RowProblem where it cannot be used */
  contentsOf(fields: Fields, taken: Taken, limits: TextLimits): readonly Content[];
  /** Whether values of the field "split" that are no known word are splits of their own. */
  readonly ownSplits: boolean;
}

/** How rows of one use are taken, and told of to people: those to learn from, prompts. */
export interface RowUse<Taken, Content> extends RowTaking<Taken, Content> {
  /** The section of the configuration that names the files, as "data". */
  readonly section: string;
  /** "prompt_completion (question, answer)". */
  named(taken: Taken): string;
  /** What to do about rows that cannot be used, as "Mend the rows, or name another data.shape.". */
  readonly remedy: string;
}

/** One thing that a row holds. Ids are "<file>-<row>", with the number of the content where a row has several. */
export interface RecognizedRow<Content> {
  readonly id: string;
  readonly split: string;
  /** "path:line" of its row. */
  readonly where: string;
  readonly content: Content;
}

/** All rows that can be used. */
export interface RecognizedRows<Taken, Content> {
  readonly rows: readonly RecognizedRow<Content>[];
  /** What each file was taken for; those without a whole row are not among them. */
  readonly taken: ReadonlyMap<string, Taken>;
  /** The path as it was asked for; of a pattern the files it matches. */
  readonly inputs: readonly string[];
  /** What it was taken for, what was left out, changed or not used. */
  readonly lines: readonly string[];
}

/** Rows of a file that are looked at before it is taken for something. */
const FIRST_ROWS = 20;
const FILES_NAMED = 5;
/** Longest text in characters, as the importer's own limit. */
const LONGEST_TEXT = 1_000_000;

/** The files of a path as a run records them: itself where it exists, else what the pattern matches. */
export function inputsOf(path: string): string[] {
  return existsSync(path) ? [path] : listFiles([{ path }]).files.map((file) => file.path);
}

/**
 * Reads all rows. Those that cannot be used are left out and counted, up to a share of them.
 *
 * @throws DataError where files are missing or empty; where one is nothing that is known; where more rows than `badRows`
 *   allows cannot be used, with reasons and first places
 */
export async function readRecognized<Taken, Content>(
  asked: RowFiles,
  use: RowUse<Taken, Content>,
): Promise<RecognizedRows<Taken, Content>> {
  const { report, more, ...read } = await takeRows(asked, use);
  checkUsable(asked, report, use);
  const lines = describe(`${use.section}  ${asked.path}: taken for ${whatFor(read.taken, use)}`, report, more);
  return { ...read, lines };
}

/** What was taken out of files, before anything is said of it. */
export interface TakenRows<Taken, Content> extends Omit<RecognizedRows<Taken, Content>, 'lines'> {
  readonly report: ImportReport;
  /** What a reader should know of the files, a line each. */
  readonly more: readonly string[];
}

/**
 * Takes all rows of a path; those that cannot be used are counted.
 *
 * @throws DataError where files are missing; where one is nothing that is known
 */
export async function takeRows<Taken, Content>(
  asked: Pick<RowFiles, 'path' | 'encoding'>,
  use: RowTaking<Taken, Content>,
): Promise<TakenRows<Taken, Content>> {
  const { files, notes } = listFiles([{ path: asked.path }], { byName: true });
  const splits = openSplits(files, { column: '$split' });
  const builder = openReport(false);
  const rows: RecognizedRow<Content>[] = [];
  const taken = new Map<string, Taken>();
  const problems: string[] = [];
  for (const file of files) {
    const splitOf = (fields: Fields): string =>
      (use.ownSplits ? ownSplit(fields.split) : undefined) ?? splits.of(file, fields);
    const found = await readFile(file, { asked, use, splitOf, builder, rows, notes });
    if (typeof found === 'string') problems.push(`${file.path}: ${found}.`);
    else if (found !== null) taken.set(file.path, found.taken);
  }
  builder.finish();
  if (problems.length > 0) {
    const more = problems.length > FILES_NAMED ? [`… and ${problems.length - FILES_NAMED} more files.`] : [];
    throw new DataError([...problems.slice(0, FILES_NAMED), ...more, ...use.known]);
  }
  const inputs = existsSync(asked.path) ? [asked.path] : files.map(({ path }) => path);
  return { rows, taken, inputs, report: builder.report, more: [...splits.notes(), ...notes] };
}

/** A split by a name of one's own; "valid" and its like are words that `openSplits` knows. */
function ownSplit(value: unknown): string | undefined {
  const name = typeof value === 'string' ? value.trim() : '';
  return name === '' || splitOfWordAlone(name) !== null ? undefined : name;
}

interface Reading<Taken, Content> {
  readonly asked: Pick<RowFiles, 'encoding'>;
  readonly use: RowTaking<Taken, Content>;
  readonly splitOf: (fields: Fields) => string;
  readonly builder: ReportBuilder;
  readonly rows: RecognizedRow<Content>[];
  readonly notes: string[];
}

/** Reads one file: what it was taken for, a problem in words, or null where it has no row that is whole. */
async function readFile<Taken, Content>(
  file: SourceFile,
  reading: Reading<Taken, Content>,
): Promise<{ readonly taken: Taken } | string | null> {
  const { asked, use, builder, notes } = reading;
  const options = { encoding: asked.encoding, delimiter: null, quote: null, header: true, maximumField: LONGEST_TEXT };
  const groups = openReader(file, options, (line) => notes.push(line));
  const first = await firstRows(groups);
  const fields = first.flatMap((item) => (isBad(item) ? [] : [item.fields]));
  const taken = fields.length === 0 ? null : use.recognize(fields.slice(0, FIRST_ROWS));
  if (typeof taken === 'string') return taken;
  const take = taken === null ? null : rowTaker(file, taken, reading);
  const count = (item: SourceRow | BadRow): void => {
    builder.report.rowsIn++;
    if (isBad(item)) builder.skip(item);
    else take?.(item);
  };
  first.forEach(count);
  for await (const group of groups) group.forEach(count);
  return taken === null ? null : { taken };
}

/** As many groups of rows as it takes to know what they are. */
async function firstRows(groups: SourceRows): Promise<(SourceRow | BadRow)[]> {
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
function rowTaker<Taken, Content>(
  file: SourceFile,
  taken: Taken,
  { use, splitOf, builder, rows }: Reading<Taken, Content>,
): (row: SourceRow) => void {
  const fieldUse = openFieldUse([...use.fieldsOf(taken), 'split'], []);
  const noted: { what: string; where: string }[] = [];
  const limits: TextLimits = { maximumField: LONGEST_TEXT, note: (what, where) => void noted.push({ what, where }) };
  return ({ where, row, fields }) => {
    noted.length = 0;
    try {
      const contents = use.contentsOf(fields, taken, limits);
      const split = splitOf(fields);
      contents.forEach((content, i) => {
        const id = `${file.name}-${row}${contents.length > 1 ? `-${i + 1}` : ''}`;
        rows.push({ id, split, where, content });
        builder.wrote(split);
      });
      for (const note of noted) builder.noted(note.what, `${where}: ${note.where}`);
      for (const { name, isVoid: isEmpty } of fieldUse.unused(fields)) builder.unused(name, isEmpty, where);
    } catch (error) {
      if (!(error instanceof RowProblem)) throw error;
      builder.skip({ where, reason: error.reason, problem: error.message });
    }
  };
}

/** Refuses files without a row, and with more rows that cannot be used than is allowed. */
function checkUsable(
  { path, badRows }: RowFiles,
  { rowsIn, rowsOut, skipped }: ImportReport,
  { section, remedy }: { readonly section: string; readonly remedy: string },
): void {
  const bad = Object.values(skipped).reduce((sum, { count }) => sum + count, 0);
  if (rowsOut > 0 && bad <= badRows * rowsIn) return;
  if (rowsIn === 0) throw new DataError(`${path}: holds no rows; expected at least one.`);
  const places = Object.values(skipped).flatMap(({ first }) => first);
  const limit = rowsOut === 0 ? 'and none is left' : `more than ${section}.badRows ${badRows} allows`;
  const reasons = Object.entries(skipped).map(([reason, { count }]) => `${reason} ${count}`);
  throw new DataError([
    `${path}: ${bad} of ${rowsIn} rows cannot be used, ${limit}: ${reasons.join(', ')}.`,
    ...places.map((place) => `  ${place}`),
    rowsOut === 0 ? `${remedy}.` : `${remedy}, or raise ${section}.badRows.`,
  ]);
}

/** "pairs (chosen, rejected)": what files were taken for; of several files with their paths. */
export function whatFor<Taken>(taken: ReadonlyMap<string, Taken>, { named }: { named(taken: Taken): string }): string {
  const byName = new Map<string, string[]>();
  for (const [path, one] of taken) byName.set(named(one), [...(byName.get(named(one)) ?? []), path]);
  if (taken.size === 1) return [...byName.keys()].join();
  return [...byName].map(([name, files]) => `${name} in ${listing(files)}`).join('; ');
}

/** What was read, in lines for people; only what there is to say. */
function describe(
  title: string,
  { rowsIn, rowsOut, splits, skipped, notes, unused }: ImportReport,
  more: readonly string[],
): string[] {
  const counts = Object.entries(splits).map(([split, count]) => `${split} ${count.toLocaleString('en-US')}`);
  const bad = Object.values(skipped).reduce((sum, { count }) => sum + count, 0);
  const whole = rowsIn - bad;
  const instances = rowsOut > whole ? `, of ${whole} with several instances` : '';
  const listed = (name: string, entries: Tally): string[] =>
    Object.keys(entries).length === 0 ? [] : [`  ${name}  ${tallyLine(entries)}`];
  const fields = Object.entries(unused).flatMap(([name, { count }]) =>
    count === 0 ? [] : [count === whole ? name : `${name} (${count} rows)`],
  );
  return [
    `${title}; ${counts.join(', ')} rows${instances}`,
    ...listed(`left out ${bad} of ${rowsIn} rows:`, skipped),
    ...listed('not as they stood:', notes),
    ...(fields.length === 0 ? [] : [`  fields not used:  ${fields.join(', ')}`]),
    ...more.map((line) => `  ${line}`),
  ];
}

/** "empty text 2 (a.jsonl:4, a.jsonl:9), not JSON 1 (a.jsonl:77)". */
function tallyLine(entries: Tally): string {
  return Object.entries(entries)
    .map(([name, found]) => `${name} ${countAndPlaces(found)}`)
    .join('; ');
}
