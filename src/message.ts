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
 * A conversation as one text for people and tables: a message a line, answers after a space, a blank line after the system's.
 *
 * user "Hi", assistant "Hello", user "Bye"  ->  "Hi\n Hello\nBye"
 */
export function messagesText(messages: readonly Message[]): string {
  const written = ({ role, content }: Message): string => {
    if (role === 'system') return `${content}\n`;
    return role === 'assistant' ? ` ${content}` : content;
  };
  return messages.map(written).join('\n');
}
