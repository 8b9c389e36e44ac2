/** Keys of `training` that the training stages share: how an update is split, how long a run is. */

import { z } from 'zod';

/** Micro-batches of an update. */
export function accumulateKey(what: string) {
  return z.int().positive().default(1).describe(`Micro-batches that ${what} is split into.`).meta({ resume: 'split' });
}

/** Passes over the data; `what` is passed over, as "the pairs". */
export function epochsKey(what: string) {
  return z.number().positive().default(1).describe(`Passes over ${what}.`).meta({ resume: 'length' });
}
