/** Rendered text with special tokens in it: cut at them, and encoded piece by piece. */
import type { TextEncoders } from './library.ts';
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
  /** The texts of the added tokens in a text, white space left out: they are tokens wherever they stand. */
  added(text: string): string[];
}

/** Special tokens as Python's `tokenizers` finds them: leftmost, then longest, with their `lstrip` and `rstrip`. */
export function renderedEncoder(added: readonly AddedToken[], encoders: TextEncoders): RenderedEncoder {
  const special = added.filter((token) => token.special).sort((a, b) => b.content.length - a.content.length);
  const byText = new Map(special.map((token) => [token.content, token]));
  const texts = special.map(({ content }) => content.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  const pattern = special.length === 0 ? /(?!)/ : new RegExp(texts.join('|'));
  const splitter = new RegExp(`(${pattern.source})`, 'u');
  const find = (text: string): AddedToken | undefined => byText.get(pattern.exec(text)?.[0] ?? '');
  const endsInSpecial = (text: string): boolean => special.some(({ content }) => text.endsWith(content));
  return {
    find,
    plain: (text) =>
      text
        .split(splitter)
        .filter((_, i) => i % 2 === 0)
        .join(''),
    added: (text) =>
      added.map(({ content }) => content).filter((content) => content.trim() !== '' && text.includes(content)),
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
