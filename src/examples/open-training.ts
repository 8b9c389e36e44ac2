/** The tokenized table of a run as batches. */
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { TrainingData } from './tokenized-examples.ts';
import { openPacked } from './tokenized-packed.ts';
import { openPadded } from './tokenized-padded.ts';

/** How examples become rows. */
interface RowSettings {
  readonly sequence: { readonly length: number; readonly buckets: readonly number[] | null };
  readonly training: { readonly rows: number };
  readonly run: { readonly seed: number };
}

/**
 * Packed rows, or batches of like length where buckets are given.
 *
 * @throws DataError as `openPacked` and `openPadded`
 */
export function openTraining(
  { sequence, training, run }: RowSettings,
  path: string,
  tokenizer: Tokenizer,
): TrainingData {
  const { length, buckets } = sequence;
  if (buckets === null) return openPacked(path, tokenizer, length, training.rows);
  return openPadded(path, tokenizer, buckets, training.rows, run.seed);
}
