/** Configuration of stage 2: a reward model from preference pairs. */
import { z } from 'zod';
import { pairOverlongPolicies } from '../src/examples/preference.ts';
import { bestKey, checkPatience, everyStepsKey, patienceKey, shareKey } from '../src/run/evaluation-section.ts';
import { Checkpoints, filePath, Memory, Optimizer, Run, Runtime, Tuning, withDefaults } from '../src/run/sections.ts';
import { epochsKey, microBatchKey } from '../src/run/training-section.ts';

export const RewardConfig = z
  .strictObject({
    run: Run,
    runtime: Runtime.prefault({}),
    model: filePath('Instruction-tuned checkpoint to start from: a run folder or a Hugging Face folder.'),
    pairs: filePath(
      'Arrow file of preference pairs to train on: prompt, chosen, rejected, as text or with token columns.',
    ),
    heldOut: filePath(
      'Arrow file of pairs whose prompts are not in `pairs`; null for another split of `pairs` (splits.heldOut), or a share of them (evaluation.share).',
    )
      .nullable()
      .default(null),
    splits: z
      .strictObject({
        pairs: z
          .string()
          .min(1)
          .nullable()
          .default(null)
          .describe('Split of `pairs` to train on; null for the whole file.'),
        heldOut: z
          .string()
          .min(1)
          .nullable()
          .default(null)
          .describe('Split of `heldOut`, or of `pairs` where that is null, to hold out; null for the whole file.'),
      })
      .prefault({}),
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
        overlong: z
          .enum(pairOverlongPolicies)
          .default('error')
          .describe(
            'Pairs longer than the context: error stops; drop leaves them out; left cuts the beginning of the prompt and leaves out pairs whose response does not fit.',
          ),
      })
      .prefault({}),
    loss: z
      .strictObject({
        useMargin: z
          .boolean()
          .default(false)
          .describe('Ask the chosen score to be higher by the pair’s margin column.'),
        centring: z
          .number()
          .nonnegative()
          .default(0.01)
          .describe('Weight of mean((chosen + rejected)²), which holds scores near zero; 0 for none.'),
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
    optimizer: withDefaults(Optimizer, {
      learningRate: 5e-4,
      schedule: 'cosine',
      warmupSteps: 10,
      beta2: 0.98,
    }).prefault({}),
    evaluation: z
      .strictObject({
        everySteps: everyStepsKey(25, 'evaluations on the held-out pairs'),
        best: bestKey(['loss', 'accuracy', 'last'], 'loss'),
        patience: patienceKey,
        share: shareKey('the pairs, with all pairs of their prompts,', 'where there are no held-out pairs'),
      })
      .prefault({}),
    checkpoints: Checkpoints.prefault({}),
  })
  .superRefine(({ evaluation }, context) => checkPatience(evaluation, context));
export type RewardConfig = z.infer<typeof RewardConfig>;
