/** Conversations in the terminal: each turn below a heading with its role, calls of tools and reasoning by name. */
import { styleText } from 'node:util';
import { messagesOf } from '../../src/import/conversation-rows.ts';
import { keysOfMessages, unpacked } from '../../src/import/recognize.ts';
import { RowProblem } from '../../src/import/source-row.ts';
import type { Message, Role } from '../../src/message.ts';
import { readTools } from '../../src/tables/message-column.ts';

type Style = Parameters<typeof styleText>[0];

/** Text in a style; off a terminal the text alone. */
export type Paint = (style: Style, text: string) => string;

/** Colours on a terminal, none elsewhere. */
export function painter(color: boolean): Paint {
  return (style, text) => (color ? styleText(style, text, { validateStream: false }) : text);
}

const roleStyles: Readonly<Record<Role, Style>> = {
  system: ['magenta', 'bold'],
  user: ['blue', 'bold'],
  assistant: ['green', 'bold'],
  tool: ['yellow', 'bold'],
};

/**
 * The lines of a conversation. Turns of the assistant that are not learned are marked.
 *
 * user "Hi", assistant "Hello" with learned: false  ->  "user", "  Hi", "assistant (weight 0: not learned)", "  Hello"
 *
 * @param longest characters of a text; what is cut off is said
 */
export function messageLines(messages: readonly Message[], paint: Paint, longest = Number.POSITIVE_INFINITY): string[] {
  return messages.flatMap(({ role, content, learned, reasoning, tool_calls, tool_call_id, name }) => {
    const of = [name, tool_call_id].filter(Boolean).join(', ');
    const heading = `${role}${of && ` (${of})`}${learned === false ? ' (weight 0: not learned)' : ''}`;
    const thought = reasoning ? ['  reasoning', ...indented(reasoning, longest).map((line) => `  ${line}`)] : [];
    return [
      paint(roleStyles[role], heading),
      ...thought.map((line) => paint('gray', line)),
      ...(content === '' ? [] : indented(content, longest)),
      ...callsOf(tool_calls).map((call) => `  ${paint('yellow', 'call')} ${call}`),
    ];
  });
}

/** A text line by line, two spaces in front of each. */
export function indented(text: string, longest = Number.POSITIVE_INFINITY): string[] {
  const rest = text.length - longest;
  const shown = rest > 0 ? `${text.slice(0, longest)}… (${rest.toLocaleString('en-US')} more characters)` : text;
  return shown.split('\n').map((line) => `  ${line}`);
}

/** "get_weather {"city":"Paris"}" for each call. */
function callsOf(text: string | null | undefined): string[] {
  const calls = readTools(text || '[]') as readonly { function?: { name?: string; arguments?: unknown } }[] | null;
  if (calls === null) return [text ?? ''];
  return calls.map(({ function: called }) => `${called?.name} ${JSON.stringify(called?.arguments ?? {})}`);
}

/**
 * The lines of a value that is a list of messages, in whatever spelling files have; null where it is none. Below them
 * stands what of it is not shown.
 */
export function linesOfValue(name: string, value: unknown, paint: Paint, longest: number): string[] | null {
  const list = unpacked(value);
  if (!Array.isArray(list) || keysOfMessages(list) === null) return null;
  const notes = new Set<string>();
  const note = (what: string): void => void notes.add(what);
  try {
    const messages = messagesOf(name, list, { maximumField: Number.POSITIVE_INFINITY, note });
    return [...messageLines(messages, paint, longest), ...[...notes].map((what) => paint('gray', `(${what})`))];
  } catch (error) {
    if (!(error instanceof RowProblem)) throw error;
    return [
      ...indented(JSON.stringify(list), longest),
      paint('gray', `(no conversation to learn from: ${error.message})`),
    ];
  }
}
