/** A tokenized table as packed training rows, read from its file batch by batch. */

import { planPacking } from '../batch/packing.ts';
import { layOut } from '../batch/token-batch.ts';
import { DataError } from '../errors.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { openExamples, type TrainingData } from './tokenized-examples.ts';

/**
 * Opens a table with the columns `input_ids` and `loss_mask` and plans its rows, best-fit decreasing; every example
 * stands in exactly one row. A unit is one row.
 *
 * @param rowsPerUpdate packed rows of one update
 * @param leftOut positions of examples that are not used
 * @throws DataError where the file is missing or damaged, was made with another tokenizer, has no examples, or an example
 *   is longer than a row
 */
export function openPacked(
  path: string,
  tokenizer: Tokenizer,
  length: number,
  rowsPerUpdate: number,
  leftOut: ReadonlySet<number> = new Set(),
): TrainingData {
  const { lengths, read, close } = openExamples(path, tokenizer);
  try {
    const used = lengths.flatMap((_, index) => (leftOut.has(index) ? [] : [index]));
    const long = used.find((index) => (lengths[index] as number) > length);
    if (long !== undefined) {
      throw new DataError(
        `${path}: row ${long}: expected at most ${length} tokens, a packed row, received ${lengths[long]}. Raise the length of rows.`,
      );
    }
    const plan = planPacking(
      used.map((index) => lengths[index] as number),
      length,
    );
    const take = (rows: readonly number[]) => {
      const examples = rows.map((row) => (plan[row] ?? []).map((position) => read(used[position] as number)));
      return layOut(examples, length, tokenizer.padId);
    };
    return { examples: used.length, units: plan.length, perUpdate: rowsPerUpdate, length, take, close };
  } catch (error) {
    close();
    throw error;
  }
}
