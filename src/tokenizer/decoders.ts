/** Tokens back to text, as Python's `tokenizers` does it to the last byte. */
import { byteCharacters } from './bytes.ts';
import { replaceMatches } from './normalizers.ts';
import { findAll } from './patterns.ts';
import type { Decoder } from './tokenizer-parts.ts';

/**
 * One decoder takes a list of pieces and gives another; at the end they are joined. The library's own are not used: its
 * ByteFallback drops a byte order mark and joins broken bytes to one U+FFFD where Python's gives one a byte, and its
 * ByteLevel reads a token outside the alphabet as zeros.
 */
type Decode = (pieces: readonly string[]) => readonly string[];

const byteOf = new Map(byteCharacters.map((character, byte) => [character, byte]));
const encoder = new TextEncoder();
const lenient = new TextDecoder('utf-8', { ignoreBOM: true });
const strict = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });

/**
 * The text of tokens, by the decoders of tokenizer.json; without one they are joined by spaces.
 * @throws Error where a pattern cannot be translated
 */
export function tokenDecoder(parts: readonly Decoder[] | null): (tokens: readonly string[]) => string {
  if (parts === null) return (tokens) => tokens.join(' ');
  const decoders = parts.map(decoderOf);
  return (tokens) => decoders.reduce((pieces, decode) => decode(pieces), tokens).join('');
}

function decoderOf(part: Decoder): Decode {
  switch (part.type) {
    case 'BPEDecoder':
      return (pieces) => {
        return pieces.map((piece, i) => piece.replaceAll(part.suffix, i === pieces.length - 1 ? '' : ' '));
      };
    case 'ByteFallback':
      return joinBytes;
    case 'ByteLevel':
      return (pieces) => [lenient.decode(Uint8Array.from(pieces.flatMap(bytesOf)))];
    case 'Fuse':
      return (pieces) => [pieces.join('')];
    case 'Metaspace': {
      const isMarked = part.prepend_scheme !== 'never';
      return (pieces) => {
        return pieces.map((piece, i) => piece.replaceAll(part.replacement, i === 0 && isMarked ? '' : ' '));
      };
    }
    case 'Replace': {
      const find = findAll(part.pattern);
      return (pieces) => pieces.map((piece) => replaceMatches(piece, find(piece), part.content));
    }
    case 'Strip':
      return (pieces) => pieces.map((piece) => strip(piece, part));
    case 'WordPiece':
      return (pieces) => pieces.map((piece, i) => wordPiece(piece, i === 0, part));
  }
}

/** A word piece with a space in front where it begins a word, and without those that BERT puts around punctuation. */
function wordPiece(piece: string, isFirst: boolean, { prefix, cleanup }: Decoder & { type: 'WordPiece' }): string {
  let text = piece;
  if (!isFirst) text = piece.startsWith(prefix) ? piece.slice(prefix.length) : ` ${piece}`;
  return cleanup ? TIDIED.reduce((sofar, [from, to]) => sofar.replaceAll(from, to), text) : text;
}

const TIDIED = [
  ...[' .', ' ?', ' !', ' ,'].map((text) => [text, text.trim()] as const),
  ...([
    [" ' ", "'"],
    [" n't", "n't"],
    [" 'm", "'m"],
    [' do not', " don't"],
  ] as const),
  ...[" 's", " 've", " 're"].map((text) => [text, text.trim()] as const),
];

/** A token in the alphabet of bytes as those bytes, any other as its own. */
function bytesOf(token: string): number[] {
  const bytes = Array.from(token, (character) => byteOf.get(character));
  return bytes.every((byte) => byte !== undefined) ? bytes : [...encoder.encode(token)];
}

/** Runs of "<0x41>" to text: the text of the bytes, or U+FFFD for each where they are none. */
function joinBytes(pieces: readonly string[]): string[] {
  const joined: string[] = [];
  let run: number[] = [];
  const flush = (): void => {
    if (run.length === 0) return;
    try {
      joined.push(strict.decode(Uint8Array.from(run)));
    } catch {
      joined.push('\uFFFD'.repeat(run.length));
    }
    run = [];
  };
  for (const piece of pieces) {
    const hex = /^<0x([0-9A-Fa-f]{2})>$/.exec(piece)?.[1];
    if (hex !== undefined) {
      run.push(Number.parseInt(hex, 16));
      continue;
    }
    flush();
    joined.push(piece);
  }
  flush();
  return joined;
}

function strip(piece: string, { content, start, stop }: Decoder & { type: 'Strip' }): string {
  const characters = [...piece];
  let from = 0;
  while (from < start && characters[from] === content) from++;
  let to = characters.length;
  while (characters.length - to < stop && to > from && characters[to - 1] === content) to--;
  return characters.slice(from, to).join('');
}
