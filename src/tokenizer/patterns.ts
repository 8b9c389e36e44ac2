/** Patterns of tokenizer.json, and the cutting of texts where they are found. */
import * as huggingFace from '@huggingface/tokenizers';
import type { Pattern, SplitBehavior } from './tokenizer-parts.ts';

/** What the library's Split holds; its declarations name these classes in a way that Node's resolution does not find. */
const { SplitPreTokenizer } = huggingFace as unknown as {
  readonly SplitPreTokenizer: new (part: object) => { readonly pattern: RegExp };
};

/** Start and end of a place in a text. */
export type Span = readonly [number, number];

/**
 * Finds a pattern from left to right, without overlaps. A regular expression of Oniguruma is translated by Hugging Face's
 * library; letters of `(?i:…)` get ſ (U+017F) and the Kelvin sign, which the library leaves out.
 * @throws Error where it cannot be translated
 */
export function findAll(pattern: Pattern): (text: string) => Span[] {
  if ('String' in pattern) return (text) => findText(text, pattern.String);
  const regex = { Regex: foldedLetters(pattern.Regex) };
  return matchesOf(new SplitPreTokenizer({ type: 'Split', pattern: regex, behavior: 'Removed', invert: true }).pattern);
}

/** Finds a regular expression of JavaScript, which has the flag g. Empty matches are places to cut at. */
export function matchesOf(expression: RegExp): (text: string) => Span[] {
  return (text) => {
    const spans: Span[] = [];
    expression.lastIndex = 0;
    for (let match = expression.exec(text); match !== null; match = expression.exec(text)) {
      const end = match.index + match[0].length;
      spans.push([match.index, end]);
      // Past an empty match, by a whole character.
      if (match[0] === '') expression.lastIndex = end + ((text.codePointAt(end) ?? 0) > 0xffff ? 2 : 1);
    }
    return spans;
  };
}

function findText(text: string, wanted: string): Span[] {
  const spans: Span[] = [];
  if (wanted === '') return spans;
  for (let at = text.indexOf(wanted); at !== -1; at = text.indexOf(wanted, at + wanted.length)) {
    spans.push([at, at + wanted.length]);
  }
  return spans;
}

function foldedLetters(regex: string): string {
  return regex.replace(/\(\?i:([^()[\]\\]*)\)/g, (_, group: string) => {
    return `(?i:${group.replace(/s/gi, '[sSſ]').replace(/k/gi, '[kK\u212a]')})`;
  });
}

/**
 * Cuts a text at matches.
 *
 * "a-b--c" at "-":  Removed a b c;  Isolated a - b - - c;  MergedWithPrevious a- b- - c;  MergedWithNext a -b - -c;
 * Contiguous a - b -- c
 *
 * @param isInverted what is between matches counts as the match
 */
export function cutAt(length: number, matches: readonly Span[], behavior: SplitBehavior, isInverted = false): Span[] {
  if (behavior === 'Isolated') return isolated(length, matches);
  const all: Cutting[] = [];
  let end = 0;
  for (const [from, to] of matches) {
    if (from > end) all.push({ span: [end, from], isMatch: isInverted });
    all.push({ span: [from, to], isMatch: !isInverted });
    end = to;
  }
  if (end < length) all.push({ span: [end, length], isMatch: isInverted });
  return chosen(all, behavior).filter(([from, to]) => to > from);
}

/** Matches and what is between them: what nearly all tokenizers ask for. */
function isolated(length: number, matches: readonly Span[]): Span[] {
  const spans: Span[] = [];
  let end = 0;
  for (const match of matches) {
    if (match[0] > end) spans.push([end, match[0]]);
    if (match[1] > match[0]) spans.push(match);
    end = match[1];
  }
  if (end < length) spans.push([end, length]);
  return spans;
}

interface Cutting {
  readonly span: Span;
  readonly isMatch: boolean;
}

function chosen(all: readonly Cutting[], behavior: Exclude<SplitBehavior, 'Isolated'>): Span[] {
  switch (behavior) {
    case 'Removed':
      return all.filter(({ isMatch }) => !isMatch).map(({ span }) => span);
    case 'Contiguous':
      return joined(all, (isMatch, wasMatch) => isMatch === wasMatch);
    case 'MergedWithPrevious':
      return joined(all, (isMatch, wasMatch) => isMatch && !wasMatch);
    case 'MergedWithNext':
      return joined(all.toReversed(), (isMatch, wasMatch) => isMatch && !wasMatch).reverse();
  }
}

/** Pieces joined to the one before where a rule says so; the first counts as standing after no match. */
function joined(pieces: readonly Cutting[], belongsToLast: (isMatch: boolean, wasMatch: boolean) => boolean): Span[] {
  const spans: Span[] = [];
  let wasMatch = false;
  for (const { span, isMatch } of pieces) {
    const last = spans.at(-1);
    if (last !== undefined && belongsToLast(isMatch, wasMatch)) {
      spans[spans.length - 1] = [Math.min(last[0], span[0]), Math.max(last[1], span[1])];
    } else {
      spans.push(span);
    }
    wasMatch = isMatch;
  }
  return spans;
}
