/** Sequences of which some are there several times: each is to be read once. */
import type { TokenSequence } from './token-batch.ts';

/** Each sequence once, in the order of their first places, and where in that list each of the given ones is. */
export interface DistinctSequences {
  readonly sequences: readonly TokenSequence[];
  readonly placeOf: readonly number[];
}

/** Of prompts with their responses: the same ids with the same beginning of the response are the same sequence. */
export function distinctSequences(all: readonly TokenSequence[]): DistinctSequences {
  const sequences: TokenSequence[] = [];
  const found = new Map<string, number>();
  const placeOf = all.map((sequence) => {
    const key = sequenceKey(sequence);
    const place = found.get(key) ?? sequences.push(sequence) - 1;
    found.set(key, place);
    return place;
  });
  return { sequences, placeOf };
}

/** The same for prompts with their responses that are the same. */
export function sequenceKey({ ids, learned }: TokenSequence): string {
  return `${ids.join(' ')}|${learned.indexOf(1)}`;
}
