/** Rows of recognized shapes as conversations. */

import type { Conversation, Message } from '../message.ts';
import { checkText, type TextLimits } from './check-text.ts';
import { listMessages, parseTools } from './messages.ts';
import { fieldsOfPart, keysOfMessages, optionalParts, type Part, type Recognized, unpacked } from './recognize.ts';
import { fieldsOf, isVoid, RowProblem, show } from './source-row.ts';
import { orderTurns, type TurnOddity } from './turns.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Odd turns that are mended and noted; a turn without text makes the row unusable, since its answer would be to another. */
const accepted: readonly TurnOddity[] = ['same_role', 'assistant_first', 'user_last'];

/**
 * The conversations of a row: one, or one for each of its instances (self-instruct). All end with the assistant.
 *
 * {instruction: "Add.", input: "2, 2", output: "4"}  ->  [[user "Add.\n2, 2", assistant "4"]]
 *
 * @throws RowProblem where there are none
 */
export function conversationsOf(row: Fields, recognized: Recognized, limits: TextLimits): Conversation[] {
  const { shape, fields } = recognized;
  const value = (part: Part): unknown => {
    const own = fields[part];
    if (own !== undefined) return row[own];
    const name = optionalParts[shape].includes(part) ? fieldsOfPart(row, part)[0] : undefined;
    return name === undefined ? undefined : row[name];
  };
  const tools = parseTools(value('tools'));
  const finish = (messages: readonly Message[]): Conversation => {
    const spoken = withSystem(messages, value('system'), limits);
    const turns = orderTurns(fields.messages ?? 'conversation', spoken, { accept: accepted, note: limits.note });
    const isLearned = turns.some(({ role, learned }) => role === 'assistant' && learned !== false);
    if (turns.at(-1)?.role === 'assistant' && isLearned) {
      return { messages: turns, ...(tools !== undefined && { tools }) };
    }
    const problem = 'expected an answer of the assistant to learn from, received none';
    throw new RowProblem('no answer', `"${fields.messages ?? 'conversation'}": ${problem}`);
  };
  switch (shape) {
    case 'messages':
      return [finish(messagesOf(fields.messages ?? '', value('messages'), limits))];
    case 'alpaca':
      return alpacaTurns(fields, value, limits).map(finish);
    default: {
      const prompt = spokenOf(fields.prompt ?? '', value('prompt'), 'user', limits);
      const completion = spokenOf(fields.completion ?? '', value('completion'), 'assistant', limits);
      // Of an explicit prompt nothing is learned, whoever says it.
      const given = prompt.map((message) => (message.role === 'assistant' ? { ...message, learned: false } : message));
      return [finish([...given, ...completion])];
    }
  }
}

function alpacaTurns(fields: Recognized['fields'], value: (part: Part) => unknown, limits: TextLimits): Message[][] {
  const instruction = text(fields.instruction ?? '', value('instruction'), limits);
  const history = historyOf(value('history'), limits);
  const exchange = (input: unknown, output: unknown, where: string): Message[] => {
    const given = isVoid(input) ? '' : text(`${where}input`, input, limits, true);
    const asked = given === '' ? instruction : `${instruction}\n${given}`;
    const answer = text(`${where}${fields.output ?? 'output'}`, output, limits);
    return [...history, said('user', asked), said('assistant', answer)];
  };
  if (fields.instances === undefined) return [exchange(value('input'), value('output'), '')];
  const instances = value('instances') as readonly unknown[];
  if (!Array.isArray(instances) || instances.length === 0) {
    throw new RowProblem('no answer', `"instances": expected a list with entries, received ${show(instances)}`);
  }
  return instances.map((entry, i) => {
    const { input, output } = fieldsOf(entry) ?? {};
    return exchange(input, output, `instances[${i}].`);
  });
}

/** Earlier exchanges as LLaMA-Factory writes them: [["question", "answer"], …]. */
export function historyOf(value: unknown, limits: TextLimits): Message[] {
  if (isVoid(value)) return [];
  if (!Array.isArray(value)) {
    throw new RowProblem('wrong type', `"history": expected a list of pairs, received ${show(value)}`);
  }
  return value.flatMap((pair: unknown, i) => {
    if (!Array.isArray(pair) || pair.length !== 2) {
      throw new RowProblem('wrong type', `"history[${i}]": expected question and answer, received ${show(pair)}`);
    }
    const [asked, answered] = pair as readonly unknown[];
    return [
      said('user', text(`history[${i}][0]`, asked, limits)),
      said('assistant', text(`history[${i}][1]`, answered, limits)),
    ];
  });
}

/** A text of one speaker, or messages. */
function spokenOf(name: string, value: unknown, role: 'user' | 'assistant', limits: TextLimits): Message[] {
  const list = unpacked(value);
  if (Array.isArray(list)) return messagesOf(name, list, limits);
  return [said(role, text(name, value, limits))];
}

/** Messages by the keys that they themselves have. */
export function messagesOf(name: string, value: unknown, limits: TextLimits): Message[] {
  const list = unpacked(value);
  const keys = keysOfMessages(list);
  if (keys === null) {
    const problem = `"${name}": expected a list of {role|from, content|value}, received ${show(value)}`;
    throw new RowProblem('wrong type', problem);
  }
  return listMessages(name, list, { ...limits, ...keys });
}

/** The system text of a field in front of messages that have none. */
export function withSystem(messages: readonly Message[], field: unknown, limits: TextLimits): readonly Message[] {
  const content = isVoid(field) ? '' : checkText('system', field, limits, true);
  const [first] = messages;
  if (content.trim() === '') return messages;
  if (first?.role !== 'system') return [said('system', content), ...messages];
  if (first.content === content || first.content.trim() === '') return [said('system', content), ...messages.slice(1)];
  const problem = `"system": ${show(content)}, but the first message is the system's too: ${show(first.content)}; expected one of them`;
  throw new RowProblem('two system texts', problem);
}

/** A field's text without the white space around it. */
export function text(name: string, value: unknown, limits: TextLimits, mayBeEmpty = false): string {
  if (value === null || value === undefined) {
    throw new RowProblem('missing field', `"${name}": expected text, received ${show(value)}`);
  }
  const whole = checkText(name, value, limits, mayBeEmpty);
  const trimmed = whole.trim();
  if (trimmed !== whole) limits.note('white space around a text, cut off', name);
  return trimmed;
}

export function said(role: Message['role'], content: string): Message {
  return { role, content };
}
