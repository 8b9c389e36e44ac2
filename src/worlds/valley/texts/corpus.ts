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
 * The whole corpus, kinds by their weights, in shuffled order; the same seed gives the same rows.
 * @param heldOut texts of held-out task rows, none of which may stand in a document
 */
export function buildCorpus(seed: number, documents: number, heldOut: readonly string[]): CorpusRow[] {
  const random = seededRandom(seed, 'corpus');
  const turns = Object.entries(documentKinds).flatMap(([name, kind]) =>
    Array.from({ length: kind.weight }, () => ({ name, kind })),
  );
  const forbidden = leakDetector(heldOut);
  const seen = new Set<string>();
  const drafts: { kind: string; text: string }[] = [];
  for (let i = 0; drafts.length < documents; i = (i + 1) % turns.length) {
    const turn = turns[i];
    if (turn === undefined) break;
    const text = writeDocument(random, turn.kind, forbidden);
    if (seen.has(text)) continue;
    seen.add(text);
    drafts.push({ kind: turn.name, text });
  }
  return random.shuffle(drafts).map((draft, i) => ({
    id: `corpus-${String(i).padStart(5, '0')}`,
    ...draft,
  }));
}

/** A test whether a text holds one of the held-out texts word for word; texts of the world start a sentence, so that is where it looks. */
export function leakDetector(heldOut: readonly string[]): (text: string) => boolean {
  const byOpening = new Map<string, string[]>();
  for (const text of heldOut) {
    const key = text.slice(0, 8);
    byOpening.set(key, [...(byOpening.get(key) ?? []), text]);
  }
  return (text) => {
    for (const match of text.matchAll(/(?:^|[\s"(])(?=\S)/g)) {
      const start = match.index + match[0].length;
      const candidates = byOpening.get(text.slice(start, start + 8)) ?? [];
      if (candidates.some((each) => text.startsWith(each, start))) return true;
    }
    return false;
  };
}

/** A test whether a text stands word for word in one of the documents. */
export function corpusSearch(documents: readonly CorpusRow[]): (text: string) => boolean {
  const all = documents.map((each) => each.text).join('\n');
  return (text) => all.includes(text);
}
