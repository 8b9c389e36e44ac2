/** A rendered conversation, cut into what is given and what the assistant wrote. */
import { DataError } from '../errors.ts';
import type { Generated } from '../jinja/template.ts';
import type { Conversation, Message } from '../message.ts';
import type { ChatMessage, RenderChat } from './chat-template.ts';

/** What the template writes around an answer, up to and without the token that ends it. */
export interface Around {
  /**
   * What opens an assistant's turn where the template has no generation prompt: it then belongs to the question, so that
   * a model is asked for the answer alone. "" where there is a generation prompt.
   */
  readonly header: string;
  /** An opening tag of reasoning that ends what asks, with its line break, where answers without reasoning begin otherwise; "" elsewhere. */
  readonly tag: string;
  readonly before: string;
  readonly after: string;
  readonly endId: number;
  readonly endText: string;
  /** Texts of tokens that open and end a turn, special or not. */
  readonly marks: readonly string[];
}

/** Writes a conversation in a model's template. */
export type Render = (conversation: Conversation, ask: boolean) => Generated;

/** Messages under the keys that templates read. */
export function renderMessages(template: RenderChat): Render {
  return ({ messages, tools }, ask) => template.generate(messages.map(asTemplatesKnow), ask, { tools: tools ?? null });
}

function asTemplatesKnow({ role, content, reasoning, tool_calls, tool_call_id, name }: Message): ChatMessage {
  return {
    role,
    content,
    ...(reasoning ? { reasoning_content: reasoning } : {}),
    ...(tool_calls ? { tool_calls: JSON.parse(tool_calls) as unknown } : {}),
    ...(tool_call_id ? { tool_call_id } : {}),
    ...(name ? { name } : {}),
  };
}

/** A part of a rendered conversation. */
export interface Piece {
  readonly text: string;
  readonly isLearned: boolean;
  /** What the assistant wrote, learned or not. */
  readonly isAnswer: boolean;
}

/**
 * The pieces of a conversation to learn from, the last of which is the last answer. Where the template marks what an
 * assistant writes ({% generation %}), these are the answers, with whatever stands in the mark; else each answer reaches
 * from the question's end to the token that ends it. Where a template rewrites earlier messages, those that are not
 * learned are part of what is given.
 *
 * @throws DataError where a message that is learned cannot be found in the text
 */
export function learnedPieces(render: Render, conversation: Conversation, around: Around, where: string): Piece[] {
  const whole = render(conversation, false);
  if (whole.spans.length > 0) {
    if (around.tag !== '') checkOpened(render, conversation, whole.text, around.tag, where);
    return markedPieces(whole, conversation.messages, where);
  }
  const strict = cut(render, conversation, whole.text, around, where, () => true);
  if (!(strict instanceof DataError)) return strict;
  const last = conversation.messages.length - 1;
  const some = cut(
    render,
    conversation,
    whole.text,
    around,
    where,
    ({ learned }, i) => learned !== false || i === last,
  );
  if (some instanceof DataError) throw some;
  return some;
}

/** The pieces of a conversation that asks; one where the template rewrites earlier messages, or marks them itself. */
export function askedPieces(render: Render, conversation: Conversation, around: Around, where: string): Piece[] {
  const { text, spans } = render(conversation, true);
  const whole = text + around.header;
  const given = (part: string): Piece => ({ text: part, isLearned: false, isAnswer: false });
  if (spans.length > 0) {
    const marks = spans.flat();
    return [...marks, whole.length].map((end, i) => given(whole.slice(marks[i - 1] ?? 0, end)));
  }
  const pieces = cut(render, conversation, whole, around, where, () => true);
  if (pieces instanceof DataError) return [given(whole)];
  const written = pieces.reduce((sum, piece) => sum + piece.text.length, 0);
  return [...pieces, given(whole.slice(written))];
}

/** Marks show what is learned, not that a model is asked so: each answer that is learned must begin with the tag that asks. */
function checkOpened(
  render: Render,
  { messages, tools }: Conversation,
  whole: string,
  tag: string,
  where: string,
): void {
  for (const [i, { role, learned }] of messages.entries()) {
    if (role !== 'assistant' || (learned === false && i < messages.length - 1)) continue;
    const prefix = render({ messages: messages.slice(0, i), tools }, true).text;
    if (!whole.startsWith(prefix)) throw withoutReasoning(where, tag, `message ${i + 1}`);
  }
}

