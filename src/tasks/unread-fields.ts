/** Parts of conversations that rows have and that nothing reads: what is left would be learned without a word. */
import type { JsonLine } from '../tables/jsonl.ts';

/** Fields that conversations have beside prompt and response in other programs' files. */
export const conversationFields = ['system', 'history'] as const;
export type ConversationField = (typeof conversationFields)[number];

/** A field with text that is not read, and the rows that have it. */
interface UnreadField {
  readonly path: string;
  readonly field: ConversationField;
  readonly rows: number;
  /** All rows that were looked at. */
  readonly of: number;
  /** The first places. */
  readonly first: readonly string[];
}

const placesNamed = 3;

/** The conversation fields of rows that hold something and are not among those that are read. */
export function findUnread(path: string, rows: readonly JsonLine[], read: readonly string[] = []): UnreadField[] {
  return conversationFields.flatMap((field) => {
    if (read.includes(field)) return [];
    const having = rows.filter(({ fields }) => holdsText(fields[field]));
    if (having.length === 0) return [];
    const first = having.slice(0, placesNamed).map(({ where }) => where);
    return [{ path, field, rows: having.length, of: rows.length, first }];
  });
}

/** True for a text that is not blank, and for lists and objects with anything in them. */
function holdsText(value: unknown): boolean {
  if (value === undefined || value === null) return false;
  if (typeof value === 'string') return value.trim() !== '';
  if (typeof value !== 'object') return true;
  return Object.values(value).some((entry) => holdsText(entry));
}

/** @param remedy what to do, as a sentence; gets the name of the field */
export function unreadProblems(unread: readonly UnreadField[], remedy: (field: ConversationField) => string): string[] {
  return unread.map(
    ({ path, field, rows, of, first }) =>
      `${path}: ${rows} of ${of} rows have a "${field}", which nothing here reads (first at ${first.join(', ')}); ` +
      `expected none, as the rest would be taken for the whole conversation. ${remedy(field)}`,
  );
}
