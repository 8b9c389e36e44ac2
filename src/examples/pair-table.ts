/** Arrow tables of preference pairs: their columns, and their rows before they become tokens. */
import { DataError } from '../errors.ts';
import { type Conversation, type Message, userSays } from '../message.ts';
import { inspectTable, readTable, writeTable } from '../tables/arrow-file.ts';
import { bool, float32, int32, int32List, type Row, utf8 } from '../tables/columns.ts';
import { conversationColumns, readTools } from '../tables/message-column.ts';
import { conversationFields, findUnread, unreadProblems } from '../tasks/unread-fields.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';

const textColumns = {
  prompt: utf8('The prompt, without the line break after it.'),
  chosen: utf8('The preferred response.'),
  rejected: utf8('The other response.'),
};

export const tokenColumns = {
  chosen_ids: int32List('Token ids: BOS, prompt and line break, chosen response, EOS where it ended.'),
  rejected_ids: int32List('Token ids: BOS, prompt and line break, rejected response, EOS where it ended.'),
  prompt_length: int32('Leading tokens of both id columns that are the prompt, BOS included.'),
};

const labelColumns = {
  margin: float32('How much better the chosen response is, in units of the label; 0 where unknown.'),
  gold_chosen: float32('Total of the judge for the chosen response.'),
  gold_rejected: float32('Total of the judge for the rejected response.'),
  flipped: bool('True where label noise made the worse response the chosen one.'),
};

/** Columns of the pairs that `stages/preferences.ts` makes. Imported pairs have the first three and any of the rest. */
export const preferenceColumns = {
  ...textColumns,
  ...tokenColumns,
  ...labelColumns,
  split: utf8('Split of the pair: train, validation or test.'),
  difference: utf8(
    'What the two differ in by their judge: truth alone, truth and manner, manner, or total where it does not tell.',
  ),
};

export type PreferenceRow = Row<typeof preferenceColumns>;

/** A pair as its source has it. */
export interface SourcePair {
  /** "path: row 7", or "path:7" of a file with lines. */
  readonly where: string;
  /** Ends with what the user says, or what a tool gave back. */
  readonly prompt: Conversation;
  readonly chosen: Message;
  readonly rejected: Message;
  /** Its tokens where the source has them. */
  readonly tokens: Row<typeof tokenColumns> | null;
  /** 0 where unknown. */
  readonly margin: number;
  /** What a judge says of each; null where there is none. */
  readonly gold_chosen: number | null;
  readonly gold_rejected: number | null;
  readonly flipped: boolean | null;
  /** Value of the column that the reader groups by; null without one. */
  readonly group: string | null;
}

/** Which pairs of a table are read, and what of them. */
export interface PairSelection {
  /** Only pairs of this split; all where null. */
  readonly split: string | null;
  /** A text column to group pairs by. */
  readonly groupBy: string | null;
}

/** Rows of a table, with the hash of the tokenizer that made its tokens where it has any. */
export interface PairTable {
  readonly rows: readonly SourcePair[];
  readonly tokenizer: string | undefined;
  /** Problems where there are parts of conversations in columns of their own: nothing reads them. */
  readonly problems: readonly string[];
  /** Largest share of the rows that the model's format may have no place for. */
  readonly badRows: number;
}

/** Writes the pairs of `stages/preferences.ts` with the tokenizer's hash in the schema. */
export async function writePreferences(
  path: string,
  rows: readonly PreferenceRow[],
  tokenizer: Tokenizer,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  await writeTable(path, preferenceColumns, rows, { ...metadata, tokenizer: tokenizer.hash });
}

/**
 * True for a file that is a table of pairs of texts or tokens, and for one that should be and is damaged:
 * other files, Arrow ones among them, are read by what their rows are.
 *
 * @param start the first bytes of the file, as latin-1
 * @throws DataError where it is an Arrow file and damaged
 */
export function isPairTable(path: string, start: string, writtenBy: string): boolean {
  if (!start.startsWith('ARROW1')) return path.endsWith('.arrow') && !start.startsWith('\xff\xff\xff\xff');
  // Its errors say what is wrong with the file and who makes one.
  readTable(path, {}, writtenBy);
  const types = new Map(inspectTable(path).columns.map(({ name, type }) => [name, type]));
  const hasTokens = Object.keys(tokenColumns).some((name) => types.has(name));
  return hasTokens || ['prompt', 'chosen'].every((name) => types.get(name) === 'Utf8');
}

