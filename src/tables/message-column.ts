/** Conversations in tables: the column `messages`, its rows, and what is wrong with values that are to be messages. */
import { type Message, type Role, roles } from '../message.ts';
import { bool, nullable, type Row, structList, utf8 } from './columns.ts';

const messageFields = {
  role: utf8('system, user, assistant or tool.'),
  content: utf8('Text; may be empty beside tool calls.'),
  learned: bool('False where no loss is taken on an answer: weight 0.'),
  reasoning: nullable(utf8('What the assistant thought before it answered.')),
  tool_calls: nullable(utf8('Calls of tools, as JSON text of a list: [{"type": "function", "function": {…}}].')),
  tool_call_id: nullable(utf8('The call that a tool answers.')),
  name: nullable(utf8('Name of the tool or the speaker.')),
};
type MessageRow = Row<typeof messageFields>;

/** The columns of conversations. */
export const conversationColumns = {
  messages: structList('The conversation, message by message.', messageFields),
  tools: nullable(utf8('Descriptions of the tools that may be called, as JSON text of a list.')),
};

/** Messages as the column holds them. */
export function messageRows(messages: readonly Message[]): MessageRow[] {
  return messages.map(({ role, content, learned = true, reasoning, tool_calls, tool_call_id, name }) => {
    const texts = { reasoning: reasoning ?? null, tool_calls: tool_calls ?? null };
    return { role, content, learned, ...texts, tool_call_id: tool_call_id ?? null, name: name ?? null };
  });
}

/** A conversation, or what is wrong with it. */
export type ReadMessages = { readonly messages: readonly Message[] } | { readonly problem: string };

/**
 * Messages of a value of the column, or of the same in JSON; keys that are missing there are null.
 *
 * @param value a list of messages
 */
export function readMessages(value: unknown): ReadMessages {
  if (!Array.isArray(value)) return { problem: `expected a list of messages, received ${show(value)}` };
  if (value.length === 0) return { problem: 'expected a message or more, received none' };
  const messages: Message[] = [];
  for (const [i, entry] of value.entries()) {
    const problem = problemOf(entry);
    if (problem !== null) return { problem: `message ${i + 1}: ${problem}` };
    messages.push(known(entry as MessageRow));
  }
  return { messages };
}

/** A message with the keys that say something, so that equal ones are equal objects. */
function known({ role, content, learned, ...texts }: MessageRow): Message {
  const said = Object.entries(texts).filter(([, text]) => text !== null && text !== undefined && text !== '');
  return { role: role as Role, content, ...(learned === false && { learned }), ...Object.fromEntries(said) };
}

function problemOf(entry: unknown): string | null {
  if (typeof entry !== 'object' || entry === null) return `expected {role, content}, received ${show(entry)}`;
  const { role, content, learned, ...rest } = entry as Readonly<Record<string, unknown>>;
  if (!roles.some((name) => name === role)) return `role: expected ${roles.join(', ')}, received ${show(role)}`;
  if (typeof content !== 'string') return `content: expected text, received ${show(content)}`;
  if (learned !== undefined && learned !== null && typeof learned !== 'boolean') {
    return `learned: expected true or false, received ${show(learned)}`;
  }
  for (const [key, value] of Object.entries(rest)) {
    if (!Object.hasOwn(messageFields, key)) {
      return `key "${key}"; expected ${Object.keys(messageFields).join(', ')}. npm run import reads other spellings`;
    }
    if (value !== null && value !== undefined && typeof value !== 'string') {
      return `${key}: expected text, received ${show(value)}`;
    }
  }
  return rest.tool_calls === undefined || rest.tool_calls === null || isList(rest.tool_calls as string)
    ? null
    : `tool_calls: expected JSON text of a list, received ${show(rest.tool_calls)}`;
}

/** Tools of the column `tools`; null where the text is no list of objects. */
export function readTools(text: unknown): readonly object[] | null {
  return typeof text === 'string' && isList(text) ? (JSON.parse(text) as readonly object[]) : null;
}

function isList(text: string): boolean {
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list) && list.every((entry) => typeof entry === 'object' && entry !== null);
  } catch {
    return false;
  }
}

function show(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
