/** Rendering templates: a row's fields into a prompt, a target and the options to choose from. */
import { DataError } from '../errors.ts';
import type { Conversation, Message } from '../message.ts';
import type { JsonLine } from '../tables/jsonl.ts';
import type { Template, TemplateFile } from './template-file.ts';

/** A rendered row; texts are without white space at their ends. */
export interface Rendered {
  /** The conversation up to the question: the user's message alone; for a dialogue earlier turns, whose answers are learned too. */
  readonly messages: readonly Message[];
  /** Tools of a conversation. */
  readonly tools?: readonly object[];
  /** A conversation's last message, where the target is only its text. */
  readonly reply?: Message;
  /** What the model should write; null for rows that are prompts only. */
  readonly target: string | null;
  /** The bare right answer in the template's wording; it differs from `target` in a chain of thought. */
  readonly answer: string | null;
  /** The answers to rank, in the template's wording; empty for free text and for inverted templates. */
  readonly options: readonly string[];
}

/** FLAN's options block: "OPTIONS:\n- a\n- b" (google-research/FLAN, flan/preprocessors.py `format_options`). */
export function formatOptions(options: readonly string[]): string {
  return ['OPTIONS:', ...options.map((option) => `- ${option}`)].join('\n');
}

/** The possible answers of a row in the dataset's own wording; empty for free text. */
export function rowOptions(file: TemplateFile, row: JsonLine): readonly string[] {
  if (file.options === undefined) return [];
  if ('list' in file.options) return file.options.list;
  const value = row.fields[file.options.column];
  const texts = Array.isArray(value) ? value.map((option) => (isText(option) ? String(option) : '')) : [];
  if (texts.length >= 2 && texts.every((text) => text.trim() !== '') && new Set(texts).size === texts.length) {
    return texts;
  }
  throw new DataError(
    `${row.where}: field "${file.options.column}": expected a list of two or more different options, ` +
      `received ${show(value)}. Mend the row.`,
  );
}

/** Whether a row's split has prompts without answers. */
export function isPromptOnly(file: Pick<TemplateFile, 'prompt_only'>, row: JsonLine): boolean {
  return file.prompt_only.includes(String(row.fields.split));
}

/**
 * The answer that a chain of thought ends in: group 1 of the last match of the file's `answer_pattern`; null where it
 * does not match.
 *
 * "3 + 4 = 7. The answer is 7." with pattern 'The answer is (.+?)\.?$'  ->  "7"
 */
export function readAnswer(file: Pick<TemplateFile, 'answer_pattern'>, text: string): string | null {
  return [...text.matchAll(new RegExp(file.answer_pattern, 'gm'))].at(-1)?.[1]?.trim() ?? null;
}

/**
 * Fills a template with a row.
 *
 * "What does {name} do?\n{options_}" with {name: "Ada"} and options baker, miller
 *   ->  "What does Ada do?\nOPTIONS:\n- baker\n- miller"
 *
 * With choices {baker: bakes, miller: mills} the options block, the answer's field and `options` have those words: T0's
 * answer choices (arXiv:2110.08207).
 *
 * @throws DataError naming template and row when a field is missing or is not text, when a prompt or target comes out
 *   empty, when a target is not among the options, when an option has no wording among the template's choices, or when
 *   the answer cannot be read off a chain of thought
 */
export function renderTemplate(file: TemplateFile, template: Template, row: JsonLine): Rendered {
  if (template.kind === 'conversation') return renderConversation(row.fields as unknown as Conversation);
  const options = rowOptions(file, row).map((option) => wordingOf(template, option, row));
  const render = (pattern: string, part: string): string => {
    const text = pattern.replace(/\{(\w+)\}/g, (_, name: string) => {
      return name === 'options_' ? formatOptions(options) : fieldText(file, template, row, name);
    });
    if (text.trim() !== '') return text.trim();
    throw new DataError(
      `${template.where}: template "${template.id}": the ${part} comes out empty for the row at ${row.where}; ` +
        'expected text. Mend the row or the template.',
    );
  };
  if (template.kind === 'text') return renderText(String(row.fields.text));
  const last = template.turns.at(-1) ?? { input: '', target: '' };
  const earlier = template.turns.slice(0, -1).flatMap(({ input, target }): Message[] => [
    { role: 'user', content: render(input, 'prompt') },
    { role: 'assistant', content: render(target, 'target') },
  ]);
  const messages: readonly Message[] = [...earlier, { role: 'user', content: render(last.input, 'prompt') }];
  const isInverted = template.kind === 'inverted';
  if (isPromptOnly(file, row) && !isInverted) return { messages, target: null, answer: null, options };
  const target = render(last.target, 'target');
  if (isInverted) return { messages, target, answer: target, options: [] };
  const answer = fieldText(file, template, row, file.answer.column).trim();
  checkAnswer(file, template, row, { target, answer, options });
  return { messages, target, answer, options };
}

