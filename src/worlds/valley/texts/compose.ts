/** Puts sentences together to a document of a wanted length. */

import type { Random } from '../../../random.ts';
import { countWords } from './language.ts';

/** What a document is made of. */
export interface Parts {
  /** Sentences it starts with. */
  readonly opening?: readonly string[];
  /** Writers of middle sentences; asked in random order, again and again, until the document is long enough. */
  readonly middle: readonly (() => string)[];
  /** Sentences it ends with. */
  readonly closing?: readonly string[];
  /** Keeps the writers in the given order. */
  readonly ordered?: boolean;
}

/** A document of about 45 to 75 words; no sentence twice. */
export function compose(random: Random, parts: Parts): string {
  const opening = [...(parts.opening ?? [])];
  const closing = [...(parts.closing ?? [])];
  const wanted = 45 + random.integer(31);
  let length = countWords([...opening, ...closing].join(' '));
  const middle: string[] = [];
  for (let round = 0; round < 12 && length < wanted; round++) {
    for (const write of parts.ordered ? parts.middle : random.shuffle(parts.middle)) {
      if (length >= wanted) break;
      const sentence = write();
      if (middle.includes(sentence) || opening.includes(sentence)) continue;
      middle.push(sentence);
      length += countWords(sentence);
    }
  }
  return [...opening, ...middle, ...closing].join(' ').replaceAll('." said', '," said');
}
