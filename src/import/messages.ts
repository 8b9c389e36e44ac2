/** Conversations: lists of messages, or transcripts with speakers, as turns of user and assistant. */
import { checkText, type TextLimits } from './check-text.ts';
import { shortestNumber } from './exact-json.ts';
import { isRecord, isVoid, RowProblem, show } from './source-row.ts';
import { type Message, orderTurns, type Role, type TurnRule } from './turns.ts';

/** How messages are spelt in a source, and which oddities are mended. */
export interface MessageKeys extends TextLimits, TurnRule {
  /** Key of the speaker: "role", or "from" in ShareGPT's form. */
  role: string;
  /** Key of the text: "content", or "value". */
  content: string;
}

const roleNames: Readonly<Record<string, Role>> = {
  system: 'system',
  developer: 'system',
  user: 'user',
  human: 'user',
  prompter: 'user',
  assistant: 'assistant',
  gpt: 'assistant',
  chatgpt: 'assistant',
  bot: 'assistant',
  model: 'assistant',
};

/** Speakers of tool calls and their results, by the names that OpenAI, ShareGPT, Llama and Qwen files give them. */
const toolRoles = [
  'tool',
  'function',
  'tool_call',
  'tool_calls',
  'tool_response',
  'tool_result',
  'function_call',
  'function_response',
  'observation',
  'ipython',
  'environment',
];
const toolKeys = ['tool_calls', 'function_call'];
const noTools = 'tables have no place for tools';

/** Keys that say whether a turn is learned: of OpenAI, axolotl and ms-swift. */
const weightKeys = ['weight', 'train', 'training', 'loss'];

/**
 * A list of messages in the order of `orderTurns`. Contents may be lists of text parts. Keys that are not used are
 * noted, and answers with weight 0 marked as not learned.
 *
 * @throws RowProblem where it is not that
 */
export function parseMessages(name: string, value: unknown, keys: MessageKeys): Message[] {
  if (!Array.isArray(value)) {
    throw new RowProblem('wrong type', `"${name}": expected a list of messages, received ${show(value)}`);
  }
  const messages = value.map((entry: unknown, i) => parseMessage(`${name}[${i}]`, entry, keys));
  return orderTurns(name, messages, keys);
}

function parseMessage(where: string, entry: unknown, keys: MessageKeys): Message {
  if (!isRecord(entry)) throw new RowProblem('wrong type', `"${where}": expected a message, received ${show(entry)}`);
  const role = parseRole(where, entry, keys);
  const tool = toolKeys.find((key) => !isVoid(entry[key]));
  const content = parseContent(`${where}.${keys.content}`, entry[keys.content], keys);
  if (tool !== undefined && content.trim() === '') {
    throw new RowProblem('tool call', `"${where}.${tool}": a tool call without text; expected text, as ${noTools}`);
  }
  let learned = true;
  for (const [key, given] of Object.entries(entry)) {
    if (key === keys.role || key === keys.content || isVoid(given)) continue;
    const weight = weightKeys.includes(key) ? weightOf(given) : null;
    if (weight === null) keys.note(`key "${key}" of a message, not used`, where);
    else if (weight === 0 && role === 'assistant') {
      learned = false;
      keys.note(`answer with weight 0 (key "${key}"), not honoured`, where);
    }
  }
  return { role, content, learned };
}

function parseRole(where: string, entry: Readonly<Record<string, unknown>>, keys: MessageKeys): Role {
  const spoken = entry[keys.role];
  const name = typeof spoken === 'string' ? spoken.toLowerCase() : '';
  if (toolRoles.includes(name)) {
    throw new RowProblem('tool turn', `"${where}.${keys.role}": a turn of "${spoken}"; expected none, as ${noTools}`);
  }
  const role = Object.hasOwn(roleNames, name) ? roleNames[name] : undefined;
  if (role !== undefined) return role;
  const other = ['role', 'from', 'speaker'].find((key) => key !== keys.role && typeof entry[key] === 'string');
  const hint = other === undefined ? '' : `; set messages.role: ${other} (and messages.content) for files spelt so`;
  const problem = `"${where}.${keys.role}": expected one of ${Object.keys(roleNames).join(', ')}, received ${show(spoken)}${hint}`;
  throw new RowProblem('unknown role', problem);
}

/** 1 or 0 where a value of `weight` or its kin says so, else null. */
function weightOf(value: unknown): 0 | 1 | null {
  const text = shortestNumber(String(value).toLowerCase());
  if (['0', 'false'].includes(text)) return 0;
  return ['1', 'true'].includes(text) ? 1 : null;
}

/** A text, or the text parts of a list, one after the other; no content is an empty text. */
function parseContent(where: string, value: unknown, keys: MessageKeys): string {
  if (value === null || value === undefined) return '';
  if (!Array.isArray(value)) return checkText(where, value, keys, true);
  const parts = value.map((part: unknown, i) => parsePart(`${where}[${i}]`, part, keys));
  if (parts.length > 1) keys.note('content in several parts, joined', where);
  return checkText(where, parts.join(''), keys, true);
}

function parsePart(where: string, part: unknown, keys: MessageKeys): string {
  if (typeof part === 'string') return part;
  const { type = 'text', text, ...rest } = isRecord(part) ? part : { type: show(part) };
  if (!['text', 'input_text', 'output_text'].includes(String(type)) || typeof text !== 'string') {
    const problem = `"${where}": a part of type ${show(type)}; expected parts with text alone`;
    throw new RowProblem('content that is not text', problem);
  }
  for (const key of Object.keys(rest)) {
    if (!isVoid(rest[key as keyof typeof rest])) keys.note(`key "${key}" of a content part, not used`, where);
  }
  return text;
}

const speaker = /\n\n(Human|Assistant):/g;

/**
 * A transcript as Anthropic's HH files hold it: "\n\nHuman: … \n\nAssistant: …".
 *
 * @throws RowProblem where it does not begin with a person's turn, or speakers do not alternate
 */
export function parseTranscript(name: string, text: string, rule: TurnRule): Message[] {
  const marks = [...text.matchAll(speaker)];
  if (marks[0]?.index !== 0) {
    const problem = `"${name}": expected it to begin with a blank line and "Human:", received ${show(text)}`;
    throw new RowProblem('not a transcript', problem);
  }
  const messages = marks.map((mark, i): Message => {
    // The space after the colon belongs to the format.
    const spoken = text.slice(mark.index + mark[0].length, marks[i + 1]?.index).replace(/^ /, '');
    const content = spoken.trim();
    if (content !== spoken) rule.note('spaces around a turn of a transcript, cut off', `${name}[${i}]`);
    return { role: mark[1] === 'Human' ? 'user' : 'assistant', content, learned: true };
  });
  return orderTurns(name, messages, rule);
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
