/** Preference pairs out of files of any shape that is recognized, with a report for people. */
import { DataError } from '../errors.ts';
import type { Message } from '../message.ts';
import { countAt, describeTally, type Tally, tallyEntry } from '../tables/tally.ts';
import { checkText, type TextLimits } from './check-text.ts';
import { openFieldUse } from './field-use.ts';
import { listFiles, type SourceFile } from './files.ts';
import { type ImportReport, openReport, type ReportBuilder } from './import-report.ts';
import { type Judged, judgedOf, type ScoredAnswer } from './judged-answers.ts';
import { openReader } from './open-reader.ts';
import { namedPairs, type RecognizedPairs, recognizePairs } from './recognize-pairs.ts';
import { FIRST_ROWS, firstRows, LONGEST_TEXT } from './recognized-rows.ts';
import { openSplits, type Splits } from './row-split.ts';
import { type BadRow, isBad, RowProblem, type SourceRow } from './source-row.ts';
import { listing } from './walk-folder.ts';

/** A pair with the conversation that both answer. */
export interface PairRow {
  /** "path:line" of the row, or of the first of the rows, that it is of. */
  readonly where: string;
  readonly split: string;
  /** Ends with what the user says. */
  readonly prompt: readonly Message[];
  readonly chosen: string;
  readonly rejected: string;
  /** How much better the chosen answer is; 0 where unknown. */
  readonly margin: number;
  /** Text of the field that pairs are grouped by; null without one. */
  readonly group: string | null;
}

/** What files hold. */
export interface PairRows {
  readonly rows: readonly PairRow[];
  /** What they were taken for, and what was left out, changed or not used. */
  readonly lines: readonly string[];
}

interface Options {
  /** Field to group pairs by. */
  readonly groupBy: string | null;
  /** Largest share of the rows that may be unusable. */
  readonly badRows: number;
}

/** Answers to one prompt that are compared two by two: 2,016 pairs. */
const MOST_ANSWERS = 64;
/** What makes no pair though nothing is wrong with it. */
const NO_PAIR = ['same answers', 'tie', 'one answer'];

/**
 * Reads all pairs of a file or folder: of ranked groups and ratings every two answers to a prompt that differ. Rows
 * that cannot be used are left out and counted, up to a share of them.
 *
 * @throws DataError where files are missing or empty, are nothing that is known, or give no pair; where more rows than
 *   `badRows` allows cannot be used; where one prompt has more rated answers than can be compared
 */
export async function readPairRows(path: string, options: Options): Promise<PairRows> {
  const { files, notes } = listFiles([{ path }], { byName: true });
  const splits = openSplits(files, { column: '$split' });
  const builder = openReport(false);
  const reading: Reading = { options, splits, builder, notes, found: [] };
  const taken = new Map<string, string[]>();
  for (const file of files) {
    const recognized = await readFile(file, reading);
    if (recognized === null) continue;
    const name = namedPairs(recognized);
    taken.set(name, [...(taken.get(name) ?? []), file.path]);
  }
  builder.finish();
  const unpaired: Tally = {};
  const rows = gathered(reading.found).flatMap((one) => pairsOf(one, unpaired));
  checkUsable(path, builder.report, options.badRows, { pairs: rows.length, unpaired });
  const more = [...splits.notes(), ...notes];
  return { rows, lines: describeRows(path, taken, builder.report, { rows, unpaired, more }) };
}

interface Reading {
  readonly options: Options;
  readonly splits: Splits;
  readonly builder: ReportBuilder;
  readonly notes: string[];
  readonly found: Found[];
}

/** The judged answers of a row, and where it is from. */
type Found = Judged & Pick<PairRow, 'where' | 'split' | 'group'>;

/** Reads one file and returns what it was taken for; null where it has no row that is whole. */
async function readFile(file: SourceFile, reading: Reading): Promise<RecognizedPairs | null> {
  const { builder, notes } = reading;
  const read = { encoding: 'utf-8', delimiter: null, quote: null, header: true, maximumField: LONGEST_TEXT } as const;
  const groups = openReader(file, read, (line) => notes.push(line));
  const first = await firstRows(groups);
  const fields = first.flatMap((item) => (isBad(item) ? [] : [item.fields]));
  const recognized = fields.length === 0 ? null : recognizePairs(fields.slice(0, FIRST_ROWS));
  if (Array.isArray(recognized)) throw new DataError([`${file.path}: ${recognized[0]}`, ...recognized.slice(1)]);
  const take = recognized === null ? null : rowTaker(file, recognized as RecognizedPairs, reading);
  const count = (item: SourceRow | BadRow): void => {
    builder.report.rowsIn++;
    if (isBad(item)) builder.skip(item);
    else take?.(item);
  };
  first.forEach(count);
  for await (const group of groups) group.forEach(count);
  return recognized as RecognizedPairs | null;
}

/** The function that takes a row of a file: among what is found, or among what is left out. */
function rowTaker(file: SourceFile, recognized: RecognizedPairs, reading: Reading): (row: SourceRow) => void {
  const { splits, builder, found, options } = reading;
  const { groupBy } = options;
  const use = openFieldUse([...Object.values(recognized.fields), 'split', ...(groupBy === null ? [] : [groupBy])], []);
  const noted: { what: string; where: string }[] = [];
  const limits: TextLimits = { maximumField: LONGEST_TEXT, note: (what, where) => void noted.push({ what, where }) };
  return ({ where, fields }) => {
    noted.length = 0;
    try {
      const judged = judgedOf(fields, recognized, limits);
      const group = groupBy === null ? null : checkText(groupBy, fields[groupBy] ?? '', limits);
      found.push({ ...judged, where, group, split: splits.of(file, fields) });
      for (const note of noted) builder.noted(note.what, `${where}: ${note.where}`);
      for (const { name, isVoid } of use.unused(fields)) builder.unused(name, isVoid, where);
    } catch (error) {
      if (!(error instanceof RowProblem)) throw error;
      builder.skip({ where, reason: error.reason, problem: error.message });
    }
  };
}

