/** Tasks of rows that need no templates: conversations, and texts. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DataError } from '../errors.ts';
import type { Message } from '../message.ts';
import { readMessages, readTools } from '../tables/message-column.ts';
import type { Task } from './task.ts';
import { readRowFile, rowFile, type TaskRow } from './task-rows.ts';
import type { TemplateFile } from './template-file.ts';
import { TemplateFileSchema } from './template-schema.ts';

/** A conversation to train on; it ends with the assistant's message. */
export interface ConversationRow {
  /** "path:line", the start of every error about it. */
  readonly where: string;
  readonly id: string;
  /** train, validation or test. */
  readonly split: string;
  readonly messages: readonly Message[];
  readonly tools?: readonly object[] | undefined;
}

/**
 * A task of conversations, in a cluster of its own. Its one template, of kind "conversation", writes messages as they are;
 * loss is measured on its validation rows, and nothing is scored.
 *
 * @param path the file the rows come from: its content is part of what a tokenized data set is made from
 */
export function conversationTask(name: string, path: string, rows: readonly ConversationRow[]): Task {
  return {
    name,
    cluster: name,
    description: DESCRIPTION,
    metric: 'gold',
    path,
    templates: rowTemplates(name, path, { kind: 'conversation', column: 'messages', description: DESCRIPTION }),
    rows: rows.map(({ where, id, split, messages, tools }) => {
      return { where, id, split, fields: tools === undefined ? { messages } : { messages, tools } };
    }),
  };
}

const DESCRIPTION = 'Conversations as they are.';

/** A text of which everything is learned. */
export interface TextRow extends Omit<ConversationRow, 'messages' | 'tools'> {
  readonly text: string;
}

/** A task of texts, as `conversationTask`: learned whole, in pieces where they are long. */
export function textTask(name: string, path: string, rows: readonly TextRow[]): Task {
  const description = 'Texts as they are.';
  const about = { name, cluster: name, description, metric: 'gold', path } as const;
  const templates = rowTemplates(name, path, { kind: 'text', column: 'text', description });
  return { ...about, templates, rows: rows.map(({ text, ...row }) => ({ ...row, fields: { text } })) };
}

/** The one template of rows that are written as they are. */
function rowTemplates(
  dataset: string,
  path: string,
  { kind, column, description }: { kind: 'conversation' | 'text'; column: string; description: string },
): TemplateFile {
  const template = { id: kind, split: 'train', kind, turns: [], where: path } as const;
  const { templates: _, ...file } = TemplateFileSchema.parse({
    dataset,
    cluster: dataset,
    description,
    metric: 'gold',
    columns: [column],
    answer: { column },
    templates: [{ id: template.id, split: 'train' }],
  });
  return { ...file, path, templates: [template] };
}

/** True where a folder has rows of this name. */
export function hasRows(folder: string, name: string): boolean {
  return ['jsonl', 'arrow'].some((ending) => existsSync(join(folder, `${name}.${ending}`)));
}

/**
 * The task of `<folder>/<name>.jsonl` or `<name>.arrow`, whose rows have id, split, messages and perhaps tools.
 *
 * @param templates the folder where a template file was looked for, for errors
 * @throws DataError naming the first rows that have no conversation ending with the assistant's message, and how many in
 *   all; or once that none has messages, as such rows lack their templates
 */
export function loadConversations(folder: string, name: string, templates: string): Task {
  const path = rowFile(folder, name);
  const rows: ConversationRow[] = [];
  const count = { rows: 0, withMessages: 0 };
  const check = (row: TaskRow): string[] => {
    const { where, id, split, fields } = row;
    count.rows++;
    if (fields.messages !== undefined) count.withMessages++;
    const read = readMessages(fields.messages);
    if ('problem' in read) return [`${where}: messages: ${read.problem}. ${remedyOf(row)}`];
    const last = read.messages.at(-1)?.role;
    if (last !== 'assistant') {
      return [
        `${where}: messages: the last is of the ${last}; expected the assistant's, to learn from. Mend or remove the row.`,
      ];
    }
    const tools = (fields.tools ?? null) === null ? undefined : readTools(fields.tools);
    if (tools === null) return [`${where}: tools: expected JSON text of a list of objects. Mend the row.`];
    rows.push({ where, id, split, messages: read.messages, ...(tools !== undefined && { tools }) });
    return [];
  };
  try {
    readRowFile(path, null, check);
  } catch (error) {
    if (!(error instanceof DataError) || count.rows === 0 || count.withMessages > 0) throw error;
    throw new DataError(
      `${join(templates, `${name}.yaml`)}: there is no such template file, and ${path} holds no conversations (rows with messages); ` +
        'expected one of them. Name the folder that holds the templates, or import conversations with shape: messages.',
    );
  }
  return conversationTask(name, path, rows);
}

function remedyOf({ fields }: TaskRow): string {
  return fields.messages === undefined
    ? 'Without templates a data set is one of conversations: add <dataset>.yaml, or import it with shape: messages.'
    : 'Mend or remove the row, or run npm run import with shape: messages.';
}
