/** Instruction examples: rendered prompts and targets as token ids with a loss mask. */
import type { TokenSequence } from '../batch/token-batch.ts';
import { DataError } from '../errors.ts';
import type { Turn } from '../tasks/template.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';

/**
 * What to do with examples longer than a row: stop, leave them out, cut the beginning of the prompt (left) or the end of
 * the target (right). Right loses EOS, which is counted and shown.
 */
export const overlongPolicies = ['error', 'drop', 'left', 'right'] as const;
export type OverlongPolicy = (typeof overlongPolicies)[number];

/** An example that was made to fit. */
export interface FittedExample extends TokenSequence {
  /** Tokens that were cut off. */
  readonly cutTokens: number;
  /** False where the end of the target was cut, and EOS with it. */
  readonly endsInEos: boolean;
}

/** What is to be encoded. */
export interface ExampleText {
  /** Earlier turns of a dialogue, learned too. */
  readonly history?: readonly Turn[];
  readonly prompt: string;
  readonly target: string;
}

export interface EncodeOptions {
  /** Longest sequence allowed, BOS and EOS included. */
  maxLength: number;
  overlong: OverlongPolicy;
  /** Names the example in errors. */
  where: string;
}

/**
 * Ids of a prompt as a model reads it before it answers: BOS, earlier turns with their EOS, text, line break; for a
 * tokenizer with a chat format, what its template writes.
 * @throws DataError where a chat format meets the text of a special token
 */
export function encodePrompt(prompt: string, tokenizer: Tokenizer, history: readonly Turn[] = []): Int32Array {
  if (tokenizer.chat !== null) return tokenizer.chat.ask(history, prompt);
  return encodeTurns(history, prompt, tokenizer).ids;
}

/** BOS, every turn as prompt, line break, space + response, EOS; then the last prompt. Or what the template writes. */
function encodeTurns(history: readonly Turn[], prompt: string, tokenizer: Tokenizer, where?: string): TokenSequence {
  if (tokenizer.chat !== null) return tokenizer.chat.prompt(history, prompt, where);
  const given = (ids: Int32Array): TokenSequence => ({ ids, learned: new Int32Array(ids.length) });
  const parts = tokenizer.bosId === null ? [] : [given(Int32Array.of(tokenizer.bosId))];
  const ask = (text: string, i: number): TokenSequence => {
    return given(i === 0 ? tokenizer.encode(`${text}\n`) : tokenizer.encodeSection(`${text}\n`));
  };
  for (const [i, turn] of history.entries()) {
    parts.push(ask(turn.prompt, i), learnedResponse(encodeTarget(turn.target, tokenizer), tokenizer));
  }
  return joinParts([...parts, ask(prompt, history.length)]);
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
 * earlier turns. Prompt and target are tokenized apart. Together, a token could span the boundary; then the mask would
 * have to include part of the prompt or leave out part of the target, and generation, which starts after the prompt's own
 * tokens, would see ids never trained on.
 *
 * prompt "a", target "b", byte tokens  ->  ids [BOS, a, \n, " ", b, EOS], mask [0, 0, 0, 1, 1, 1]
 *
 * @returns null where the policy is "drop" and the example is too long. "left" cuts the beginning of the prompt (of the
 *   dialogue), never BOS, target or EOS, and from a chat format whole turns only; "right" cuts the end of the target, and EOS, never the last prompt
 * @throws DataError when the target has no tokens, the example is too long under "error", or nothing of the prompt
 *   (left) or of the target (right) would be left
 */
export function encodeExample(
  { history = [], prompt, target }: ExampleText,
  tokenizer: Tokenizer,
  { maxLength, overlong, where }: EncodeOptions,
): FittedExample | null {
  const before = encodeTurns(history, prompt, tokenizer, where);
  const targetIds = encodeTarget(target, tokenizer, where);
  if (targetIds.length === 0) {
    throw new DataError(
      `${where}: the target is empty, so nothing would be learned; expected text. Mend or remove the row.`,
    );
  }
  const whole = joinParts([before, learnedResponse(targetIds, tokenizer)]);
  const excess = whole.ids.length - maxLength;
  if (excess <= 0) return { ...whole, cutTokens: 0, endsInEos: true };
  if (overlong === 'drop') return null;
  if (overlong === 'left' && tokenizer.chat !== null && history.length > 0) {
    const rest = { history: history.slice(1), prompt, target };
    const fitted = encodeExample(rest, tokenizer, { maxLength, overlong, where });
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
