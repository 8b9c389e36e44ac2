/** Preference pairs out of files of any shape that is recognized, with a report for people. */
import { DataError } from '../errors.ts';
import { type Conversation, type Message, saidText } from '../message.ts';
import { countAndPlaces, countAt, describeTally, type Tally, tallyEntry } from '../tables/tally.ts';
import { checkText } from './check-text.ts';
import type { ImportReport } from './import-report.ts';
import { type Judged, judgedOf, type ScoredAnswer } from './judged-answers.ts';
import {
  describePairShapes,
  fieldsOfPairs,
  namedPairs,
  type RecognizedPairs,
  recognizePairs,
} from './recognize-pairs.ts';
import { takeRows, whatFor } from './recognized-rows.ts';

/** A pair with the conversation that both answer. */
export interface PairRow {
  /** "path:line" of the row, or of the first of the rows, that it is of. */
  readonly where: string;
  readonly split: string;
  /** Ends with what the user says, or what a tool gave back. */
  readonly prompt: Conversation;
  readonly chosen: Message;
  readonly rejected: Message;
  /** How much better the chosen answer is; 0 where unknown. */
  readonly margin: number;
  /** Text of the field that pairs are grouped by; null without one. */
  readonly group: string | null;
}

/** What files hold. */
export interface PairRows {
  readonly rows: readonly PairRow[];
  /** The path as it was asked for; of a pattern the files it matches. */
  readonly inputs: readonly string[];
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
 * Reads all pairs of a file, a folder or a pattern: of ranked groups and ratings every two answers to a prompt that differ. Rows
 * that cannot be used are left out and counted, up to a share of them.
 *
 * @throws DataError where files are missing or empty, are nothing that is known, or give no pair; where more rows than
 *   `badRows` allows cannot be used; where one prompt has more rated answers than can be compared
 */
export async function readPairRows(path: string, options: Options): Promise<PairRows> {
  const { groupBy, badRows } = options;
  const { report, ...read } = await takeRows<RecognizedPairs, Found>(
    { path, encoding: 'utf-8' },
    {
      recognize: recognizePairs,
      known: describePairShapes(),
      fieldsOf: (recognized) => [...fieldsOfPairs(recognized), ...(groupBy === null ? [] : [groupBy])],
      contentsOf: (fields, recognized, limits) => {
        const judged = judgedOf(fields, recognized, limits);
        return [{ ...judged, group: groupBy === null ? null : checkText(groupBy, fields[groupBy] ?? '', limits) }];
      },
      ownSplits: false,
    },
  );
  const unpaired: Tally = {};
  const found = read.rows.map(({ content, where, split }): Placed => ({ ...content, where, split }));
  const rows = gathered(found).flatMap((one) => pairsOf(one, unpaired));
  checkUsable(path, report, badRows, { pairs: rows.length, unpaired });
  const title = `pairs  ${path}: taken for ${whatFor(read.taken, { named: namedPairs })}`;
  return { rows, inputs: read.inputs, lines: describeRows(title, report, { rows, unpaired, more: read.more }) };
}

/** The judged answers of a row. */
type Found = Judged & Pick<PairRow, 'group'>;

/** With where they are from. */
type Placed = Found & Pick<PairRow, 'where' | 'split'>;

/** Rated answers gathered by their prompt within a split, in the order of the first of each; the rest as it stands. */
function gathered(found: readonly Placed[]): Placed[] {
  const byPrompt = new Map<string, Placed & { readonly kind: 'rated'; answers: ScoredAnswer[] }>();
  return found.flatMap((one): Placed[] => {
    if (one.kind !== 'rated') return [one];
    const key = JSON.stringify([one.split, one.group, one.prompt]);
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
function pairsOf(found: Placed, unpaired: Tally): PairRow[] {
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
      .filter((worse) => better.score > worse.score && saidText(better.answer) !== saidText(worse.answer))
      .map((worse): PairRow => {
        const margin = isMeasured ? better.score - worse.score : 0;
        return { ...place, chosen: better.answer, rejected: worse.answer, margin };
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
  title: string,
  { rowsIn, skipped, notes, unused }: ImportReport,
  { rows, unpaired, more }: Pick<PairRows, 'rows'> & { readonly unpaired: Tally; readonly more: readonly string[] },
): string[] {
  const number = (value: number): string => value.toLocaleString('en-US');
  const listed = (title: string, tally: Readonly<Tally>): string[] =>
    Object.entries(tally).map(([name, found]) => `  ${title}: ${name} ${countAndPlaces(found)}`);
  const fields = Object.entries(unused).flatMap(([name, { count }]) =>
    count === 0 ? [] : [`${name} (${count} rows)`],
  );
  return [
    `${title}; ${number(rows.length)} pairs of ${number(rowsIn)} rows`,
    ...listed('left out', skipped),
    ...listed('no pair of', unpaired),
    ...listed('not as they stood', notes),
    ...(fields.length === 0 ? [] : [`  fields not used: ${fields.join(', ')}`]),
    ...more.map((line) => `  ${line}`),
  ];
}