/** Cuts at the template's own marks. */
function markedPieces({ text, spans: marked }: Generated, messages: readonly Message[], where: string): Piece[] {
  const answers = messages.filter(({ role }) => role === 'assistant');
  // Phi-3 marks the EOS of the whole conversation apart.
  const spans = marked.flatMap(([start, end], i): [number, number][] => {
    let last = i;
    while (marked[last + 1]?.[0] === marked[last]?.[1]) last++;
    return i > 0 && marked[i - 1]?.[1] === start ? [] : [[start, marked[last]?.[1] ?? end]];
  });
  if (spans.length !== answers.length) {
    throw new DataError(
      `${where}: chat_template: marks ${spans.length} answers ({% generation %}) of ${answers.length}; expected each once. ` +
        'Mend the template, or leave the row out.',
    );
  }
  const lost = answers.findIndex((message, i) => !says(text.slice(...(spans[i] ?? [0, 0])), message));
  if (lost !== -1) {
    throw new DataError(
      `${where}: chat_template: leaves out part of what the assistant says (answer ${lost + 1}); expected its content, ` +
        'reasoning and calls. Bring the row into the form that the template writes.',
    );
  }
  let at = 0;
  return spans.flatMap(([start, end], i): Piece[] => {
    const given = { text: text.slice(at, start), isLearned: false, isAnswer: false };
    at = end;
    return [given, { text: text.slice(start, end), isLearned: answers[i]?.learned !== false, isAnswer: true }];
  });
}

/**
 * Cuts the text of a conversation before and after those of the assistant's messages that `wanted` names; the error to
 * throw where it cannot be cut.
 */
function cut(
  render: Render,
  { messages, tools }: Conversation,
  whole: string,
  { header, tag, endText }: Around,
  where: string,
  wanted: (message: Message, index: number) => boolean,
): Piece[] | DataError {
  const pieces: Piece[] = [];
  let at = 0;
  for (const [i, message] of messages.entries()) {
    if (message.role !== 'assistant' || !wanted(message, i)) continue;
    const prefix = render({ messages: messages.slice(0, i), tools }, true).text + header;
    const stop = whole.indexOf(endText, prefix.length) + endText.length;
    if (tag !== '' && prefix.endsWith(tag) && !whole.startsWith(prefix)) {
      const isOpened = whole.startsWith(prefix.slice(0, -tag.length));
      if (isOpened) return withoutReasoning(where, tag, `message ${i + 1}`);
    }
    if (!whole.startsWith(prefix) || prefix.length < at) return notAppended(where, `the dialogue after message ${i}`);
    const written = whole.slice(prefix.length, stop);
    const isWhole = stop >= prefix.length + endText.length && says(written, message);
    if (!isWhole) {
      return new DataError(
        `${where}: chat_template: message ${i + 1} (assistant) does not stand in the text as it is; expected its content ` +
          'and the token that ends it. Where the template rewrites earlier answers set data.learn: last; else bring the row ' +
          'into the form that the template writes.',
      );
    }
    pieces.push({ text: whole.slice(at, prefix.length), isLearned: false, isAnswer: false });
    pieces.push({ text: written, isLearned: message.learned !== false, isAnswer: true });
    at = stop;
  }
  return pieces;
}

/** Whether a text holds all that a message says. */
function says(text: string, { content, reasoning, tool_calls }: Message): boolean {
  return [content, reasoning ?? '', ...namesOfCalls(tool_calls)].every((part) => text.includes(part.trim()));
}

/** Names of the functions in tool calls. */
export function namesOfCalls(calls: string | null | undefined): string[] {
  if (!calls) return [];
  return (JSON.parse(calls) as { function?: { name?: unknown } }[]).map((call) => String(call.function?.name ?? ''));
}

/** The error for a template that writes a beginning otherwise once more follows. */
export function notAppended(where: string, what: string): DataError {
  return new DataError(
    `${where}: chat_template: ${what} changes what was written before it; expected a template that only appends, as the ` +
      'model answers after the text of the question alone. Set data.learn: last, use one turn a row, or another template.',
  );
}

/** The error for an answer without reasoning where the template asks for reasoning. */
export function withoutReasoning(where: string, tag: string, what: string): DataError {
  const shown = JSON.stringify(tag);
  return new DataError(
    `${where}: chat_template: asks with ${shown}, and writes ${what} (assistant) without it; expected an answer that begins with its reasoning, or ` +
      'the model would be asked otherwise than it was trained. Give the answers their reasoning (reasoning_content), where the template writes ' +
      `that; or copy the template into a file, take ${shown} out of it at add_generation_prompt, and name the file as data.template. Where ` +
      'only earlier answers are written so, set data.learn: last.',
  );
}
