/** Conversations: lists of messages, or transcripts with speakers, as turns of user and assistant. */
import { checkText, type TextLimits } from './check-text.ts';
import { isRecord, RowProblem, show } from './source-row.ts';

export type Role = 'system' | 'user' | 'assistant';

export interface Message {
  role: Role;
  content: string;
}

/** How messages are spelt in a source. */
export interface MessageKeys extends TextLimits {
  /** Key of the speaker: "role", or "from" in ShareGPT's form. */
  role: string;
  /** Key of the text: "content", or "value". */
  content: string;
}

const roleNames: Readonly<Record<string, Role>> = {
  system: 'system',
  user: 'user',
  human: 'user',
  prompter: 'user',
  assistant: 'assistant',
  gpt: 'assistant',
  chatgpt: 'assistant',
  bot: 'assistant',
  model: 'assistant',
};

/**
 * A list of messages: at most one of the system, first; then user and assistant in turn, the user first.
 *
 * @throws RowProblem where it is not that
 */
export function parseMessages(name: string, value: unknown, keys: MessageKeys): Message[] {
  if (!Array.isArray(value)) {
    throw new RowProblem('wrong type', `"${name}": expected a list of messages, received ${show(value)}`);
  }
  const messages = value.map((entry: unknown, i): Message => {
    const where = `${name}[${i}]`;
    if (!isRecord(entry)) throw new RowProblem('wrong type', `"${where}": expected a message, received ${show(entry)}`);
    const spoken = entry[keys.role];
    const role = typeof spoken === 'string' ? roleNames[spoken.toLowerCase()] : undefined;
    if (role === undefined) {
      const problem = `"${where}.${keys.role}": expected one of ${Object.keys(roleNames).join(', ')}, received ${show(spoken)}`;
      throw new RowProblem('unknown role', problem);
    }
    return { role, content: checkText(`${where}.${keys.content}`, entry[keys.content], keys) };
  });
  checkTurns(name, messages);
  return messages;
}

function checkTurns(name: string, messages: readonly Message[]): void {
  const spoken = messages[0]?.role === 'system' ? messages.slice(1) : messages;
  const wrong = spoken.findIndex(({ role }, i) => role !== (i % 2 === 0 ? 'user' : 'assistant'));
  if (wrong !== -1 || spoken.length === 0) {
    const roles = messages
      .map(({ role }) => role)
      .join(', ')
      .slice(0, 60);
    throw new RowProblem('roles do not alternate', `"${name}": expected user and assistant in turn, received ${roles}`);
  }
}

const speaker = /\n\n(Human|Assistant):/g;

/**
 * A transcript as Anthropic's HH files hold it: "\n\nHuman: … \n\nAssistant: …".
 *
 * @throws RowProblem where it does not begin with a person's turn, or speakers do not alternate
 */
export function parseTranscript(name: string, text: string): Message[] {
  const marks = [...text.matchAll(speaker)];
  if (marks[0]?.index !== 0) {
    const problem = `"${name}": expected it to begin with a blank line and "Human:", received ${show(text)}`;
    throw new RowProblem('not a transcript', problem);
  }
  const messages = marks.map((mark, i): Message => {
    const content = text.slice(mark.index + mark[0].length, marks[i + 1]?.index).trim();
    return { role: mark[1] === 'Human' ? 'user' : 'assistant', content };
  });
  checkTurns(name, messages);
  return messages;
}

/**
 * Messages as the text of a prompt. A single message of a user stands alone; otherwise speakers are named:
 * "User: …", "Assistant: …", a blank line between them. What the system says comes first.
 */
export function renderMessages(messages: readonly Message[]): string {
  const spoken = messages.filter(({ role }) => role !== 'system');
  const names = { system: '', user: 'User: ', assistant: 'Assistant: ' };
  const isAlone = spoken.length === 1;
  return messages.map(({ role, content }) => (isAlone ? content : names[role] + content)).join('\n\n');
}
