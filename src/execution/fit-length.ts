/** The longest sequences that a run has the memory for. */
import { freemem } from 'node:os';
import type { PlannedModel, RunShapes } from './memory-estimate.ts';
import { estimateMemory, isWithin } from './memory-estimate.ts';

/**
 * The longest of the lengths with which training stays within the memory; the shortest where none does, so that the run
 * is refused with its figures. Few of them are tried: memory grows with length.
 *
 * @param lengths from the shortest to the longest
 * @param limitGb of the configuration; the memory that is free where null
 * @param training rows of an update and of a micro-batch; all of their positions may be learned
 */
export async function longestWithin(
  lengths: readonly number[],
  limitGb: number | null,
  models: { readonly trained: readonly PlannedModel[]; readonly others: readonly PlannedModel[] },
  { rows: inUpdate, microBatch }: { readonly rows: number; readonly microBatch: number | null },
): Promise<number> {
  const rows = microBatch ?? inUpdate;
  const fits = async (seq: number): Promise<boolean> => {
    const shapes: RunShapes = { train: { rows, seq, logits: rows * seq } };
    return isWithin(await estimateMemory(models.trained, models.others, shapes), limitGb, freemem());
  };
  const wanted = lengths.at(-1) as number;
  if (await fits(wanted)) return wanted;
  let [fitting, beyond] = [0, lengths.length - 1];
  while (beyond - fitting > 1) {
    const middle = (fitting + beyond) >> 1;
    if (await fits(lengths[middle] as number)) fitting = middle;
    else beyond = middle;
  }
  return lengths[fitting] as number;
}
