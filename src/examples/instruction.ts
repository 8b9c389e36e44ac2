/** Instruction examples: rendered prompts and targets as token ids with a loss mask. */
import type { TokenSequence } from '../batch/token-batch.ts';
import { DataError } from '../errors.ts';
import type { Conversation, Message } from '../message.ts';
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
 * @param messages a conversation that ends with the user's message, which is asked
 * @throws DataError where a chat format meets the text of a special token, or the format has no place for a message
 */
export function encodePrompt(messages: readonly Message[], tokenizer: Tokenizer): Int32Array {
  if (tokenizer.chat !== null) return tokenizer.chat.ask(messages);
  return encodeTurns(messages, tokenizer).ids;
}

/**
 * BOS, then each message of the user as text and line break, each of the assistant as space + text and EOS. The system's
 * text stands in front of the user's first, a blank line between them. Or what the template writes.
 */
function encodeTurns(messages: readonly Message[], tokenizer: Tokenizer, where?: string): TokenSequence {
  if (tokenizer.chat !== null) return tokenizer.chat.prompt(messages, where);
  const given = (ids: Int32Array): TokenSequence => ({ ids, learned: new Int32Array(ids.length) });
  const parts = tokenizer.bosId === null ? [] : [given(Int32Array.of(tokenizer.bosId))];
  let system = '';
  for (const [i, { role, content }] of messages.entries()) {
    if (role === 'system' && i === 0) system = `${content}\n\n`;
    else if (role === 'assistant') parts.push(learnedResponse(encodeTarget(content, tokenizer), tokenizer));
    else if (role !== 'user') throw noPlace(role, i, where);
    else {
      const before = messages[i - 1]?.role;
      const encode = { assistant: tokenizer.encodeSection, user: tokenizer.encodeOn };
      const text = `${system}${content}\n`;
      parts.push(given((before === 'assistant' || before === 'user' ? encode[before] : tokenizer.encode)(text)));
      system = '';
    }
  }
  return joinParts(parts);
}

function noPlace(role: string, index: number, where = 'a conversation'): DataError {
  const what = role === 'system' ? 'the system after the first message' : `a ${role}`;
  return new DataError(
    `${where}: message ${index + 1} is of ${what}, for which the plain format has no place; expected user and assistant, ` +
      'after one message of the system at most. Use a model with a chat template, or leave the row out.',
  );
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
  if (tokenizer.chat !== null) return tokenizer.chat.target(target, where);
  return tokenizer.encode(tokenizer.prependsSpace ? target : ` ${target}`);
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
 * @returns null where the policy is "drop" and the example is too long, or "turns" and its last turn is. "left" cuts the beginning of the prompt (of the
 *   dialogue), never BOS, target or EOS, and from a chat format whole turns only; "right" cuts the end of the target, and EOS, never the last prompt
 * @throws DataError when the target has no tokens, the example is too long under "error", or nothing of the prompt
 *   (left) or of the target (right) would be left
 */
export function encodeExample(
  { messages }: Conversation,
  tokenizer: Tokenizer,
  { maxLength, overlong, where }: EncodeOptions,
): FittedExample | null {
  const before = encodeTurns(messages.slice(0, -1), tokenizer, where);
  const targetIds = encodeTarget(answerOf(messages, where), tokenizer, where);
  if (targetIds.length === 0) {
    throw new DataError(
      `${where}: the target is empty, so nothing would be learned; expected text. Mend or remove the row.`,
    );
  }
  const whole = joinParts([before, learnedResponse(targetIds, tokenizer)]);
  const excess = whole.ids.length - maxLength;
  if (excess <= 0) return { ...whole, cutTokens: 0, endsInEos: true };
  if (overlong === 'drop') return null;
  const rest = withoutFirstTurn(messages);
  if (overlong === 'turns' && rest === null) return null;
  if (rest !== null && (overlong === 'turns' || (overlong === 'left' && tokenizer.chat !== null))) {
    const fitted = encodeExample({ messages: rest }, tokenizer, { maxLength, overlong, where });
    return fitted && { ...fitted, cutTokens: whole.ids.length - fitted.ids.length };
  }
  const fixed = tokenizer.bosId === null ? 0 : 1;
  const canCutLeft = tokenizer.chat === null ? before.ids.length - fixed : 0;
  const canCut = overlong === 'left' ? canCutLeft : targetIds.length;
  if (overlong === 'error' || excess > canCut) {
    throw new DataError(
      `${where}: the example is too long; expected at most ${maxLength} tokens, received ` +
        `${before.ids.length} of prompt and ${targetIds.length + 1} of target and EOS. ` +
        'Raise the sequence length, shorten the row, or choose overlong: drop.',
    );
  }
  if (overlong === 'right') return { ...slice(whole, 0, maxLength), cutTokens: excess, endsInEos: false };
  const kept = joinParts([slice(whole, 0, fixed), slice(whole, fixed + excess)]);
  return { ...kept, cutTokens: excess, endsInEos: true };
}

/** What the assistant says last. */
function answerOf(messages: readonly Message[], where: string): string {
  const last = messages.at(-1);
  if (last?.role === 'assistant') return last.content;
  throw new DataError(
    `${where}: the conversation ends with ${last === undefined ? 'nothing' : `a message of the ${last.role}`}; expected the ` +
      "assistant's, to learn from. Mend or remove the row.",
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
