/** Conversations: lists of messages, or transcripts with speakers, as turns of user and assistant. */
import type { Message, Role } from '../message.ts';
import { checkText, type TextLimits } from './check-text.ts';
import { shortestNumber } from './exact-json.ts';
import { isRecord, isVoid, RowProblem, show } from './source-row.ts';
import { orderTurns, type TurnRule } from './turns.ts';

/** How messages are spelt in a source, and which oddities are mended. */
export interface MessageKeys extends TextLimits, TurnRule {
  /** Key of the speaker: "role", or "from" in ShareGPT's form. */
  role: string;
  /** Key of the text: "content", or "value". */
  content: string;
}

/** Speakers by the names that OpenAI, ShareGPT, Llama and Qwen files give them. */
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
  function_call: 'assistant',
  tool_call: 'assistant',
  tool: 'tool',
  function: 'tool',
  tool_response: 'tool',
  tool_result: 'tool',
  function_response: 'tool',
  observation: 'tool',
  ipython: 'tool',
  environment: 'tool',
};
/** Speakers whose text is a call, as in ShareGPT's files. */
const callingRoles = ['function_call', 'tool_call'];
const reasoningKeys = ['reasoning', 'reasoning_content', 'thinking'];

/** Keys that say whether a turn is learned: of OpenAI, axolotl and ms-swift. */
const weightKeys = ['weight', 'train', 'training', 'loss'];

/**
 * A list of messages in the order of `orderTurns`. Contents may be lists of text parts. Answers with weight 0 are marked as
 * not learned; keys that are not used are noted.
 *
 * @throws RowProblem where it is not that
 */
export function parseMessages(name: string, value: unknown, keys: MessageKeys): Message[] {
  return orderTurns(name, listMessages(name, value, keys), keys);
}

/** The same in whatever order they stand: a part of a conversation. */
export function listMessages(name: string, value: unknown, keys: Omit<MessageKeys, 'accept'>): Message[] {
  if (!Array.isArray(value)) {
    throw new RowProblem('wrong type', `"${name}": expected a list of messages, received ${show(value)}`);
  }
  return value.map((entry: unknown, i) => parseMessage(`${name}[${i}]`, entry, keys));
}

function parseMessage(where: string, entry: unknown, keys: Omit<MessageKeys, 'accept'>): Message {
  if (!isRecord(entry)) throw new RowProblem('wrong type', `"${where}": expected a message, received ${show(entry)}`);
  const { role, isCall } = parseRole(where, entry, keys);
  const text = parseContent(`${where}.${keys.content}`, entry[keys.content], keys);
  const message: { -readonly [Key in keyof Message]: Message[Key] } = { role, content: isCall ? '' : text };
  if (isCall) message.tool_calls = parseCalls(`${where}.${keys.content}`, text);
  for (const [key, given] of Object.entries(entry)) {
    if (key === keys.role || key === keys.content || isVoid(given)) continue;
    const isUsed = readKey(message, { key, given, where: `${where}.${key}` }, keys);
    if (!isUsed) keys.note(`key "${key}" of a message, not used`, where);
  }
  return message;
}

/** Takes one more key of a message over; false where it has no meaning for its role. */
function readKey(
  message: { -readonly [Key in keyof Message]: Message[Key] },
  { key, given, where }: { key: string; given: unknown; where: string },
  limits: TextLimits,
): boolean {
  const { role } = message;
  if (key === 'learned' || weightKeys.includes(key)) {
    const weight = weightOf(given);
    if (weight === 0 && role === 'assistant') message.learned = false;
    return weight !== null;
  }
  if (role === 'assistant' && reasoningKeys.includes(key)) message.reasoning = checkText(where, given, limits);
  else if (role === 'assistant' && key === 'tool_calls') message.tool_calls = parseCalls(where, given);
  else if (role === 'assistant' && key === 'function_call') message.tool_calls = parseCalls(where, [given]);
  else if (role === 'tool' && key === 'tool_call_id') message.tool_call_id = checkText(where, given, limits);
  else if (role === 'tool' && key === 'name') message.name = checkText(where, given, limits);
  else return false;
  return true;
}

