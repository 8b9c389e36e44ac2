/** Configuration of stage 2: a reward model from preference pairs. */
import { z } from 'zod';
import { Checkpoints, filePath, Optimizer, Run, Runtime, withDefaults } from '../src/run/sections.ts';

export const RewardConfig = z.strictObject({
  run: Run,
  runtime: Runtime.prefault({}),
  model: filePath('Instruction-tuned checkpoint to start from: a run folder or a Hugging Face folder.'),
  pairs: filePath('Arrow file of preference pairs to train on.'),
  heldOut: filePath('Arrow file of pairs whose prompts are not in `pairs`.'),
  loss: z
    .strictObject({
      useMargin: z.boolean().default(false).describe('Ask the chosen score to be higher by the pair’s margin column.'),
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
      microBatchPairs: z
        .int()
        .positive()
        .default(16)
        .describe('Pairs of one forward and backward pass; bounds memory.'),
      epochs: z.number().positive().default(1).describe('Passes over the pairs.'),
    })
    .prefault({}),
  optimizer: withDefaults(Optimizer, { learningRate: 5e-4, schedule: 'cosine', warmupSteps: 10, beta2: 0.98 }).prefault(
    {},
  ),
  evaluateEverySteps: z
    .int()
    .positive()
    .default(25)
    .describe('Steps between evaluations on the held-out pairs; one is made at the end in any case.'),
  checkpoints: Checkpoints.prefault({}),
});
export type RewardConfig = z.infer<typeof RewardConfig>;