/** A conversation as it is. */
function renderConversation({ messages, tools }: Conversation): Rendered {
  const reply = messages.at(-1) as Message;
  const asked = { messages: messages.slice(0, -1), reply, target: reply.content, answer: reply.content, options: [] };
  return tools === undefined ? asked : { ...asked, tools };
}

/** A text, which answers nothing. */
function renderText(text: string): Rendered {
  return { messages: [], target: text, answer: text, options: [] };
}

/** Which of the assistant's messages are learned: each that may be, or the last. */
export const learnedAnswers = ['all', 'last'] as const;
export type LearnedAnswers = (typeof learnedAnswers)[number];

/** The whole conversation to learn from: the question with its target. */
export function answered({ messages, tools, reply, target }: Rendered, learn: LearnedAnswers): Conversation {
  const last: Message = reply ?? { role: 'assistant', content: target ?? '' };
  return toLearn({ messages: [...messages, last], tools }, learn);
}

/** A conversation with the answers before the last as context only, where the last alone is learned. */
export function toLearn(conversation: Conversation, learn: LearnedAnswers): Conversation {
  if (learn === 'all') return conversation;
  const last = conversation.messages.length - 1;
  const messages = conversation.messages.map((message, i) =>
    message.role === 'assistant' && i < last ? { ...message, learned: false } : message,
  );
  return { ...conversation, messages };
}

/** The text of a field; that of the answer in the template's wording. */
function fieldText(file: TemplateFile, template: Template, row: JsonLine, name: string): string {
  const value = row.fields[name];
  if (isText(value)) return name === file.answer.column ? wordingOf(template, String(value), row) : String(value);
  throw new DataError(
    `${row.where}: field "${name}", used by template "${template.id}" (${template.where}): ` +
      `expected text or a number, received ${show(value)}. Mend the row.`,
  );
}

function wordingOf({ id, choices, where }: Template, option: string, row: JsonLine): string {
  if (choices === undefined) return option;
  const words = Object.hasOwn(choices, option) ? choices[option] : undefined;
  if (words !== undefined) return words;
  throw new DataError(
    `${row.where}: template "${id}" (${where}) has no wording for "${option}"; ` +
      `its choices are ${Object.keys(choices).join(', ')}. Add one.`,
  );
}

/** Ranking needs the target to be an option; scoring a chain of thought needs its answer to be found. */
function checkAnswer(
  file: TemplateFile,
  template: Template,
  row: JsonLine,
  { target, answer, options }: { target: string; answer: string; options: readonly string[] },
): void {
  const at = `template "${template.id}" (${template.where})`;
  if (template.kind === 'chain_of_thought') {
    const read = readAnswer(file, target);
    if (read === answer) return;
    throw new DataError(
      `${row.where}: answer_pattern of ${file.path} finds ${show(read)} in the target of ${at}; ` +
        `expected "${answer}". Mend the pattern, the template or the row.`,
    );
  }
  if (options.length === 0 || options.includes(target)) return;
  throw new DataError(
    `${row.where}: the target "${target}" of ${at} is not among the options; expected one of ${options.join(', ')}. ` +
      'Mend the row.',
  );
}

/** True for what a placeholder can stand for. */
export function isText(value: unknown): value is string | number {
  return typeof value === 'string' || (typeof value === 'number' && Number.isFinite(value));
}

function show(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(value);
}
