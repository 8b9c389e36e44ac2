/** Keys of the stages that learn from preference pairs: which pairs, what is held out, how much goes through the model at once. */

import { z } from 'zod';
import { pairOverlongPolicies } from '../examples/preference.ts';
import { bestKey, everyStepsKey, patienceKey, shareKey } from './evaluation-section.ts';
import { Checkpoints, filePath, Memory, Tuning } from './sections.ts';
import { epochsKey, microBatchKey } from './training-section.ts';

function split(description: string) {
  return z.string().min(1).nullable().default(null).describe(`${description}; null for the whole file.`);
}

/** Of such a stage, but for run, runtime, its model, its loss and its optimizer. Refine with `checkPatience`. */
export const pairKeys = {
  pairs: filePath(
    'Preference pairs to train on: a table of the preferences stage or of npm run import, or a file, folder or pattern of your own (JSONL, JSON, CSV, Parquet, Arrow; .gz and .zst): pairs, ranked answers or ratings, found by their fields.',
  ),
  heldOut: filePath(
    'Pairs whose prompts are not in `pairs`, of the same kinds; null for another split of `pairs` (splits.heldOut), or its split validation or test, or a share of them (evaluation.share).',
  )
    .nullable()
    .default(null),
  splits: z
    .strictObject({
      pairs: split('Split of `pairs` to train on'),
      heldOut: split('Split of `heldOut`, or of `pairs` where that is null, to hold out'),
    })
    .prefault({}),
  badRows: z
    .number()
    .min(0)
    .max(1)
    .default(0.1)
    .describe('Largest share of the rows of a file of your own that may be unusable; they are left out and named.'),
  apartBy: z
    .enum(['prompt', 'response'])
    .default('prompt')
    .describe(
      'What training and held-out pairs must not share; response where one prompt stands for all, as in rated texts.',
    ),
  groupBy: z
    .string()
    .min(1)
    .nullable()
    .default(null)
    .describe(
      'Text column of the held-out pairs, as "topic", for which accuracy is also written apart; null for none.',
    ),
  sequence: z
    .strictObject({
      length: z
        .int()
        .positive()
        .nullable()
        .default(null)
        .describe('Tokens of prompt and response at most, which bounds memory; null for the model’s context.'),
      overlong: z
        .enum(pairOverlongPolicies)
        .default('error')
        .describe(
          'Pairs longer than that: error stops; drop leaves them out; left cuts the beginning of the prompt and leaves out pairs whose response does not fit.',
        ),
    })
    .prefault({}),
  training: z
    .strictObject({
      pairs: z.int().positive().default(32).describe('Pairs an update.'),
      microBatch: microBatchKey('Pairs', 'all pairs of an update', 16),
      epochs: epochsKey('the pairs'),
    })
    .prefault({}),
  tuning: Tuning.prefault({}),
  memory: Memory.prefault({}),
  evaluation: z
    .strictObject({
      everySteps: everyStepsKey(25, 'evaluations on the held-out pairs'),
      best: bestKey(['loss', 'accuracy', 'last'], 'loss'),
      patience: patienceKey,
      share: shareKey('the pairs, with all pairs of their prompts,', 'where there are no held-out pairs'),
    })
    .prefault({}),
  checkpoints: Checkpoints.prefault({}),
};
export type PairSettings = z.infer<z.ZodObject<typeof pairKeys>>;
