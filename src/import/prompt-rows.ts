/** Prompts out of files of any shape that is recognized: texts, or conversations that a user's message ends. */
import type { Conversation, Message } from '../message.ts';
import { checkText, type TextLimits } from './check-text.ts';
import { historyOf, messagesOf, said, text, withSystem } from './conversation-rows.ts';
import { parseTools } from './messages.ts';
import { fieldsOfPart, keysOfMessages, partNames, shownFields, unpacked } from './recognize.ts';
import {
  type RecognizedRow,
  type RecognizedRows,
  type RowFiles,
  type RowUse,
  readRecognized,
} from './recognized-rows.ts';
import { isVoid, RowProblem, show } from './source-row.ts';
import { orderTurns } from './turns.ts';

type Fields = Readonly<Record<string, unknown>>;

/** What the rows of a file are taken for. */
interface Taken {
  readonly part: 'prompt' | 'messages' | 'instruction' | 'text';
  readonly field: string;
  /** Lists of messages, or texts. */
  readonly isList: boolean;
}

/** What is read, and how. */
export interface PromptFiles extends RowFiles {
  /** Texts to go on with as they are; nobody asks them, so that there are no conversations among them. */
  readonly raw: boolean;
}

/** A conversation that ends with the message of the user or of a tool. */
export type PromptRow = RecognizedRow<Conversation>;

/**
 * Reads all prompts. Of a conversation that ends with the assistant the last answer is left out, which is counted.
 *
 * @throws DataError as `readRecognized`
 */
export async function readPromptRows(asked: PromptFiles): Promise<RecognizedRows<Taken, PromptRow['content']>> {
  return readRecognized(asked, useOf(asked.raw));
}

function useOf(raw: boolean): RowUse<Taken, PromptRow['content']> {
  return {
    section: 'prompts',
    recognize: (rows) => recognizePrompts(rows, raw),
    known: [
      'A prompt is',
      `  a text: ${[...new Set([...partNames.prompt, 'instruction (with input)', ...partNames.text])].join(', ')}`,
      `  or a list of {role|from, content|value}: ${['prompt', ...partNames.messages].join(', ')}; with system and tools, where it has them`,
    ],
    named: ({ field, isList }) => `${isList ? 'conversations' : 'prompt texts'} (${field})`,
    fieldsOf: ({ part, field }) => {
      const beside = [...partNames.system, ...partNames.history, ...partNames.tools];
      return raw ? [field] : [field, ...beside, ...(part === 'instruction' ? ['input'] : [])];
    },
    contentsOf: (row, taken, limits) => [raw ? goneOn(row, taken, limits) : questionOf(row, taken, limits)],
    ownSplits: true,
    remedy: 'Mend the rows',
  };
}

/** A text to go on with, as it stands. */
function goneOn(row: Fields, { field }: Taken, limits: TextLimits): Conversation {
  const value = row[field];
  if (typeof value === 'string') return { messages: [said('user', checkText(field, value, limits))] };
  const problem = `"${field}": expected text, as prompts.raw goes on with it, received ${show(value)}`;
  throw new RowProblem(isVoid(value) ? 'missing field' : 'wrong type', problem);
}

/** Messages in turn up to what is to be answered, after those of fields "system" and "history", with the field "tools". */
function questionOf(row: Fields, { part, field }: Taken, limits: TextLimits): Conversation {
  const value = row[field];
  if (isVoid(value)) throw new RowProblem('missing field', `"${field}": expected a prompt, received ${show(value)}`);
  const list = unpacked(value);
  const asked = Array.isArray(list)
    ? messagesOf(field, list, limits)
    : [said('user', textOf(row, { part, field }, limits))];
  const earlier = fieldsOfPart(row, 'history')[0];
  const system = fieldsOfPart(row, 'system')[0];
  const spoken = [...(earlier === undefined ? [] : earlierTurns(row[earlier], limits)), ...asked];
  const messages = system === undefined ? spoken : withSystem(spoken, row[system], limits);
  const described = fieldsOfPart(row, 'tools')[0];
  const tools = described === undefined ? undefined : parseTools(row[described]);
  const turns = orderTurns(field, messages, { accept: ['same_role', 'assistant_first'], note: limits.note });
  if (turns.at(-1)?.role !== 'assistant') return { messages: turns, tools };
  limits.note('ends with an answer: it is left out, and what stands before it is the prompt', field);
  return { messages: turns.slice(0, -1), tools };
}

/** A text, with the input of an instruction below it. */
function textOf(row: Fields, { part, field }: Pick<Taken, 'part' | 'field'>, limits: TextLimits): string {
  const asked = text(field, row[field], limits);
  const input = part === 'instruction' ? fieldsOfPart(row, 'input')[0] : undefined;
  const more = input === undefined || isVoid(row[input]) ? '' : text(input, row[input], limits, true);
  return more === '' ? asked : `${asked}\n${more}`;
}

/** Earlier turns as messages, as pairs, or as texts of user and assistant in turn, which our own tables hold. */
function earlierTurns(value: unknown, limits: TextLimits): Message[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [];
  if (keysOfMessages(list) !== null) return messagesOf('history', list, limits);
  if (list.length === 0 || !list.every((entry) => typeof entry === 'string')) return historyOf(value, limits);
  return list.map((entry, i) => said(i % 2 === 0 ? 'user' : 'assistant', text(`history[${i}]`, entry, limits)));
}

/**
 * What most of the first rows of a file are taken for.
 *
 * {prompt: "Why?", chosen: "…"}  ->  texts of the field prompt
 *
 * @returns what is wrong, in words, where there is nothing
 */
function recognizePrompts(rows: readonly Fields[], raw: boolean): Taken | string {
  const counts = new Map<string, { count: number; taken: Taken }>();
  for (const row of rows) {
    const taken = readingOf(row, raw);
    if (taken === null) continue;
    const entry = counts.get(taken.field) ?? { count: 0, taken };
    counts.set(taken.field, { ...entry, count: entry.count + 1 });
  }
  const [best] = [...counts.values()].sort((a, b) => b.count - a.count);
  return best?.taken ?? `no prompts were recognized in ${shownFields(rows)}`;
}

/** The first field that can be the prompt: one of that name is, whatever else there is. */
function readingOf(row: Fields, raw: boolean): Taken | null {
  const prompts = fieldsOfPart(row, 'prompt');
  const [named, others] = [prompts.filter(isNamed), prompts.filter((name) => !isNamed(name))];
  const candidates = [
    ...named.map((field) => ({ part: 'prompt' as const, field })),
    ...(['messages', 'instruction'] as const).flatMap((part) =>
      fieldsOfPart(row, part).map((field) => ({ part, field })),
    ),
    ...others.map((field) => ({ part: 'prompt' as const, field })),
    ...fieldsOfPart(row, 'text').map((field) => ({ part: 'text' as const, field })),
  ];
  for (const { part, field } of candidates) {
    const value = row[field];
    const isList = !raw && keysOfMessages(unpacked(value)) !== null;
    const isText = part !== 'messages' && typeof value === 'string' && value.trim() !== '';
    if (isList ? part === 'prompt' || part === 'messages' : isText) return { part, field, isList };
  }
  return null;
}

const isNamed = (field: string): boolean => field.toLowerCase() === 'prompt';
