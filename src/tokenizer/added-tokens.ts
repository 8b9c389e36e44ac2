/** Added tokens within a text, found as Python's `tokenizers` finds them. */
import type { AddedToken } from './tokenizer-json.ts';
import { WORD } from './unicode.ts';

/** A part of a text: an added token with its id, or text in between. */
export interface Section {
  readonly text: string;
  readonly id: number | undefined;
}

/**
 * Cuts texts at added tokens: leftmost, then longest. Special ones are looked for too, so that no other is found within
 * them, and stay text.
 *
 * @param tokens with the spelling that is looked for
 */
export function sectionCutter(tokens: readonly (readonly [string, AddedToken])[]): (text: string) => Section[] {
  const byText = new Map(tokens);
  if (byText.size === 0 || tokens.every(([, token]) => token.special)) return (text) => [{ text, id: undefined }];
  const spellings = [...byText.keys()].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(spellings.map((text) => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')).join('|'), 'gu');
  return (text) => {
    const sections: Section[] = [];
    let end = 0;
    for (const { 0: match, index } of text.matchAll(pattern)) {
      const token = byText.get(match);
      if (token === undefined || token.special) continue;
      const after = index + match.length;
      if (
        token.single_word &&
        (endsInWord.test(text.slice(Math.max(0, index - 2), index)) ||
          beginsWithWord.test(text.slice(after, after + 2)))
      )
        continue;
      const from = token.lstrip ? Math.max(end, spaceStart(text, index)) : index;
      if (from > end) sections.push({ text: text.slice(end, from), id: undefined });
      sections.push({ text: text.slice(from, after), id: token.id });
      end = token.rstrip ? spaceEnd(text, after) : after;
    }
    if (end < text.length) sections.push({ text: text.slice(end), id: undefined });
    return sections;
  };
}

const endsInWord = new RegExp(`${WORD}$`, 'u');
const beginsWithWord = new RegExp(`^${WORD}`, 'u');
const space = /\p{White_Space}/u;

function spaceStart(text: string, end: number): number {
  let start = end;
  while (start > 0 && space.test(text.charAt(start - 1))) start--;
  return start;
}

function spaceEnd(text: string, start: number): number {
  let end = start;
  while (end < text.length && space.test(text.charAt(end))) end++;
  return end;
}
