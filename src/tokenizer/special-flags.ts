/** Which tokens transformers takes for special ones, whatever tokenizer.json says of them. */
import type { SpecialTokensMap } from './chat-template.ts';
import { type AddedToken, type TokenizerConfig, type TokenizerJson, tokenText } from './tokenizer-json.ts';

/**
 * The special tokens that tokenizer_config.json names, by their keys: bos_token, eos_token, and those of a model's own
 * (`image_token`, or an object in `extra_special_tokens`), as transformers' special_tokens_map has them.
 */
export function specialTokensMap(config: TokenizerConfig): SpecialTokensMap {
  const { extra_special_tokens: extra } = config;
  const own = typeof extra === 'object' && extra !== null && !Array.isArray(extra) ? extra : {};
  const named = Object.entries(config).filter(([key]) => key.endsWith('_token'));
  return Object.fromEntries(
    [...named, ...Object.entries(own)].flatMap(([key, value]) => {
      const text = tokenText(value);
      return text === undefined ? [] : [[key, text] as const];
    }),
  );
}

/**
 * The added tokens with the flags that transformers gives them: those of `added_tokens_decoder` before those of
 * tokenizer.json, and a token that has a name is special, even one that is in the vocabulary only.
 * @param ids ids of all tokens by text
 */
export function flaggedTokens(
  { added }: TokenizerJson,
  config: TokenizerConfig,
  ids: ReadonlyMap<string, number>,
): AddedToken[] {
  const described = Object.values((config.added_tokens_decoder ?? {}) as Record<string, Omit<AddedToken, 'id'>>);
  const flags = new Map(described.map((token) => [token.content, token]));
  const names = new Set(Object.values(specialTokensMap(config)));
  const found = added.map((token) => {
    const flagged = { ...token, ...flags.get(token.content), id: token.id };
    return names.has(token.content) ? { ...flagged, special: true } : flagged;
  });
  const known = new Set(added.map(({ content }) => content));
  for (const content of names) {
    const id = ids.get(content);
    if (id === undefined || known.has(content)) continue;
    found.push({ id, content, special: true, normalized: false, single_word: false, lstrip: false, rstrip: false });
  }
  return found;
}
