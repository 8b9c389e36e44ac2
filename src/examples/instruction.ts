/** Instruction examples: rendered prompts and targets as token ids with a loss mask. */
import type { TokenSequence } from '../batch/token-batch.ts';
import { DataError } from '../errors.ts';
import { type Conversation, type Message, userSays } from '../message.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';

/**
 * What to do with examples longer than a row: stop, leave them out, cut the beginning of the prompt (left) or the end of
 * the target (right), or leave out first turns, and the whole where the last one is too long (turns). Right loses EOS, which is counted and shown.
 */
export const overlongPolicies = ['error', 'drop', 'left', 'right', 'turns'] as const;
export type OverlongPolicy = (typeof overlongPolicies)[number];

/** An example that was made to fit. */
export interface FittedExample extends TokenSequence {
  /** Tokens that were cut off. */
  readonly cutTokens: number;
  /** False where the end of the target was cut, and EOS with it. */
  readonly endsInEos: boolean;
}

export interface EncodeOptions {
  /** Longest sequence allowed, BOS and EOS included. */
  maxLength: number;
  overlong: OverlongPolicy;
  /** Names the example in errors. */
  where: string;
}

/**
 * Ids of a conversation as a model reads it before it answers: BOS, earlier turns with their EOS, text, line break; for a
 * tokenizer with a chat format, what its template writes.
 *
 * @param messages a conversation that ends with the message of the user or of a tool, which is asked
 * @param where    names it in errors
 * @param tools    tools that the assistant may call, as the template describes them
 * @throws DataError where a chat format meets the text of a special token, or the format has no place for a message
 */
export function encodePrompt(
  messages: readonly Message[],
  tokenizer: Tokenizer,
  where?: string,
  tools?: readonly object[],
): Int32Array {
  return tokenizer.chat === null
    ? encodeTurns({ messages, tools }, tokenizer, where).ids
    : tokenizer.chat.ask({ messages, tools }, where);
}

/** Ids of a text to go on with as it is: after BOS where prompts of this tokenizer start with it. */
export function encodeRaw(text: string, tokenizer: Tokenizer): Int32Array {
  const ids = tokenizer.encode(text);
  const { bosId } = tokenizer;
  const startsWithBos = bosId !== null && encodePrompt(userSays('a'), tokenizer)[0] === bosId;
  return startsWithBos ? Int32Array.of(bosId, ...ids) : ids;
}

/**
 * The plain format: BOS, then each message of the user as text and line break, each of the assistant as space + text and
 * EOS. The system's text stands in front of the user's first, a blank line between them.
 */
function encodeTurns({ messages, tools }: Conversation, tokenizer: Tokenizer, where = 'a conversation'): TokenSequence {
  const given = (ids: Int32Array): TokenSequence => ({ ids, learned: new Int32Array(ids.length) });
  const parts = tokenizer.bosId === null ? [] : [given(Int32Array.of(tokenizer.bosId))];
  const fault = faultOfPlain({ messages, tools });
  if (fault !== null) throw new DataError(`${where}: ${fault}`);
  let system = '';
  for (const [i, { role, content, learned }] of messages.entries()) {
    if (role === 'system') system = `${content}\n\n`;
    else if (role === 'assistant') {
      const answer = learnedResponse(encodeTarget(content, tokenizer), tokenizer);
      parts.push(learned === false ? given(answer.ids) : answer);
    } else {
      const before = messages[i - 1]?.role;
      const encode = { assistant: tokenizer.encodeSection, user: tokenizer.encodeOn };
      const text = `${system}${content}\n`;
      parts.push(given((before === 'assistant' || before === 'user' ? encode[before] : tokenizer.encode)(text)));
      system = '';
    }
  }
  return joinParts(parts);
}

