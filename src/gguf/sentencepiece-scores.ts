/** The scores of a SentencePiece vocabulary, from the merges that tokenizer.json has in their place. */
import type { TokenModel } from '../tokenizer/tokenizer-json.ts';

/**
 * Scores by id, for which "join the two neighbours whose token has the best score" gives what the merges give: the number of
 * the first merge that makes a token, negated. Tokens that no merge makes stand below all others, in the order of their ids.
 * @param isPiece whether a token is found by merging: special ones and bytes are not
 * @returns undefined where no scores do that: the merges of one token do not stand together, or some of its are missing
 */
export function scoresOf({ vocab, merges }: TokenModel, isPiece: (token: string) => boolean): Float32Array | undefined {
  const ranks = new Map<string, number>();
  const waysOf = new Map<string, number>();
  let last: string | undefined;
  for (const [left, right] of merges) {
    const made = left + right;
    if (made !== last && ranks.has(made)) return undefined;
    if (made !== last) ranks.set(made, ranks.size);
    last = made;
    waysOf.set(made, (waysOf.get(made) ?? 0) + 1);
  }
  for (const token of vocab.keys()) {
    if (isPiece(token) && (waysOf.get(token) ?? 0) !== countWays(token, vocab)) return undefined;
  }
  const scores = new Float32Array([...vocab.values()].reduce((most, id) => Math.max(most, id), 0) + 1);
  for (const [token, id] of vocab) {
    const rank = ranks.get(token);
    scores[id] = -(rank ?? ranks.size + id);
  }
  return scores;
}

/** In how many ways a token is two tokens side by side. */
function countWays(token: string, vocab: ReadonlyMap<string, number>): number {
  let ways = 0;
  let at = 0;
  for (const character of token) {
    at += character.length;
    if (at < token.length && vocab.has(token.slice(0, at)) && vocab.has(token.slice(at))) ways++;
  }
  return ways;
}
