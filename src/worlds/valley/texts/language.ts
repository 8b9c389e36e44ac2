/** Small English tools of the world's texts: alternatives in brackets, articles, lists, capitals and word counts. */

import type { Random } from '../../../random.ts';

/** Expands every `[one|two|three]` of a pattern to one alternative; brackets may stand inside brackets. */
export function vary(random: Random, pattern: string): string {
  let text = pattern;
  for (;;) {
    const next = text.replace(/\[([^[\]]*)\]/, (_, inner: string) => random.pick(inner.split('|')));
    if (next === text) return text.replace(/ +/g, ' ').trim();
    text = next;
  }
}

/** The text with a capital first letter. */
export function capitalize(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** The text with a capital first letter in each of its sentences. */
export function capitalizeSentences(text: string): string {
  return text.split('. ').map(capitalize).join('. ');
}

/** One varied sentence that starts with a capital. */
export function say(random: Random, pattern: string): string {
  return capitalize(vary(random, pattern));
}

/** One of several patterns, varied, with a capital first letter. */
export function sayOne(random: Random, patterns: readonly string[]): string {
  return say(random, random.pick(patterns));
}

/** The noun with its article: "a hat", "an egg". */
export function withArticle(noun: string): string {
  return /^[aeiou]/.test(noun) ? `an ${noun}` : `a ${noun}`;
}

/** "a", "a and b", "a, b and c". */
export function listed(items: readonly string[]): string {
  if (items.length < 2) return items.join('');
  return `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
}

/** "1 coin" or "7 coins". */
export function coins(count: number): string {
  return count === 1 ? '1 coin' : `${count} coins`;
}

/** Lower-case words and numbers of a text, without punctuation; a possessive 's is a word of its own. */
export function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[a-z]+|[0-9]+/g) ?? [];
}

/** The number of words separated by blanks. */
export function countWords(text: string): number {
  return text.split(/\s+/).filter(Boolean).length;
}

/** Several different items of a list, in random order. */
export function pickSome<T>(random: Random, items: readonly T[], count: number): T[] {
  return random.shuffle(items).slice(0, count);
}
