/** Byte-pair encoding of one word: the merges of a vocabulary, best ones first. */
import type { TokenModel } from './tokenizer-json.ts';
import type { ModelSettings } from './tokenizer-parts.ts';
import { byteIds, type WordModel } from './word-model.ts';

/** Places in a word are below this, so that a rank and a place make one number. */
const PLACES = 2 ** 26;

/**
 * @param plain ids that words may be given: those of special tokens are left out
 * @throws Error where a merge is of tokens that the vocabulary has not
 * @see Sennrich et al. 2016, arXiv:1508.07909; ties and unknown characters as in `tokenizers` 0.23
 */
export function bpeModel(
  model: TokenModel,
  settings: ModelSettings & { type: 'BPE' },
  plain: ReadonlyMap<string, number>,
): WordModel {
  const merges = mergeTable(model, settings.continuing_subword_prefix ?? '', plain);
  const unkId = settings.unk_token === undefined ? undefined : model.vocab.get(settings.unk_token);
  const symbols = symbolsOf(settings, plain, unkId);
  return {
    unkId,
    encode: (word) => {
      const whole = settings.ignore_merges ? plain.get(word) : undefined;
      return whole === undefined ? merged(symbols(word), merges) : [whole];
    },
  };
}

interface Merges {
  /** Rank of a pair of ids, 0 first. */
  rank(left: number, right: number): number | undefined;
  /** What the pair of a rank becomes. */
  readonly results: readonly number[];
}

function mergeTable({ merges, vocab }: TokenModel, prefix: string, plain: ReadonlyMap<string, number>): Merges {
  let size = 0;
  for (const id of vocab.values()) size = Math.max(size, id + 1);
  const ranks = new Map<number, number>();
  const results: number[] = [];
  for (const [rank, [left, right]] of merges.entries()) {
    const token = left + right.slice(prefix.length);
    const [leftId, rightId, id] = [left, right, token].map((text) => vocab.get(text));
    if (leftId === undefined || rightId === undefined || id === undefined) {
      throw new Error(`model.merges: ${JSON.stringify([left, right])} is not of the vocabulary, or its result is not`);
    }
    results.push(id);
    if (plain.has(token)) ranks.set(leftId * size + rightId, rank);
  }
  return { rank: (left, right) => ranks.get(left * size + right), results };
}

/** The ids that a word begins with: one a character, bytes or the unknown token where the vocabulary lacks it. */
function symbolsOf(
  settings: ModelSettings & { type: 'BPE' },
  plain: ReadonlyMap<string, number>,
  unkId: number | undefined,
): (word: string) => number[] {
  const { continuing_subword_prefix: prefix = '', end_of_word_suffix: suffix = '' } = settings;
  return (word) => {
    const ids: number[] = [];
    const characters = [...word];
    let unknowns = 0;
    const flush = (): void => {
      for (; unknowns > 0; unknowns--) if (unkId !== undefined) ids.push(unkId);
    };
    for (const [i, character] of characters.entries()) {
      const text = (i > 0 ? prefix : '') + character + (i === characters.length - 1 ? suffix : '');
      const id = plain.get(text);
      const bytes = id === undefined && settings.byte_fallback ? byteIds(text, plain) : undefined;
      if (id !== undefined) {
        flush();
        ids.push(id);
      } else if (bytes !== undefined) {
        ids.push(...bytes);
      } else if (settings.unk_token !== undefined) {
        if (unkId === undefined) throw new Error(`model.unk_token: ${settings.unk_token} is not in the vocabulary`);
        unknowns = settings.fuse_unk ? 1 : unknowns + 1;
      }
    }
    flush();
    return ids;
  };
}

/** Merges neighbours, lowest rank first, of equal ranks the leftmost, until there are none. */
function merged(ids: number[], { rank, results }: Merges): number[] {
  const queue = openQueue();
  const next = ids.map((_, i) => i + 1);
  const previous = ids.map((_, i) => i - 1);
  const offer = (left: number, right: number): void => {
    if (left < 0 || right >= ids.length) return;
    const found = rank(ids[left] ?? -1, ids[right] ?? -1);
    if (found !== undefined) queue.push(found * PLACES + left);
  };
  for (let i = 0; i < ids.length - 1; i++) offer(i, i + 1);
  for (let top = queue.pop(); top !== undefined; top = queue.pop()) {
    const left = top % PLACES;
    const right = next[left] ?? ids.length;
    if (ids[left] === GONE || right >= ids.length) continue;
    // A pair that has changed since it was queued is merged only if it becomes the same token.
    const now = rank(ids[left] ?? -1, ids[right] ?? -1);
    const result = results[Math.floor(top / PLACES)];
    if (now === undefined || result === undefined || results[now] !== result) continue;
    const after = next[right] ?? ids.length;
    ids[left] = result;
    ids[right] = GONE;
    next[left] = after;
    if (after < ids.length) previous[after] = left;
    offer(previous[left] ?? -1, left);
    offer(left, after);
  }
  return ids.filter((id) => id !== GONE);
}

/** In the place of a token that was merged into the one before it. */
const GONE = -1;

/** A binary heap of numbers, smallest first. */
function openQueue(): { push(value: number): void; pop(): number | undefined } {
  const heap: number[] = [];
  const at = (i: number): number => heap[i] ?? Number.POSITIVE_INFINITY;
  return {
    push: (value) => {
      let child = heap.length;
      heap.push(value);
      for (let parent = (child - 1) >> 1; child > 0 && at(parent) > value; parent = (child - 1) >> 1) {
        heap[child] = at(parent);
        child = parent;
      }
      heap[child] = value;
    },
    pop: () => {
      const top = heap[0];
      const last = heap.pop();
      if (heap.length === 0 || last === undefined) return top;
      let parent = 0;
      for (;;) {
        const left = 2 * parent + 1;
        const child = at(left + 1) < at(left) ? left + 1 : left;
        if (at(child) >= last) break;
        heap[parent] = at(child);
        parent = child;
      }
      heap[parent] = last;
      return top;
    },
  };
}
