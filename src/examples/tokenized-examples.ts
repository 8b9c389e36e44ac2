/** The examples of a tokenized table, read from its file one by one and checked when they are read. */

import type { TokenBatch, TokenSequence } from '../batch/token-batch.ts';
import { DataError } from '../errors.ts';
import { openRandomAccess, type RandomAccessTable } from '../tables/arrow-random-access.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { checkTokenizer } from './instruction.ts';

/** Training data that stay on disk until an update asks for them. */
export interface TrainingData {
  /** Examples in the table. */
  readonly examples: number;
  /** What is shuffled: packed rows, or whole batches of one bucket. */
  readonly units: number;
  /** Units of one update. */
  readonly perUpdate: number;
  /** Tokens of the longest row. */
  readonly length: number;
  /**
   * The rows of the chosen units, in the order given.
   * @throws DataError naming the example whose mask learns nothing or whose ids are not in the vocabulary
   */
  take(units: readonly number[]): TokenBatch;
  close(): void;
}

/** An open table of examples. */
export interface TokenizedExamples {
  /** Tokens of each example. */
  readonly lengths: readonly number[];
  /** @throws DataError where its mask learns nothing or its ids are not in the vocabulary */
  read(row: number): TokenSequence;
  close(): void;
}

const writtenBy = 'node --import tsx stages/1-instruct.ts';

/**
 * Opens a table with the columns `input_ids` and `loss_mask`. In memory are two numbers an example; tokens are read when
 * they are needed.
 *
 * @throws DataError where the file is missing or damaged, was made with another tokenizer, has no examples, or a mask is
 *   not as long as its ids
 */
export function openExamples(path: string, tokenizer: Tokenizer): TokenizedExamples {
  const table = openRandomAccess(path, writtenBy);
  try {
    checkTokenizer(path, table.metadata.tokenizer, tokenizer, writtenBy);
    if (table.rows === 0) throw new DataError(`${path}: no examples; expected at least one. Run ${writtenBy}.`);
    return { ...exampleReader(path, table, tokenizer), close: table.close };
  } catch (error) {
    table.close();
    throw error;
  }
}

function exampleReader(path: string, table: RandomAccessTable, tokenizer: Tokenizer) {
  const idColumn = table.listColumn('input_ids');
  const maskColumn = table.listColumn('loss_mask');
  const uneven = idColumn.lengths.findIndex((count, row) => count !== maskColumn.lengths[row]);
  if (uneven >= 0) {
    throw new DataError(
      `${path}: row ${uneven}: loss_mask: expected ${idColumn.lengths[uneven]} entries as input_ids, ` +
        `received ${maskColumn.lengths[uneven]}. Run ${writtenBy}.`,
    );
  }
  const read = (row: number): TokenSequence => {
    const ids = idColumn.read(row);
    const learned = maskColumn.read(row);
    if (!learned.includes(1)) {
      throw new DataError(
        `${path}: row ${row}: loss_mask is 0 everywhere, so nothing would be learned; expected a 1. Remove the row.`,
      );
    }
    const outside = ids.find((id) => id < 0 || id >= tokenizer.vocabSize);
    if (outside !== undefined) {
      throw new DataError(
        `${path}: row ${row}: input_ids: expected ids below ${tokenizer.vocabSize}, received ${outside}. Run ${writtenBy}.`,
      );
    }
    return { ids, learned };
  };
  return { lengths: Array.from(idColumn.lengths), read };
}
