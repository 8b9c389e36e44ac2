/** A tokenized table as batches of examples of like length, one example a row, padded to one of a few lengths. */

import { chunks } from '../batch/chunks.ts';
import { groupByBucket } from '../batch/padding.ts';
import { layOut } from '../batch/token-batch.ts';
import { DataError } from '../errors.ts';
import { type Random, seededRandom } from '../random.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { openExamples, type TrainingData } from './tokenized-examples.ts';

/**
 * Opens a table as `openPacked` does, in batches whose examples share a bucket. A unit is a whole batch: which examples
 * share one is drawn once from the seed, the order of the batches by the cursor. Where a bucket does not fill its last
 * batch, examples of it come a second time.
 *
 * examples of 3, 9, 4 and 7 tokens, buckets [4, 16], 2 rows  ->  batches of examples {0, 2} (4 tokens) and {1, 3} (16)
 *
 * @param buckets lengths of batches, rising
 * @param rowsPerUpdate examples of one batch
 * @throws DataError as `openPacked`, and where an example is longer than the last bucket
 */
export function openPadded(
  path: string,
  tokenizer: Tokenizer,
  buckets: readonly number[],
  rowsPerUpdate: number,
  seed: number,
): TrainingData {
  const { lengths, read, close } = openExamples(path, tokenizer);
  const length = Math.max(...buckets);
  const long = lengths.findIndex((size) => size > length);
  if (long >= 0) {
    close();
    throw new DataError(
      `${path}: row ${long}: expected at most ${length} tokens, the largest bucket, received ${lengths[long]}. ` +
        'Add a larger bucket.',
    );
  }
  const random = seededRandom(seed, 'buckets');
  const batches = groupByBucket(lengths, buckets).flatMap((group) => {
    return cut(random.shuffle(group.indices), rowsPerUpdate, random).map((rows) => ({ rows, length: group.length }));
  });
  return {
    examples: lengths.length,
    units: batches.length,
    perUpdate: 1,
    length,
    take: (units) => {
      const chosen = units.flatMap((unit) => batches[unit] ?? []);
      const examples = chosen.flatMap(({ rows }) => rows.map((row) => [read(row)]));
      return layOut(examples, Math.max(...chosen.map((batch) => batch.length)), tokenizer.padId);
    },
    close,
  };
}

/** Pieces of equal size; the last one is filled up with items drawn from all. */
function cut(items: readonly number[], size: number, random: Random): number[][] {
  const pieces = chunks(items, size);
  const last = pieces.at(-1);
  while (last !== undefined && last.length < size) last.push(random.pick(items));
  return pieces;
}
