/** The tokenizer file of llama2.c: SentencePiece pieces with scores, encoded by repeated best merges. */
import { CheckpointError } from '../errors.ts';

/** Encodes and decodes as llama2.c's run.c does. */
export interface Llama2cTokenizer {
  /** Every piece as it is spelled, with its score, in the order of ids. */
  readonly pieces: readonly { readonly text: string; readonly score: number }[];
  readonly begin: number;
  /** BOS, then the pieces of a leading space and the text (nothing but BOS for an empty text). */
  encode(text: string): number[];
  /** The text of tokens after BOS: the leading space of the first is dropped. */
  decode(ids: readonly number[]): string;
}

const BEGIN = 1;
/** Ids 3 … 258 stand for single bytes. */
const FIRST_BYTE = 3;

interface Piece {
  readonly bytes: Uint8Array;
  readonly score: number;
}

/**
 * Reads int32 longest piece, then for each piece float32 score, int32 length, bytes; little-endian.
 * @param where the file's name, for errors
 * @throws CheckpointError when the file does not hold exactly `vocab` pieces
 * @see karpathy/llama2.c tokenizer.py export and run.c build_tokenizer, encode, decode
 */
export function readLlama2cTokenizer(bytes: Uint8Array, vocab: number, where: string): Llama2cTokenizer {
  const pieces = readPieces(bytes, vocab, where);
  const text = new TextDecoder('utf-8', { ignoreBOM: true });
  const ids = new Map<string, number>();
  pieces.forEach((piece, id) => {
    const key = text.decode(piece.bytes);
    if (!ids.has(key)) ids.set(key, id);
  });
  const wholeBytes = pieces.map((piece) => byteOf(text.decode(piece.bytes)));
  return {
    pieces: pieces.map((piece) => ({ text: text.decode(piece.bytes), score: piece.score })),
    begin: BEGIN,
    encode: (source) => (source === '' ? [BEGIN] : [BEGIN, ...merge(characters(` ${source}`, ids), pieces, ids)]),
    decode: (tokens) => {
      const parts = tokens.map((id) => wholeBytes[id] ?? pieces[id]?.bytes ?? new Uint8Array());
      const joined = text.decode(Buffer.concat(parts));
      return joined.startsWith(' ') ? joined.slice(1) : joined;
    },
  };
}

function readPieces(bytes: Uint8Array, vocab: number, where: string): Piece[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const pieces: Piece[] = [];
  let at = 4;
  while (pieces.length < vocab && at + 8 <= bytes.byteLength) {
    const length = view.getInt32(at + 4, true);
    if (length < 0 || at + 8 + length > bytes.byteLength) break;
    pieces.push({ score: view.getFloat32(at, true), bytes: bytes.subarray(at + 8, at + 8 + length) });
    at += 8 + length;
  }
  if (pieces.length !== vocab || at !== bytes.byteLength) {
    throw new CheckpointError(
      `${where}: expected ${vocab} pieces in ${bytes.byteLength} bytes, received ${pieces.length} in ${at}. ` +
        'Use the tokenizer file that belongs to the model.',
    );
  }
  return pieces;
}

/** The byte of a piece spelled "<0x0A>", else undefined. */
function byteOf(piece: string): Uint8Array | undefined {
  const found = /^<0x([0-9A-F]{2})>$/.exec(piece);
  return found === null ? undefined : Uint8Array.of(Number.parseInt(found[1] as string, 16));
}

/** One id a character, or its bytes where the vocabulary lacks it. */
function characters(text: string, ids: ReadonlyMap<string, number>): number[] {
  return [...text].flatMap((character) => {
    const id = ids.get(character);
    return id === undefined ? [...Buffer.from(character)].map((byte) => byte + FIRST_BYTE) : [id];
  });
}

/** Joins the neighbouring pair whose piece has the best score, first pair on ties, until no pair is a piece. */
function merge(start: number[], pieces: readonly Piece[], ids: ReadonlyMap<string, number>): number[] {
  const tokens = [...start];
  const text = (id: number): string => Buffer.from((pieces[id] as Piece).bytes).toString();
  for (;;) {
    let best: { at: number; id: number; score: number } | null = null;
    for (let at = 0; at + 1 < tokens.length; at++) {
      const id = ids.get(text(tokens[at] as number) + text(tokens[at + 1] as number));
      const score = id === undefined ? Number.NEGATIVE_INFINITY : (pieces[id] as Piece).score;
      if (id !== undefined && score > (best?.score ?? Number.NEGATIVE_INFINITY)) best = { at, id, score };
    }
    if (best === null) return tokens;
    tokens.splice(best.at, 2, best.id);
  }
}
