/** Plain text for pre-training: documents as token sequences, long ones in pieces. */

import type { TokenSequence } from '../batch/token-batch.ts';
import { DataError } from '../errors.ts';
import type { Random } from '../random.ts';
import { type JsonLine, readJsonLines } from '../tables/jsonl.ts';
import { holdOutShare } from '../tasks/hold-out-share.ts';
import { findUnread, unreadProblems } from '../tasks/unread-fields.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';

/** One document of a corpus. */
export interface CorpusDocument {
  id: string;
  kind: string;
  text: string;
}

/**
 * Reads a corpus: JSONL with id, kind and text.
 *
 * @throws DataError naming every line without text (the first ten), rows of several splits, and parts of conversations
 *   beside the texts
 */
export function readCorpus(path: string): CorpusDocument[] {
  const lines = readJsonLines(path, 'node --import tsx scripts/build-seed.ts');
  const problems = lines
    .filter(({ fields }) => typeof fields.text !== 'string' || fields.text.trim() === '')
    .map(({ where }) => `${where}: no "text"; expected a document. Mend or remove the line.`);
  const unread = unreadProblems(findUnread(path, lines), () => 'Write it into the texts, or remove the field.');
  problems.unshift(...unread, ...splitProblems(path, lines));
  const more =
    problems.length > 10 ? [`${path}: ${problems.length} problems in all; expected none. Mend these first.`] : [];
  if (problems.length > 0) throw new DataError([...problems.slice(0, 10), ...more]);
  return lines.map(({ fields }) => ({
    id: String(fields.id ?? ''),
    kind: String(fields.kind ?? ''),
    text: String(fields.text),
  }));
}

/** The whole file is read: with rows of several splits, those that are to be held out would be trained on. */
function splitProblems(path: string, lines: readonly JsonLine[]): string[] {
  const splits = [...new Set(lines.map(({ fields }) => fields.split))].map((split) => split ?? 'none');
  if (splits.length < 2) return [];
  return [
    `${path}: rows of splits ${splits.join(', ')}; expected those of one. Put each split into a file of its own.`,
  ];
}

/**
 * The texts to train on and those to measure on: of two files, or a share of one that is held out by seed. Documents with
 * the same text stay together.
 *
 * @throws DataError as `readCorpus`
 */
export function divideCorpus(
  path: string,
  heldOut: string | null,
  share: number,
  random: Random,
): { trained: string[]; heldOut: string[] } {
  const textsOf = (file: string): string[] => readCorpus(file).map(({ text }) => text);
  const texts = textsOf(path);
  if (heldOut !== null) return { trained: texts, heldOut: textsOf(heldOut) };
  const held = holdOutShare(texts, share, random);
  return { trained: texts.filter((_, i) => !held.has(i)), heldOut: texts.filter((_, i) => held.has(i)) };
}

/** Ids of a document: BOS, text, EOS. */
export function documentIds(text: string, tokenizer: Tokenizer): Int32Array {
  return Int32Array.of(tokenizer.bosId ?? tokenizer.eosId, ...tokenizer.encode(text), tokenizer.eosId);
}

/**
 * A document's ids as training sequences, with loss on all but BOS. One that is longer than `length` is cut
 * into pieces of that length; each later piece starts with the last token of the piece before (without loss), so that
 * every token is predicted once.
 *
 * "abc" in byte tokens, length 3  ->  [BOS, a, b], [b, c, EOS], each with mask [0, 1, 1]
 */
export function cutDocument(ids: Int32Array, length: number): TokenSequence[] {
  const pieces: TokenSequence[] = [];
  for (let at = 0; at < ids.length - 1; at += length - 1) {
    const piece = ids.slice(at, at + length);
    pieces.push({ ids: piece, learned: new Int32Array(piece.length).fill(1, 1) });
  }
  return pieces;
}
