/** What a model of tokenizer.json does: it cuts one word into tokens. */

/** Cuts words into tokens. */
export interface WordModel {
  /** @throws Error where a character is unknown and the model has no token for that */
  readonly encode: (word: string) => number[];
  /** The token for what the vocabulary lacks; undefined where there is none. */
  readonly unkId: number | undefined;
}

const encoder = new TextEncoder();

/** The tokens "<0xE2>" of a text's bytes; undefined where the vocabulary lacks one of them. */
export function byteIds(text: string, vocab: ReadonlyMap<string, number>): number[] | undefined {
  const ids: number[] = [];
  for (const byte of encoder.encode(text)) {
    const id = vocab.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
    if (id === undefined) return undefined;
    ids.push(id);
  }
  return ids;
}
