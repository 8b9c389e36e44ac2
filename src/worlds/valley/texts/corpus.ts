/** The pre-training corpus: plain prose of many kinds about the world, never in the form of the tasks. */

import type { Random } from '../../../random.ts';
import { seededRandom } from '../../../random.ts';
import type { DocumentKind } from './corpus-kinds.ts';
import { documentKinds } from './corpus-kinds.ts';
import { countWords } from './language.ts';

/** One document. */
export interface CorpusRow {
  readonly id: string;
  readonly kind: string;
  readonly text: string;
}

/** Documents outside these bounds are written again. */
export const documentWords = { least: 38, most: 92 } as const;

function writeDocument(random: Random, kind: DocumentKind, forbidden: (text: string) => boolean): string {
  for (;;) {
    const text = kind.write(random);
    const words = countWords(text);
    if (words >= documentWords.least && words <= documentWords.most && !forbidden(text)) return text;
  }
}

/**
 * Documents without end, none twice, kinds by their weights; the same seed gives the same ones in the same order, so that
 * a longer corpus begins with a shorter one.
 * @param heldOut texts of held-out rows, none of which may stand in a document
 */
export function* corpusDocuments(seed: number, heldOut: readonly string[]): Generator<CorpusRow> {
  const random = seededRandom(seed, 'corpus');
  const turns = Object.entries(documentKinds).flatMap(([name, kind]) =>
    Array.from({ length: kind.weight }, () => ({ name, kind })),
  );
  const forbidden = leakDetector(heldOut);
  const seen = new Set<string>();
  for (;;) {
    for (const { name, kind } of random.shuffle(turns)) {
      const text = writeDocument(random, kind, forbidden);
      if (seen.has(text)) continue;
      yield { id: `corpus-${String(seen.size).padStart(6, '0')}`, kind: name, text };
      seen.add(text);
    }
  }
}

/** A test whether a text holds one of the held-out texts word for word; texts of the world start a sentence, so that is where it looks. */
export function leakDetector(heldOut: readonly string[]): (text: string) => boolean {
  const byOpening = new Map<string, string[]>();
  for (const text of heldOut) {
    const key = text.slice(0, 8);
    byOpening.set(key, [...(byOpening.get(key) ?? []), text]);
  }
  return (text) => {
    for (const { index: start } of text.matchAll(/(?<=^|[\s"(])(?=\S)/g)) {
      const candidates = byOpening.get(text.slice(start, start + 8)) ?? [];
      if (candidates.some((each) => text.startsWith(each, start))) return true;
    }
    return false;
  };
}