/** The splits that the pairs of a file are of; none where it has no such column. */
export function splitsOfTable(path: string, writtenBy: string): string[] {
  if (!inspectTable(path).columns.some(({ name }) => name === 'split')) return [];
  const { rows } = readTable(path, { split: preferenceColumns.split }, writtenBy);
  return [...new Set(rows.map(({ split }) => split))];
}

/**
 * The rows of a table with whichever columns it has.
 * @throws DataError where columns are missing or no row is of the split
 */
export function readPairTable(path: string, { split, groupBy }: PairSelection, writtenBy: string): PairTable {
  const found = new Set(inspectTable(path).columns.map(({ name }) => name));
  const hasTokens = Object.keys(tokenColumns).some((name) => found.has(name));
  const labels = Object.entries(labelColumns).filter(([name]) => found.has(name));
  const columns = {
    ...textColumns,
    ...(hasTokens ? tokenColumns : {}),
    ...(found.has('tools') ? { tools: conversationColumns.tools } : {}),
    ...Object.fromEntries(labels.map(([name, column]) => [name, { ...column, nullable: true }])),
    ...(groupBy === null ? {} : { [groupBy]: utf8('What the pair is grouped by.') }),
    ...(split === null ? {} : { split: preferenceColumns.split }),
  };
  const { rows, metadata } = readTable(path, columns, writtenBy);
  const wanted = [...rows.entries()].filter(([, row]) => split === null || splitOf(row) === split);
  if (rows.length > 0 && wanted.length === 0) {
    const known = [...new Set(rows.map(splitOf))].sort().join(', ');
    throw new DataError(`${path}: no pairs of split "${split}"; expected one of ${known}. Correct the split.`);
  }
  const problems = unreadFields(path, wanted);
  const pairs = wanted.map(([index, values]) => {
    const row = values as Row<typeof textColumns> & Partial<Row<typeof tokenColumns>> & Partial<Nullable>;
    const { chosen_ids, rejected_ids, prompt_length } = row;
    const isWhole = chosen_ids !== undefined && rejected_ids !== undefined && prompt_length !== undefined;
    const tools = (row.tools ?? null) === null ? undefined : readTools(row.tools);
    if (tools === null) problems.push(`${path}: row ${index}: tools: ${TOOLS_EXPECTED}`);
    return {
      where: `${path}: row ${index}`,
      prompt: { messages: userSays(row.prompt), ...(tools && { tools }) },
      chosen: answer(row.chosen),
      rejected: answer(row.rejected),
      tokens: isWhole ? { chosen_ids, rejected_ids, prompt_length } : null,
      margin: row.margin ?? 0,
      gold_chosen: row.gold_chosen ?? null,
      gold_rejected: row.gold_rejected ?? null,
      flipped: row.flipped ?? null,
      group: groupBy === null ? null : String((values as Record<string, unknown>)[groupBy]),
    };
  });
  return { rows: pairs, tokenizer: metadata.tokenizer, problems, badRows: 0 };
}

const TOOLS_EXPECTED = 'expected JSON text of a list of objects. Mend the row.';
const answer = (content: string): Message => ({ role: 'assistant', content });

const splitOf = (row: unknown): unknown => (row as { split?: unknown }).split;

type Nullable = { [Name in keyof typeof labelColumns]: Row<typeof labelColumns>[Name] | null } & {
  tools: string | null;
};

/** Problems where there are parts of conversations beside the texts of pairs: nothing reads them. */
function unreadFields(path: string, rows: readonly (readonly [number, unknown])[]): string[] {
  const { columns, row } = inspectTable(path);
  if (!columns.some(({ name }) => conversationFields.some((field) => field === name))) return [];
  const lines = rows.map(([index]) => ({ where: `row ${index}`, fields: row(index) }));
  const remedy = 'Write it into the prompts, or import the pairs without that column.';
  return unreadProblems(findUnread(path, lines), () => remedy);
}