/** What the plain format has no place for, in words; null where it can say it all. */
function faultOfPlain({ messages, tools = [] }: Conversation): string | null {
  const remedy = 'Use a model with a chat template that knows it, or leave the row out.';
  if (tools.length > 0) return `the plain format has no place for tools. ${remedy}`;
  for (const [i, { role, reasoning, tool_calls }] of messages.entries()) {
    const at = `message ${i + 1} (${role})`;
    if (role === 'tool' || tool_calls) return `${at}: the plain format has no place for tools. ${remedy}`;
    if (reasoning) return `${at}: the plain format has no place for reasoning. ${remedy}`;
    const isLed = role === 'system' && (i > 0 || messages[1]?.role !== 'user');
    if (isLed)
      return `${at}: the plain format has a place for the system in front of the user's first message alone. ${remedy}`;
  }
  return null;
}

/** A response and the EOS after it, all of it learned. */
function learnedResponse(response: Int32Array, { eosId }: Tokenizer): TokenSequence {
  const ids = new Int32Array(response.length + 1).fill(eosId);
  ids.set(response);
  return { ids, learned: new Int32Array(ids.length).fill(1) };
}

/**
 * Ids of a target or response as a model writes it, without EOS; options to rank are encoded the same way. It starts
 * with a space, so that a word copied from the prompt is the same token in both places (arXiv:2403.17031 detail D4 does
 * so too); some tokenizers put it there themselves. A chat format writes it as its template does. An empty text has no
 * tokens.
 */
export function encodeTarget(target: string, tokenizer: Tokenizer, where?: string): Int32Array {
  if (target === '') return new Int32Array();
  if (tokenizer.chat !== null) return tokenizer.chat.target({ role: 'assistant', content: target }, undefined, where);
  return tokenizer.encode(tokenizer.prependsSpace ? target : ` ${target}`);
}

/**
 * Ids of an answer with EOS, as they stand after `encodePrompt` of what is asked; none where it says nothing. A chat format
 * writes reasoning and calls of tools as its template does.
 *
 * @param where names it in errors
 * @throws DataError as `encodePrompt`
 */
export function encodeAnswer(
  answer: Message,
  asked: Conversation,
  tokenizer: Tokenizer,
  where = 'an answer',
): Int32Array {
  const { content, tool_calls } = answer;
  if (content === '' && !tool_calls) return new Int32Array();
  const fault = tokenizer.chat === null ? faultOfPlain({ ...asked, messages: [...asked.messages, answer] }) : null;
  if (fault !== null) throw new DataError(`${where}: ${fault}`);
  const ids = tokenizer.chat?.target(answer, asked, where) ?? encodeTarget(content, tokenizer);
  return Int32Array.of(...ids, tokenizer.eosId);
}

/** The text of a response: without special tokens and without the space it starts with, or what a template writes around it. */
export function decodeResponse(ids: ArrayLike<number>, tokenizer: Tokenizer): string {
  if (tokenizer.chat !== null) return tokenizer.chat.answer(tokenizer.decode(ids));
  return tokenizer.decode(ids).replace(/^ /, '');
}

/**
 * One example as ids: BOS, prompt + "\n", " " + target, EOS; the loss mask covers target and EOS exactly, and those of
 * earlier answers. Prompt and target are tokenized apart. Together, a token could span the boundary; then the mask would
 * have to include part of the prompt or leave out part of the target, and generation, which starts after the prompt's own
 * tokens, would see ids never trained on.
 *
 * prompt "a", target "b", byte tokens  ->  ids [BOS, a, \n, " ", b, EOS], mask [0, 0, 0, 1, 1, 1]
 *
 * @returns null where the policy is "drop" and the example is too long, or "turns" and its last turn is. "left" leaves out
 *   whole turns from the beginning as "turns" does, but not what the system says, then cuts the beginning of the last prompt,
 *   never BOS, target or EOS, and of a chat format nothing; "right" cuts the end of the target, and EOS, never the last prompt
 * @throws DataError when the target has no tokens, the example is too long under "error", or nothing of the prompt
 *   (left) or of the target (right) would be left
 */
