/** Conversations: lists of messages, as chat templates, data sets and people write them. */

/** Who speaks in a conversation; what a tool gave back is a message of its own. */
export const roles = ['system', 'user', 'assistant', 'tool'] as const;
export type Role = (typeof roles)[number];

/** One message of a conversation. */
export interface Message {
  readonly role: Role;
  readonly content: string;
  /** False for a message of the assistant that is context only: no loss is taken on it. */
  readonly learned?: boolean | undefined;
  /** What the assistant thought before it answered, for templates that write it. */
  readonly reasoning?: string | null | undefined;
  /** The assistant's calls of tools, as OpenAI writes them: the JSON text of [{"type": "function", "function": {…}}]. */
  readonly tool_calls?: string | null | undefined;
  /** The call that a tool's message answers. */
  readonly tool_call_id?: string | null | undefined;
  /** The tool's name, or the speaker's. */
  readonly name?: string | null | undefined;
}

/** A conversation with the tools that the assistant may call. */
export interface Conversation {
  readonly messages: readonly Message[];
  /** Descriptions of tools, as templates read them: JSON schemas of functions. */
  readonly tools?: readonly object[] | undefined;
}

/** A conversation that asks one thing. */
export function userSays(text: string): readonly Message[] {
  return [{ role: 'user', content: text }];
}

/** What the system says in front of a conversation: one message, none where the text is empty. */
export function systemSays(text: string): readonly Message[] {
  return text === '' ? [] : [{ role: 'system', content: text }];
}

/**
 * A conversation as one text for people and tables: tools as JSON, then a message a line, answers after a space, a blank
 * line after tools and the system's.
 *
 * user "Hi", assistant "Hello", user "Bye"  ->  "Hi\n Hello\nBye"
 */
export function messagesText(messages: readonly Message[], tools: readonly object[] = []): string {
  const written = (message: Message): string => {
    const said = saidText(message);
    if (message.role === 'system') return `${said}\n`;
    return message.role === 'assistant' ? ` ${said}` : said;
  };
  const described = tools.length === 0 ? [] : [`${JSON.stringify(tools)}\n`];
  return [...described, ...messages.map(written)].join('\n');
}

/** All that a message says: what was thought, the text, calls of tools as JSON, a line each. */
export function saidText({ reasoning, content, tool_calls }: Message): string {
  return [reasoning, content, tool_calls].filter(Boolean).join('\n');
}
