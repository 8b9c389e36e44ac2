/** Responses to one prompt as one run of tokens, in which the prompt stands once. */
import type { TokenSequence } from './token-batch.ts';

/** A prompt and the responses to it, one after the other. */
export interface SharedPrompt {
  /** Tokens of the prompt; the first response follows them. */
  readonly prompt: number;
  /** Which of the given sequences these are. */
  readonly indices: readonly number[];
  readonly tokens: TokenSequence;
}

/** A sequence by itself. */
export function ownPrompt(sequence: TokenSequence, index: number): SharedPrompt {
  return { prompt: promptLength(sequence), indices: [index], tokens: sequence };
}

/**
 * Puts sequences of one prompt together, in the order of their first. Others stay by themselves.
 *
 * prompt [5, 6], responses [7, 2] and [8]  ->  [5, 6, 7, 2, 8]
 *
 * @param most tokens of a run at most, where it holds several responses; then the prompt is there again for the next
 */
export function sharePrompts(sequences: readonly TokenSequence[], most: number): SharedPrompt[] {
  const together: { length: number; indices: number[] }[] = [];
  const open = new Map<string, { length: number; indices: number[] }>();
  for (const [index, { ids, learned }] of sequences.entries()) {
    const prompt = promptLength({ ids, learned });
    // What is not learned in the middle of a response may be a second prompt; such a sequence stays as it is.
    const isPlain = learned.indexOf(0, prompt) < 0;
    const key = isPlain ? ids.subarray(0, prompt).join(' ') : `sequence ${index}`;
    const known = open.get(key);
    const more = ids.length - prompt;
    if (known !== undefined && known.length + more <= most) {
      known.indices.push(index);
      known.length += more;
    } else {
      const fresh = { length: ids.length, indices: [index] };
      together.push(fresh);
      open.set(key, fresh);
    }
  }
  return together.map(({ indices, length }) => joined(sequences, indices, length));
}

function joined(sequences: readonly TokenSequence[], indices: readonly number[], length: number): SharedPrompt {
  const first = sequences[indices[0] as number] as TokenSequence;
  if (indices.length === 1) return ownPrompt(first, indices[0] as number);
  const prompt = promptLength(first);
  const tokens = { ids: new Int32Array(length), learned: new Int32Array(length) };
  tokens.ids.set(first.ids.subarray(0, prompt));
  let at = prompt;
  for (const index of indices) {
    const { ids, learned } = sequences[index] as TokenSequence;
    tokens.ids.set(ids.subarray(prompt), at);
    tokens.learned.set(learned.subarray(prompt), at);
    at += ids.length - prompt;
  }
  return { prompt, indices, tokens };
}

/** Tokens before the response; all, where there is none. */
export function promptLength({ ids, learned }: TokenSequence): number {
  const first = learned.indexOf(1);
  return first < 0 ? ids.length : first;
}