function parseRole(
  where: string,
  entry: Readonly<Record<string, unknown>>,
  keys: Pick<MessageKeys, 'role'>,
): { role: Role; isCall: boolean } {
  const spoken = entry[keys.role];
  const name = typeof spoken === 'string' ? spoken.toLowerCase() : '';
  const role = Object.hasOwn(roleNames, name) ? roleNames[name] : undefined;
  if (role !== undefined) return { role, isCall: callingRoles.includes(name) };
  const other = ['role', 'from', 'speaker'].find((key) => key !== keys.role && typeof entry[key] === 'string');
  const hint = other === undefined ? '' : `; set messages.role: ${other} (and messages.content) for files spelt so`;
  const problem = `"${where}.${keys.role}": expected one of ${Object.keys(roleNames).join(', ')}, received ${show(spoken)}${hint}`;
  throw new RowProblem('unknown role', problem);
}

/**
 * Calls of tools as JSON text: [{"type": "function", "function": {"name": …, "arguments": {…}}}]. Arguments that are JSON
 * text, as OpenAI writes them, become objects, as templates expect them.
 */
function parseCalls(where: string, value: unknown): string {
  const list = typeof value === 'string' ? parseJson(where, value) : value;
  const calls = (Array.isArray(list) ? list : [list]).map((entry: unknown) => {
    const call = isRecord(entry) && isRecord(entry.function) ? entry : { type: 'function', function: entry };
    const { function: called } = call;
    if (!isRecord(called) || typeof called.name !== 'string') {
      const problem = `"${where}": expected calls {"name": …, "arguments": …}, received ${show(entry)}`;
      throw new RowProblem('tool call', problem);
    }
    const { arguments: given = {} } = called;
    const parsed = typeof given === 'string' ? parseJson(`${where}.arguments`, given === '' ? '{}' : given) : given;
    return { ...call, function: { ...called, arguments: parsed } };
  });
  return JSON.stringify(calls);
}

function parseJson(where: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new RowProblem('tool call', `"${where}": expected JSON, received ${show(text)}`);
  }
}

/** Descriptions of tools: of a list, or its JSON text; undefined where there are none. @throws RowProblem for other values */
export function parseTools(value: unknown): readonly object[] | undefined {
  if (isVoid(value)) return undefined;
  const list = typeof value === 'string' ? parseJson('tools', value) : value;
  if (Array.isArray(list) && list.every(isRecord)) return list.length === 0 ? undefined : list;
  throw new RowProblem('wrong type', `"tools": expected a list of objects, received ${show(value)}`);
}

/** 1 or 0 where a value of `weight` or its kin says so, else null. */
function weightOf(value: unknown): 0 | 1 | null {
  const text = shortestNumber(String(value).toLowerCase());
  if (['0', 'false'].includes(text)) return 0;
  return ['1', 'true'].includes(text) ? 1 : null;
}

/** A text, or the text parts of a list, one after the other; no content is an empty text. */
function parseContent(where: string, value: unknown, keys: TextLimits): string {
  if (value === null || value === undefined) return '';
  if (!Array.isArray(value)) return checkText(where, value, keys, true);
  const parts = value.map((part: unknown, i) => parsePart(`${where}[${i}]`, part, keys));
  if (parts.length > 1) keys.note('content in several parts, joined', where);
  return checkText(where, parts.join(''), keys, true);
}

function parsePart(where: string, part: unknown, keys: TextLimits): string {
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
    return { role: mark[1] === 'Human' ? 'user' : 'assistant', content };
  });
  return orderTurns(name, messages, rule);
}

/**
 * Messages as the text of a prompt. A single message of a user stands alone; otherwise speakers are named:
 * "User: …", "Assistant: …", a blank line between them. What the system says comes first.
 */
export function renderMessages(messages: readonly Message[]): string {
  const spoken = messages.filter(({ role }) => role !== 'system');
  const names = { system: '', user: 'User: ', assistant: 'Assistant: ', tool: 'Tool: ' };
  const isAlone = spoken.length === 1;
  return messages.map(({ role, content }) => (isAlone ? content : names[role] + content)).join('\n\n');
}
