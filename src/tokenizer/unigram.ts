/** Unigram (SentencePiece): the cutting of a word whose pieces have the highest sum of scores. */
import type { TokenModel } from './tokenizer-json.ts';
import type { ModelSettings } from './tokenizer-parts.ts';
import { byteIds, type WordModel } from './word-model.ts';

/** How much worse than the worst piece an unknown character is. */
const UNKNOWN_PENALTY = 10;

/**
 * Scores are added in float64, and of two cuttings with one sum the one found first stays, as in `tokenizers` 0.23.
 * Neighbouring unknown characters are one token, or their bytes where the vocabulary has them and `byte_fallback` is set.
 *
 * @param plain ids that words may be given: those of special tokens are left out
 * @throws Error where unk_id is not in the vocabulary
 * @see Kudo 2018, arXiv:1804.10959
 */
export function unigramModel(
  { scores }: TokenModel,
  settings: ModelSettings & { type: 'Unigram' },
  plain: ReadonlyMap<string, number>,
): WordModel {
  const unkId = settings.unk_id ?? undefined;
  if (unkId !== undefined && unkId >= scores.length) throw new Error(`model.unk_id: ${unkId} is not in the vocabulary`);
  const unknownScore =
    scores.reduce((least, score) => Math.min(least, score), Number.POSITIVE_INFINITY) - UNKNOWN_PENALTY;
  const unknown = (text: string): readonly number[] => {
    const id = plain.get(text);
    if (id !== undefined) return [id];
    const bytes = settings.byte_fallback ? byteIds(text, plain) : undefined;
    if (bytes !== undefined) return bytes;
    if (unkId === undefined) throw new Error(`model.unk_id: there is none, and ${JSON.stringify(text)} is unknown`);
    return [unkId];
  };
  const find = prefixFinder([...plain.keys()]);
  return {
    unkId,
    encode: (word) => {
      const { starts, isUnknown } = bestPath(word, (start, found) => {
        find(word, start, (token) => found(token.length, scores[plain.get(token) ?? -1] ?? unknownScore));
        return unknownScore;
      });
      return pathIds(word, starts, isUnknown, plain, unknown);
    },
  };
}

interface Path {
  /** For every end of a piece, where the best piece that ends there begins. */
  readonly starts: Int32Array;
  /** 1 where that piece is an unknown character. */
  readonly isUnknown: Uint8Array;
}

/**
 * The best way to every place of a word, from left to right.
 * @param pieces yields the length and score of every piece that begins at a place, shortest first; gives the score of an
 *   unknown character
 */
function bestPath(
  word: string,
  pieces: (start: number, found: (length: number, score: number) => void) => number,
): Path {
  const sums = new Float64Array(word.length + 1);
  const starts = new Int32Array(word.length + 1).fill(-1);
  const isUnknown = new Uint8Array(word.length + 1);
  let width = 1;
  for (let start = 0; start < word.length; start += width) {
    width = (word.codePointAt(start) ?? 0) > 0xffff ? 2 : 1;
    const take = (length: number, score: number, unknown: number): void => {
      const end = start + length;
      const sum = score + (sums[start] ?? 0);
      if (starts[end] !== -1 && sum <= (sums[end] ?? 0)) return;
      sums[end] = sum;
      starts[end] = start;
      isUnknown[end] = unknown;
    };
    let hasCharacter = false;
    const unknownScore = pieces(start, (length, score) => {
      take(length, score, 0);
      hasCharacter ||= length === width;
    });
    if (!hasCharacter) take(width, unknownScore, 1);
  }
  return { starts, isUnknown };
}

/** Ids along the best path, unknown characters in a row taken together. */
function pathIds(
  word: string,
  starts: Int32Array,
  isUnknown: Uint8Array,
  plain: ReadonlyMap<string, number>,
  unknown: (text: string) => readonly number[],
): number[] {
  const pieces: (readonly number[])[] = [];
  for (let end = word.length; end > 0; ) {
    let start = starts[end] ?? 0;
    if (isUnknown[end] === 1) {
      while (start > 0 && isUnknown[start] === 1) start = starts[start] ?? 0;
      pieces.push(unknown(word.slice(start, end)));
    } else {
      pieces.push([plain.get(word.slice(start, end)) ?? -1]);
    }
    end = start;
  }
  return pieces.reverse().flat();
}

/**
 * Finds the tokens that a text has at a place, shortest first: the tokens are sorted, and each further character narrows
 * down those that begin as the text does.
 */
function prefixFinder(
  tokens: readonly string[],
): (text: string, start: number, found: (token: string) => void) => void {
  const sorted = tokens.filter((token) => token !== '').sort((a, b) => (a < b ? -1 : 1));
  /** The first of low…high whose unit at a depth is at least `unit`; one that ends before has none. */
  const firstFrom = (low: number, high: number, depth: number, unit: number): number => {
    let [from, to] = [low, high];
    while (from < to) {
      const middle = (from + to) >> 1;
      const token = sorted[middle] ?? '';
      if (token.length > depth && token.charCodeAt(depth) >= unit) to = middle;
      else from = middle + 1;
    }
    return from;
  };
  return (text, start, found) => {
    let [low, high] = [0, sorted.length];
    for (let depth = 0; start + depth < text.length; depth++) {
      const unit = text.charCodeAt(start + depth);
      low = firstFrom(low, high, depth, unit);
      high = firstFrom(low, high, depth, unit + 1);
      const first = sorted[low];
      if (low >= high || first === undefined) return;
      if (first.length === depth + 1) found(first);
    }
  };
}