/** Rated answers gathered by their prompt within a split, in the order of the first of each; the rest as it stands. */
function gathered(found: readonly Found[]): Found[] {
  const byPrompt = new Map<string, Found & { readonly kind: 'rated'; answers: ScoredAnswer[] }>();
  return found.flatMap((one): Found[] => {
    if (one.kind !== 'rated') return [one];
    const key = JSON.stringify([one.split, one.group, one.prompt.map(({ role, content }) => [role, content])]);
    const known = byPrompt.get(key);
    if (known === undefined) {
      const entry = { ...one, kind: 'rated' as const, answers: [...one.answers] };
      byPrompt.set(key, entry);
      return [entry];
    }
    known.answers.push(...one.answers);
    return [];
  });
}

/** The pairs of judged answers; what gives none is counted. */
function pairsOf(found: Found, unpaired: Tally): PairRow[] {
  const { where, split, group, prompt } = found;
  const place = { where, split, prompt, group };
  if (found.kind === 'pair') {
    const { chosen, rejected, margin } = found;
    return [{ ...place, chosen, rejected, margin }];
  }
  const { answers, isMeasured, kind } = found;
  if (answers.length > MOST_ANSWERS) {
    throw new DataError(
      `${where}: its prompt has ${answers.length} answers; expected at most ${MOST_ANSWERS}, which make 2,016 pairs. ` +
        'Keep fewer of them, or draw pairs: npm run rating-pairs.',
    );
  }
  const ranked = [...answers].sort((a, b) => b.score - a.score);
  const pairs = ranked.flatMap((better, i) =>
    ranked
      .slice(i + 1)
      .filter((worse) => better.score > worse.score && better.text !== worse.text)
      .map((worse): PairRow => {
        const margin = isMeasured ? better.score - worse.score : 0;
        return { ...place, chosen: better.text, rejected: worse.text, margin };
      }),
  );
  if (pairs.length === 0) {
    const why =
      answers.length === 1 ? 'prompts with one rated answer' : 'prompts whose answers all tie or are the same';
    countAt(tallyEntry(unpaired, kind === 'group' ? 'groups whose answers all tie or are the same' : why), where);
  }
  return pairs;
}

/** Refuses files without a pair, and with more rows that cannot be used than is allowed. */
function checkUsable(
  path: string,
  { rowsIn, skipped }: ImportReport,
  badRows: number,
  { pairs, unpaired }: { readonly pairs: number; readonly unpaired: Readonly<Tally> },
): void {
  const bad = Object.entries(skipped).flatMap(([reason, { count }]) => (NO_PAIR.includes(reason) ? [] : [count]));
  const count = bad.reduce((sum, one) => sum + one, 0);
  if (pairs > 0 && count <= badRows * rowsIn) return;
  if (rowsIn === 0) throw new DataError(`${path}: holds no rows; expected at least one.`);
  const reasons = Object.entries(skipped).map(([reason, { count: times }]) => `${reason} ${times}`);
  const places = Object.values(skipped).flatMap(({ first }) => first.map((place) => `  ${place}`));
  const none = describeTally(unpaired).map((line) => `  ${line}`);
  if (pairs === 0) {
    const why = reasons.length === 0 ? '' : `: ${reasons.join(', ')}`;
    throw new DataError([`${path}: its ${rowsIn} rows give no pair${why}; expected one at least.`, ...places, ...none]);
  }
  throw new DataError([
    `${path}: ${count} of ${rowsIn} rows cannot be used, more than badRows ${badRows} allows: ${reasons.join(', ')}.`,
    ...places,
    'Mend the rows, or raise badRows.',
  ]);
}

/** What was read, in lines for people; only what there is to say. */
function describeRows(
  path: string,
  taken: ReadonlyMap<string, readonly string[]>,
  { rowsIn, skipped, notes, unused }: ImportReport,
  { rows, unpaired, more }: Pick<PairRows, 'rows'> & { readonly unpaired: Tally; readonly more: readonly string[] },
): string[] {
  const what = [...taken].map(([name, files]) => (taken.size === 1 ? name : `${name} in ${listing(files)}`));
  const number = (value: number): string => value.toLocaleString('en-US');
  const listed = (title: string, tally: Readonly<Tally>): string[] =>
    Object.entries(tally).map(([name, { count, first }]) => {
      const places = first.map((place) => place.replace(/: .*/s, ''));
      return `  ${title}: ${name} ${count} (${places.join(', ')})`;
    });
  const fields = Object.entries(unused).flatMap(([name, { count }]) =>
    count === 0 ? [] : [`${name} (${count} rows)`],
  );
  return [
    `pairs  ${path}: taken for ${what.join('; ')}; ${number(rows.length)} pairs of ${number(rowsIn)} rows`,
    ...listed('left out', skipped),
    ...listed('no pair of', unpaired),
    ...listed('not as they stood', notes),
    ...(fields.length === 0 ? [] : [`  fields not used: ${fields.join(', ')}`]),
    ...more.map((line) => `  ${line}`),
  ];
}
