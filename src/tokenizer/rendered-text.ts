/** Rendered text with special tokens in it: cut at them, and encoded piece by piece. */
import type { TextEncoders } from './encoders.ts';
import type { AddedToken } from './tokenizer-json.ts';

/** Encodes pieces of one text; what was said before decides how a piece begins. */
export interface RenderedEncoder {
  /**
   * Ids of a piece in which special tokens are their ids.
   * @param before the end of the text in front of the piece, "" at the beginning
   */
  encode(piece: string, before: string): number[];
  /** The first special token in a text, or undefined. */
  find(text: string): AddedToken | undefined;
  /** A text without its special tokens, as decoding leaves it. */
  plain(text: string): string;
  /** The first added token in a text, special or not, white space left out: they are tokens wherever they stand. */
  first(text: string): AddedToken | undefined;
}

/** Special tokens as Python's `tokenizers` finds them: leftmost, then longest, with their `lstrip` and `rstrip`. */
export function renderedEncoder(added: readonly AddedToken[], encoders: TextEncoders): RenderedEncoder {
  const special = added.filter((token) => token.special).sort((a, b) => b.content.length - a.content.length);
  const byText = new Map(special.map((token) => [token.content, token]));
  const texts = special.map(({ content }) => content.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  const pattern = special.length === 0 ? /(?!)/ : new RegExp(texts.join('|'));
  const splitter = new RegExp(`(${pattern.source})`, 'u');
  const visible = added.filter(({ content }) => content.trim() !== '');
  const find = (text: string): AddedToken | undefined => byText.get(pattern.exec(text)?.[0] ?? '');
  const endsInSpecial = (text: string): boolean => special.some(({ content }) => text.endsWith(content));
  return {
    find,
    plain: (text) =>
      text
        .split(splitter)
        .filter((_, i) => i % 2 === 0)
        .join(''),
    first: (text) => firstIn(text, visible),
    encode: (piece, before) => {
      const parts = piece.split(splitter);
      return parts.flatMap((part, i) => {
        if (i % 2 === 1) return [byText.get(part)?.id ?? -1];
        const [previous, next] = [byText.get(parts[i - 1] ?? ''), byText.get(parts[i + 1] ?? '')];
        let text = previous?.rstrip === true ? part.trimStart() : part;
        if (next?.lstrip === true) text = text.trimEnd();
        if (text === '') return [];
        if (i === 0 && before === '') return [...encoders.encode(text)];
        const isSection = i > 0 || endsInSpecial(before);
        return [...(isSection ? encoders.encodeSection(text) : encoders.encodeOn(text))];
      });
    },
  };
}

/** The token that begins first in a text, the longest where several do. */
function firstIn(text: string, tokens: readonly AddedToken[]): AddedToken | undefined {
  let first: { at: number; token: AddedToken } | undefined;
  for (const token of tokens) {
    const at = text.indexOf(token.content);
    if (at === -1 || (first !== undefined && at > first.at)) continue;
    if (first === undefined || at < first.at || token.content.length > first.token.content.length)
      first = { at, token };
  }
  return first?.token;
}
