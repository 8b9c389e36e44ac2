/** Learns a byte-level BPE vocabulary from texts: the same merges, in the same order, as Hugging Face's `BpeTrainer`. */
import { DataError } from '../errors.ts';
import { byteCharacters, splitWords, toByteCharacters } from './bytes.ts';
import { createPairQueue } from './pair-queue.ts';
import { specialTokens } from './special-tokens.ts';

/** A learned vocabulary: token texts by id (special tokens, bytes, then merged tokens) and merges in order. */
export interface BpeVocabulary {
  tokens: string[];
  merges: [string, string][];
}

/** A distinct word: its token ids so far and how often it occurs. */
interface Word {
  ids: number[];
  count: number;
}

/** Counts of neighbouring pairs and the words they occur in, kept up to date merge by merge. */
interface PairTable {
  counts: Map<number, number>;
  words: Map<number, Set<number>>;
}

// One number per pair keeps the maps fast; a vocabulary has far fewer than 2^21 tokens.
const pairBase = 2 ** 21;
const pairKey = (left: number, right: number): number => left * pairBase + right;

/**
 * Learns merges until the vocabulary has `vocabSize` tokens or no pair occurs twice or more.
 * Pair counts are updated only in the words a merge touches. Equal counts: the pair of smaller ids wins.
 * Sennrich et al. 2016, arXiv:1508.07909, algorithm 1; ties as in huggingface/tokenizers `models/bpe/trainer.rs`.
 *
 * @throws DataError when vocabSize has no room for the special tokens and the 256 bytes
 */
export function trainBpe(texts: Iterable<string>, vocabSize: number): BpeVocabulary {
  const alphabet = [...byteCharacters].sort();
  const tokens: string[] = [...Object.values(specialTokens), ...alphabet];
  if (vocabSize < tokens.length || vocabSize >= pairBase) {
    throw new DataError(
      `vocabulary size: too ${vocabSize < tokens.length ? 'small' : 'large'}; expected ${tokens.length} ` +
        `(special tokens and 256 bytes) to ${pairBase - 1}, received ${vocabSize}. Choose a size in this range.`,
    );
  }
  const idOf = new Map(tokens.map((token, id) => [token, id]));
  const words = countWords(texts, idOf);
  const table: PairTable = { counts: new Map(), words: new Map() };
  for (const [index, word] of words.entries()) addPairs(table, word, index);

  const queue = createPairQueue();
  for (const [key, count] of table.counts) {
    queue.push({ left: Math.floor(key / pairBase), right: key % pairBase, count });
  }
  const merges: [string, string][] = [];
  while (tokens.length < vocabSize) {
    const top = queue.pop();
    if (top === undefined) break;
    const key = pairKey(top.left, top.right);
    const count = table.counts.get(key) ?? 0;
    if (count < 2) continue;
    if (count !== top.count) {
      queue.push({ ...top, count });
      continue;
    }
    const pair: [string, string] = [tokens[top.left] ?? '', tokens[top.right] ?? ''];
    const text = pair[0] + pair[1];
    const merged = idOf.get(text) ?? tokens.length;
    if (merged === tokens.length) {
      tokens.push(text);
      idOf.set(text, merged);
    }
    merges.push(pair);
    const touched = table.words.get(key) ?? new Set();
    const grown = new Set<number>();
    for (const index of touched) {
      const word = words[index];
      if (word !== undefined) mergeInWord({ table, word, index, left: top.left, right: top.right, merged, grown });
    }
    table.counts.delete(key);
    table.words.delete(key);
    for (const grownKey of grown) {
      const grownCount = table.counts.get(grownKey) ?? 0;
      queue.push({ left: Math.floor(grownKey / pairBase), right: grownKey % pairBase, count: grownCount });
    }
  }
  return { tokens, merges };
}

function countWords(texts: Iterable<string>, idOf: ReadonlyMap<string, number>): Word[] {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const word of splitWords(text)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return [...counts].map(([text, count]) => ({
    ids: Array.from(toByteCharacters(text), (character) => idOf.get(character) ?? 0),
    count,
  }));
}

function addPairs(table: PairTable, word: Word, index: number): void {
  for (let i = 1; i < word.ids.length; i++) {
    change(table, pairKey(word.ids[i - 1] ?? 0, word.ids[i] ?? 0), word.count, index);
  }
}

function change(table: PairTable, key: number, by: number, index: number): void {
  table.counts.set(key, (table.counts.get(key) ?? 0) + by);
  if (by < 0) return;
  const places = table.words.get(key);
  if (places === undefined) table.words.set(key, new Set([index]));
  else places.add(index);
}

interface MergeInWord {
  table: PairTable;
  word: Word;
  index: number;
  left: number;
  right: number;
  merged: number;
  /** Receives the pairs that became more frequent. */
  grown: Set<number>;
}

/** Replaces left+right by the merged token from left to right, and corrects the counts of the pairs beside it. */
function mergeInWord({ table, word, index, left, right, merged, grown }: MergeInWord): void {
  const { ids, count } = word;
  for (let i = 0; i + 1 < ids.length; i++) {
    if (ids[i] !== left || ids[i + 1] !== right) continue;
    const before = ids[i - 1];
    const after = ids[i + 2];
    ids.splice(i, 2, merged);
    if (before !== undefined) {
      change(table, pairKey(before, left), -count, index);
      change(table, pairKey(before, merged), count, index);
      grown.add(pairKey(before, merged));
    }
    if (after !== undefined) {
      change(table, pairKey(right, after), -count, index);
      change(table, pairKey(merged, after), count, index);
      grown.add(pairKey(merged, after));
    }
  }
}
