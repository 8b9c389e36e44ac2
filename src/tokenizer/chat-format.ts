/** Conversations as ids with a mask of what the assistant wrote, in the format of a model's own chat template. */
import type { TokenSequence } from '../batch/token-batch.ts';
import { DataError } from '../errors.ts';
import { TemplateError } from '../jinja/template-error.ts';
import { type Message, systemSays, userSays } from '../message.ts';
import type { ChatMessage, RenderChat } from './chat-template.ts';
import type { RenderedEncoder } from './rendered-text.ts';

/** How a chat model speaks. */
export interface ChatFormat {
  /** What the template writes after an assistant's text; a response ends with it. */
  readonly endId: number;
  /**
   * A dialogue up to where the assistant is to answer.
   * @param where names the example in errors
   * @throws DataError where a message holds a special token's text, or the template rewrites earlier turns
   */
  prompt(messages: readonly Message[], where?: string): TokenSequence;
  /**
   * The ids of `prompt` where the template writes the earlier turns as they are; where it rewrites them (Qwen3 takes the
   * thinking out of earlier answers) what it makes of them: to be answered, not learned.
   * @throws DataError where a message holds a special token's text
   */
  ask(messages: readonly Message[], where?: string): Int32Array;
  /** Ids of an answer, without the token that ends it. */
  target(text: string, where?: string): Int32Array;
  /** The answer in decoded text, or in a beginning of it: without what the template writes around it. */
  answer(decoded: string): string;
  /** What the template writes between an answer and the token that ends it. */
  readonly after: string;
}

/** What the template writes around an answer, up to and without the token that ends it. */
interface Around {
  /**
   * What opens an assistant's turn where the template has no generation prompt: it then belongs to the question, so that
   * a model is asked for the answer alone. "" where there is a generation prompt.
   */
  readonly header: string;
  readonly before: string;
  readonly after: string;
  readonly endId: number;
  readonly endText: string;
  /** Texts of tokens that open and end a turn, special or not. */
  readonly marks: readonly string[];
}

const QUESTION = 'plumbline-question';
const SYSTEM = 'plumbline-system';
const PROBE = { prompt: QUESTION, messages: userSays(QUESTION), target: 'plumbline-answer' };

/**
 * The format of a template. Each answer is tokenized apart from what stands before it, so that the mask is exact and
 * generation, which starts after the prompt's own tokens, sees ids that were trained on.
 * @param where names the tokenizer in errors
 * @throws DataError where the template does not end an assistant's text with a token of its own
 */
export function chatFormat(template: RenderChat, encoder: RenderedEncoder, where: string): ChatFormat {
  const render: Render = (messages, ask) => template(messages.map(asTemplatesKnow), ask);
  const asked = render(PROBE.messages, true);
  const around = probe(render, encoder, asked, where);
  // Decoding leaves special tokens out.
  const [before, after] = [encoder.plain(around.before), encoder.plain(around.after)];
  let systemFault: string | undefined;
  const refuse = (messages: readonly Message[], at: string): void => {
    refuseSpecial(messages, encoder, around.marks, at);
    if (messages[0]?.role !== 'system' || messages[0].content.trim() === '') return;
    systemFault ??= faultOfSystem(render);
    if (systemFault !== '') throw new DataError(`${at}: chat_template: ${systemFault}`);
  };
  return {
    endId: around.endId,
    after,
    target: (text, at = where) => {
      const message: Message = { role: 'assistant', content: text };
      refuse([message], at);
      const whole = render([...PROBE.messages, message], false);
      const opened = asked + around.header;
      const end = whole.indexOf(around.endText, opened.length);
      if (!whole.startsWith(opened) || end === -1) throw notAppended(at, 'the answer');
      return Int32Array.from(encoder.encode(whole.slice(opened.length, end), opened));
    },
    prompt: (messages, at = where) => {
      refuse(messages, at);
      const pieces = piecesOf(render, messages, around, at);
      if (pieces instanceof DataError) throw pieces;
      return joined(encoder, pieces);
    },
    ask: (messages, at = where) => {
      refuse(messages, at);
      const pieces = piecesOf(render, messages, around, at);
      const isRewritten = pieces instanceof DataError;
      return isRewritten
        ? Int32Array.from(encoder.encode(render(messages, true) + around.header, ''))
        : joined(encoder, pieces).ids;
    },
    answer: (decoded) => {
      // A beginning of what stands before an answer is nothing of it yet.
      if (before.startsWith(decoded)) return '';
      const start = decoded.startsWith(before) ? before.length : 0;
      const isAfter = after !== '' && decoded.endsWith(after);
      return decoded.slice(start, isAfter ? -after.length : undefined);
    },
  };
}

type Render = (messages: readonly Message[], ask: boolean) => string;

/** A message under the keys that templates read. */
function asTemplatesKnow({ role, content }: Message): ChatMessage {
  return { role, content };
}