export function encodeExample(
  { messages, tools }: Conversation,
  tokenizer: Tokenizer,
  { maxLength, overlong, where }: EncodeOptions,
): FittedExample | null {
  checkAnswer(messages, where);
  const { promptLength, ...whole } = encodeWhole({ messages, tools }, tokenizer, where);
  const excess = whole.ids.length - maxLength;
  if (excess <= 0) return { ...whole, cutTokens: 0, endsInEos: true };
  if (overlong === 'drop') return null;
  const rest = withoutFirstTurn(messages);
  if (overlong === 'turns' && rest === null) return null;
  if (rest !== null && (overlong === 'turns' || overlong === 'left')) {
    const fitted = encodeExample({ messages: rest, tools }, tokenizer, { maxLength, overlong, where });
    return fitted && { ...fitted, cutTokens: whole.ids.length - fitted.ids.length };
  }
  const fixed = tokenizer.bosId === null ? 0 : 1;
  const answer = whole.ids.length - promptLength;
  const canCutLeft = tokenizer.chat === null ? promptLength - fixed : 0;
  const canCut = overlong === 'left' ? canCutLeft : answer - 1;
  if (overlong === 'error' || excess > canCut) {
    throw new DataError(
      `${where}: the example is too long; expected at most ${maxLength} tokens, received ` +
        `${promptLength} of prompt and ${answer} of target and EOS. ` +
        'Raise the sequence length, shorten the row, or choose overlong: drop.',
    );
  }
  if (overlong === 'right') return { ...slice(whole, 0, maxLength), cutTokens: excess, endsInEos: false };
  const kept = joinParts([slice(whole, 0, fixed), slice(whole, fixed + excess)]);
  return { ...kept, cutTokens: excess, endsInEos: true };
}

/** A whole conversation, and how many of its tokens stand before the last answer. */
function encodeWhole(conversation: Conversation, tokenizer: Tokenizer, where: string) {
  if (tokenizer.chat !== null) return tokenizer.chat.example(conversation, where);
  const whole = encodeTurns(conversation, tokenizer, where);
  const answer = encodeTarget(conversation.messages.at(-1)?.content ?? '', tokenizer).length + 1;
  return { ...whole, promptLength: whole.ids.length - answer };
}

/** The last message must be an answer that says something. */
function checkAnswer(messages: readonly Message[], where: string): void {
  const last = messages.at(-1);
  const received = last === undefined ? 'nothing' : `a message of the ${last.role}`;
  if (last?.role !== 'assistant') {
    throw new DataError(
      `${where}: the conversation ends with ${received}; expected the assistant's, to learn from. Mend or remove the row.`,
    );
  }
  if (last.content !== '' || last.tool_calls) return;
  throw new DataError(
    `${where}: the target is empty, so nothing would be learned; expected text. Mend or remove the row.`,
  );
}

/** A conversation from the user's second message on, after what the system says; null where there is no such message. */
export function withoutFirstTurn(messages: readonly Message[]): readonly Message[] | null {
  const isUser = ({ role }: Message): boolean => role === 'user';
  const first = messages.findIndex(isUser);
  const second = messages.findIndex((message, i) => i > first && isUser(message));
  return second === -1 ? null : [...messages.filter(({ role }) => role === 'system'), ...messages.slice(second)];
}

function slice({ ids, learned }: TokenSequence, start: number, end?: number): TokenSequence {
  return { ids: ids.slice(start, end), learned: learned.slice(start, end) };
}

function joinParts(parts: readonly TokenSequence[]): TokenSequence {
  const length = parts.reduce((sum, { ids }) => sum + ids.length, 0);
  const joined = { ids: new Int32Array(length), learned: new Int32Array(length) };
  let at = 0;
  for (const { ids, learned } of parts) {
    joined.ids.set(ids, at);
    joined.learned.set(learned, at);
    at += ids.length;
  }
  return joined;
}

/**
 * Refuses a table made with another tokenizer: its ids would mean other words.
 *
 * @param found the hash in the table's metadata
 * @throws DataError naming both hashes
 */
export function checkTokenizer(path: string, found: string | undefined, tokenizer: Tokenizer, writtenBy: string): void {
  if (found === tokenizer.hash) return;
  throw new DataError(
    `${path}: made with another tokenizer; expected ${tokenizer.hash}, received ${found ?? 'none in its metadata'}. ` +
      `Run ${writtenBy} with this tokenizer, or use the tokenizer it was made with.`,
  );
}
