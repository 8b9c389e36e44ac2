/** The closed list of words that the world's texts use. */

import { wordsOf } from './language.ts';

/** All different lower-case words and numbers of the texts, in alphabetical order. */
export function buildLexicon(texts: Iterable<string>): string[] {
  const words = new Set<string>();
  for (const text of texts) for (const word of wordsOf(text)) words.add(word);
  return [...words].sort();
}