/** A token that opens or ends a turn would, within a message, start a turn that is not in the conversation. */
function refuseSpecial(
  messages: readonly Message[],
  encoder: RenderedEncoder,
  marks: readonly string[],
  where: string,
): void {
  const problems = messages.flatMap(({ role, content }, i) => {
    const found = encoder.find(content)?.content ?? marks.find((mark) => content.includes(mark));
    if (found === undefined) return [];
    return [
      `${where}: message ${i + 1} (${role}) contains ${JSON.stringify(found)}, a special token of the tokenizer; expected plain text, as it ` +
        'would end or open a turn. Remove it, or write it otherwise.',
    ];
  });
  if (problems.length > 0) throw new DataError(problems);
}

/** What keeps the system's text out of what a model reads, in words; "" where nothing does. */
function faultOfSystem(render: Render): string {
  const remedy = "Take the system text out, or put it into the user's first message.";
  try {
    if (render([...systemSays(SYSTEM), ...PROBE.messages], true).includes(SYSTEM)) return '';
    return `leaves out what the system says, so that the model would never read it; expected a template that writes it. ${remedy}`;
  } catch (error) {
    if (!(error instanceof DataError && error.cause instanceof TemplateError)) throw error;
    return `refuses a message of the system (${error.cause.located}); expected user and assistant alone. ${remedy}`;
  }
}

/** One question and answer through the template: what stands around the answer, and what ends it. */
function probe(render: Render, encoder: RenderedEncoder, asked: string, where: string): Around {
  const answer: Message = { role: 'assistant', content: PROBE.target };
  const whole = render([...PROBE.messages, answer], false);
  if (!whole.startsWith(asked)) throw notAppended(where, 'the answer');
  const written = whole.slice(asked.length);
  const at = written.indexOf(PROBE.target);
  const rest = written.slice(at + PROBE.target.length);
  const end = at === -1 ? undefined : encoder.first(rest);
  if (end === undefined) {
    throw new DataError(
      `${where}: chat_template: writes ${at === -1 ? 'no answer' : 'no token of its own after an answer'}; expected the ` +
        'assistant’s text and a token that ends it, or a model would never stop. Mend the template, or remove it: then ' +
        'the plain format is used.',
    );
  }
  const before = written.slice(0, at);
  // White space alone opens no turn: Mistral's answers begin with a space.
  const header = before.trim() === '' || isPrompted(render, asked) ? '' : before.replace(/ +$/, '');
  const opening = encoder.first(asked.slice(0, asked.indexOf(PROBE.prompt)));
  return {
    header,
    before: before.slice(header.length),
    after: rest.slice(0, rest.indexOf(end.content)),
    endId: end.id,
    endText: end.content,
    marks: [end.content, ...(opening === undefined ? [] : [opening.content])],
  };
}

/** True where `add_generation_prompt` writes something; a text that stands only where nothing is asked is none. */
function isPrompted(render: Render, asked: string): boolean {
  return !render(PROBE.messages, false).startsWith(asked);
}

function notAppended(where: string, what: string): DataError {
  return new DataError(
    `${where}: chat_template: ${what} changes what was written before it; expected a template that only appends, as the ` +
      'model answers after the text of the question alone. Use one turn a row, or another template.',
  );
}

interface Piece {
  readonly text: string;
  readonly isLearned: boolean;
}

/**
 * The rendered dialogue, cut into what is given and what the assistant wrote, each with the token that ends it; the error
 * to throw where it cannot be cut.
 */
function piecesOf(
  render: Render,
  messages: readonly Message[],
  { header, endText }: Around,
  where: string,
): Piece[] | DataError {
  const whole = render(messages, true) + header;
  const pieces: Piece[] = [];
  let at = 0;
  for (const [i, { role, content, learned = true }] of messages.entries()) {
    if (role !== 'assistant') continue;
    const prefix = render(messages.slice(0, i), true) + header;
    const stop = whole.indexOf(endText, prefix.length) + endText.length;
    if (!whole.startsWith(prefix) || prefix.length < at) return notAppended(where, `the dialogue after message ${i}`);
    const written = whole.slice(prefix.length, stop);
    if (stop < prefix.length + endText.length || !written.includes(content.trim())) {
      return new DataError(
        `${where}: chat_template: message ${i + 1} (assistant) does not stand in the text as it is; expected its content ` +
          'and the token that ends it. Bring the row into the form that the template writes.',
      );
    }
    pieces.push({ text: whole.slice(at, prefix.length), isLearned: false }, { text: written, isLearned: learned });
    at = stop;
  }
  return [...pieces, { text: whole.slice(at), isLearned: false }];
}

function joined(encoder: RenderedEncoder, pieces: readonly Piece[]): TokenSequence {
  const ids: number[] = [];
  const learned: number[] = [];
  let before = '';
  for (const { text, isLearned } of pieces) {
    for (const id of encoder.encode(text, before)) {
      ids.push(id);
      learned.push(isLearned ? 1 : 0);
    }
    before += text;
  }
  return { ids: Int32Array.from(ids), learned: Int32Array.from(learned) };
}
