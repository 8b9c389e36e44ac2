/** Drawing the rows of a task dataset: wanted counts per split, no text twice, ids in order. */

import { DataError } from '../../../errors.ts';
import type { Random } from '../../../random.ts';

export const splits = ['train', 'validation', 'test'] as const;
export type Split = (typeof splits)[number];

/** One row of a task: id, split and the fields that templates use. */
export interface TaskRow {
  readonly id: string;
  readonly split: Split;
  readonly [field: string]: string | readonly string[];
}

/** What a row says, and the key that makes it one of a kind within its dataset: where the row has a text, that text. */
export interface Draft {
  readonly key: string;
  readonly fields: Readonly<Record<string, string | readonly string[]>>;
}

/** How many rows each split gets. */
export type Counts = Readonly<Record<Split, number>>;

/** The usual size of a dataset. */
export const usualCounts: Counts = { train: 320, validation: 40, test: 50 };

/**
 * Rows of all splits. `draw` receives the split and the row's index in it, so that it can balance labels by turns;
 * a draft whose key was drawn before, in any split, is drawn again.
 * Rows of a split are shuffled before they get ids.
 * @throws DataError when 2,000 draws in a row give nothing new
 */
export function drawRows(
  random: Random,
  dataset: string,
  counts: Counts,
  draw: (split: Split, index: number) => Draft,
): TaskRow[] {
  const seen = new Set<string>();
  return splits.flatMap((split) => {
    const drafts = Array.from({ length: counts[split] }, (_, index) => {
      for (let attempt = 0; attempt < 2000; attempt++) {
        const draft = draw(split, index);
        if (seen.has(draft.key)) continue;
        seen.add(draft.key);
        return draft;
      }
      throw new DataError(
        `${dataset}, split "${split}": 2000 draws gave no new row; expected ${counts[split]} rows, received ${index}. Ask for fewer or draw from more.`,
      );
    });
    return random
      .shuffle(drafts)
      .map(
        (draft, i): TaskRow => ({ id: `${dataset}-${split}-${String(i).padStart(3, '0')}`, split, ...draft.fields }),
      );
  });
}

/** One item of a list by turns: index 0 gives the first, index 1 the second, and around again. */
export function byTurns<T>(items: readonly T[], index: number): T {
  return items[index % items.length] as T;
}
