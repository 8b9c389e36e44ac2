/** Keys of `training` that the training stages share: how much goes through the model at once, how long a run is. */

import { z } from 'zod';

/** The size of a micro-batch; `what` an update consists of, as "Pairs", and what the whole of it is. */
export function microBatchKey(what: string, whole: string, standard: number | null = null) {
  return z
    .int()
    .positive()
    .nullable()
    .default(standard)
    .describe(`${what} that go through one forward and backward pass, which bounds memory; null for ${whole}.`)
    .meta({ resume: 'split' });
}

/** Adds the problem of rows that do not make micro-batches of equal size. */
export function checkMicroBatch(
  { rows, microBatch }: { readonly rows: number; readonly microBatch: number | null },
  context: { addIssue(issue: { code: 'custom'; path: string[]; message: string }): void },
): void {
  if (microBatch === null || rows % microBatch === 0) return;
  const message = `expected a divisor of training.rows ${rows}, received ${microBatch}`;
  context.addIssue({ code: 'custom', path: ['training', 'microBatch'], message });
}

/** `training` of the stages that learn from packed rows. */
export const RowTraining = z.strictObject({
  rows: z.int().positive().default(8).describe('Packed rows an update.'),
  microBatch: microBatchKey('Rows', 'all rows of an update'),
  epochs: epochsKey('the packed rows'),
});

/** Passes over the data; `what` is passed over, as "the pairs". */
export function epochsKey(what: string) {
  return z.number().positive().default(1).describe(`Passes over ${what}.`).meta({ resume: 'length' });
}
