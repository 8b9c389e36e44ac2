/** Tokens back to text, as Python's `tokenizers` does it to the last byte. */
import { byteCharacters } from './bytes.ts';
import type { Part } from './tokenizer-json.ts';

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
 * The text of tokens, by the `decoder` of tokenizer.json; without one they are joined by spaces.
 * @throws Error where a decoder is of a type that no family here has
 */
export function tokenDecoder(part: Part | null): (tokens: readonly string[]) => string {
  if (part === null) return (tokens) => tokens.join(' ');
  const decode = decoderOf(part);
  return (tokens) => decode(tokens).join('');
}

function decoderOf(part: Part): Decode {
  switch (part.type) {
    case 'Sequence': {
      const all = (part.decoders ?? []).map(decoderOf);
      return (pieces) => all.reduce((sofar, decode) => decode(sofar), pieces);
    }
    case 'ByteLevel':
      return (pieces) => [lenient.decode(Uint8Array.from(pieces.flatMap(bytesOf)))];
    case 'ByteFallback':
      return joinBytes;
    case 'Fuse':
      return (pieces) => [pieces.join('')];
    case 'Replace':
      return replacer(part);
    case 'Strip':
      return (pieces) => pieces.map((piece) => strip(piece, part));
    case 'Metaspace': {
      const mark = part.replacement ?? '▁';
      const isMarked = (part.prepend_scheme ?? 'always') !== 'never';
      return (pieces) => {
        return pieces.map((piece, i) => piece.replaceAll(mark, i === 0 && isMarked ? '' : ' '));
      };
    }
    default:
      throw new Error(`the decoder ${JSON.stringify(part.type)} is not known here`);
  }
}

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

function replacer({ pattern, content = '' }: Part): Decode {
  if (pattern?.String === undefined) throw new Error('the decoder "Replace" is known here for a String only');
  const text = pattern.String;
  return (pieces) => pieces.map((piece) => piece.replaceAll(text, () => content));
}

function strip(piece: string, { content = '', start = 0, stop = 0 }: Part): string {
  const characters = [...piece];
  let from = 0;
  while (from < start && characters[from] === content) from++;
  let to = characters.length;
  while (characters.length - to < stop && to > from && characters[to - 1] === content) to--;
  return characters.slice(from, to).join('');
}
