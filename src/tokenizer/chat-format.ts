/** Conversations as ids with a mask of what the assistant wrote, in the format of a model's own chat template. */
import type { TokenSequence } from '../batch/token-batch.ts';
import { DataError } from '../errors.ts';
import { type Conversation, type Message, userSays } from '../message.ts';
import {
  type Around,
  askedPieces,
  learnedPieces,
  notAppended,
  type Piece,
  type Render,
  renderMessages,
  withoutReasoning,
} from './chat-pieces.ts';
import { refusals } from './chat-refusals.ts';
import type { RenderChat } from './chat-template.ts';
import type { RenderedEncoder } from './rendered-text.ts';

/** How a chat model speaks. */
export interface ChatFormat {
  /** What the template writes after an assistant's text; a response ends with it. */
  readonly endId: number;
  /**
   * A conversation that ends with the assistant's message, up to the token that ends it. Learned is what the assistant wrote
   * with the tokens that end it, but for messages that are not to be learned.
   * @param where names the example in errors
   * @throws DataError where a message holds a special token's text or cannot be said, or the template rewrites a message
   *   that is learned
   */
  example(conversation: Conversation, where?: string): TokenSequence & { readonly promptLength: number };
  /**
   * A conversation up to where the assistant is to answer: the beginning of its `example`. Where the template rewrites
   * earlier messages (Qwen3 takes the thinking out of earlier answers), what it makes of them.
   * @throws DataError where a message holds a special token's text or cannot be said
   */
  ask(conversation: Conversation, where?: string): Int32Array;
  /**
   * Ids of an answer, without the token that ends it.
   * @param asked what it answers: templates may write an answer otherwise after other messages
   */
  target(answer: Message, asked?: Conversation, where?: string): Int32Array;
  /** The answer in decoded text, or in a beginning of it: without what the template writes around it. */
  answer(decoded: string): string;
  /** What the template writes between an answer and the token that ends it. */
  readonly after: string;
}

const QUESTION = 'plumbline-question';
const ANSWER = 'plumbline-answer';
/** What DeepSeek-R1 and Nemotron 3 ask with. */
const REASONING_TAG = /<(?:think|thinking|reasoning)>\s*$/;
const PROBE: Conversation = { messages: userSays(QUESTION) };

/**
 * The format of a template. Each answer is tokenized apart from what stands before it, so that the mask is exact and
 * generation, which starts after the prompt's own tokens, sees ids that were trained on.
 * @param where names the tokenizer in errors
 * @throws DataError where the template does not end an assistant's text with a token of its own, or asks with words that answers do not begin with; but a tag
 *   that opens reasoning may ask: then examples and targets throw for answers without reasoning
 */
export function chatFormat(template: RenderChat, encoder: RenderedEncoder, where: string): ChatFormat {
  const render = renderMessages(template);
  const asked = render(PROBE, true).text;
  const around = probe(render, encoder, asked, where);
  // Decoding leaves special tokens out.
  const [before, after] = [encoder.plain(around.before), encoder.plain(around.after)];
  const refuse = refusals(render, encoder, around.marks);
  return {
    endId: around.endId,
    after,
    target: (answer, { messages, tools } = PROBE, at = where) => {
      const conversation = { messages: [...messages, answer], tools };
      refuse(conversation, at);
      const whole = render(conversation, false).text;
      const opened = (messages === PROBE.messages ? asked : render({ messages, tools }, true).text) + around.header;
      const end = whole.indexOf(around.endText, opened.length);
      const [isAppended, isEnded] = [whole.startsWith(opened), end !== -1];
      if (!isAppended && around.tag !== '') throw withoutReasoning(at, around.tag, 'the answer');
      if (!isAppended || !isEnded) {
        const problem = isAppended
          ? `ends this answer otherwise than by ${around.endText}; expected that token, or a model would not stop`
          : 'the answer changes what was written before it; expected a template that only appends';
        throw new DataError(`${at}: chat_template: ${problem}. Leave the row out, or use another template.`);
      }
      return Int32Array.from(encoder.encode(whole.slice(opened.length, end), opened));
    },
    example: (conversation, at = where) => {
      refuse(conversation, at);
      return joined(encoder, learnedPieces(render, conversation, around, at), around);
    },
    ask: (conversation, at = where) => {
      refuse(conversation, at);
      const pieces = askedPieces(render, conversation, around, at);
      return joined(encoder, pieces, around).ids;
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

/** One question and answer through the template: what stands around the answer, and what ends it. */
function probe(render: Render, encoder: RenderedEncoder, asked: string, where: string): Around {
  const answer: Message = { role: 'assistant', content: ANSWER };
  const whole = render({ messages: [...PROBE.messages, answer] }, false).text;
  // An answer with reasoning may well begin so; each is looked at.
  const tag = whole.startsWith(asked) ? '' : (REASONING_TAG.exec(asked)?.[0] ?? '');
  const opened = asked.slice(0, asked.length - tag.length);
  if (!whole.startsWith(opened)) throw notAppended(where, 'the answer');
  const written = whole.slice(opened.length);
  const at = written.indexOf(ANSWER);
  const rest = written.slice(at + ANSWER.length);
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
  const opening = encoder.first(asked.slice(0, asked.indexOf(QUESTION)));
  return {
    header,
    tag,
    before: before.slice(header.length),
    after: rest.slice(0, rest.indexOf(end.content)),
    endId: end.id,
    endText: end.content,
    marks: [end.content, ...(opening === undefined ? [] : [opening.content])],
  };
}

/** True where `add_generation_prompt` writes something; a text that stands only where nothing is asked is none. */
function isPrompted(render: Render, asked: string): boolean {
  return !render(PROBE, false).text.startsWith(asked);
}

function joined(encoder: RenderedEncoder, pieces: readonly Piece[], { endText, endId }: Around) {
  const ids: number[] = [];
  const learned: number[] = [];
  let before = '';
  let promptLength = 0;
  for (const [i, { text, isLearned, isAnswer }] of pieces.entries()) {
    const isLast = i === pieces.length - 1;
    if (isAnswer) promptLength = ids.length;
    // The last answer is what a model writes itself: text, then the token that ends it.
    const isClosed = isLast && isAnswer && text.endsWith(endText);
    const own = isClosed
      ? [...encoder.encode(text.slice(0, -endText.length), before), endId]
      : encoder.encode(text, before);
    for (const id of own) {
      ids.push(id);
      learned.push(isLearned ? 1 : 0);
    }
    before += text;
  }
  return { ids: Int32Array.from(ids), learned: Int32Array.from(learned), promptLength };
}
