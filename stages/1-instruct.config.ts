/** Configuration of stage 1: instruction tuning on FLAN-style tasks. */
import { z } from 'zod';
import { overlongPolicies } from '../src/data/instruction.ts';
import { templateChoices } from '../src/data/mixture.ts';
import { Checkpoints, filePath, Optimizer, Run, Runtime, withDefaults } from '../src/run/sections.ts';

export const InstructConfig = z
  .strictObject({
    run: Run,
    runtime: Runtime.prefault({}),
    model: filePath('Checkpoint to start from: a run folder or a Hugging Face folder.'),
    data: z.strictObject({
      seed: filePath('Folder with one <dataset>.jsonl a task.'),
      templates: filePath('Folder with one <dataset>.yaml a task.'),
      tasks: z
        .array(z.string())
        .min(1)
        .optional()
        .describe('Tasks to train on; all that have templates when left out.'),
    }),
    mixture: z
      .strictObject({
        examples: z.int().positive().default(8000).describe('Examples drawn in all.'),
        cap: z.int().positive().default(400).describe('Rows of a task that count towards its share (FLAN: 3,000).'),
        templateChoice: z
          .enum(templateChoices)
          .default('round_robin')
          .describe('round_robin as FLAN’s code, random as its paper.'),
      })
      .prefault({}),
    sequence: z
      .strictObject({
        length: z.int().positive().default(160).describe('Tokens of a packed row.'),
        overlong: z.enum(overlongPolicies).default('error').describe('What to do with an example longer than a row.'),
      })
      .prefault({}),
    training: z
      .strictObject({
        rows: z.int().positive().default(8).describe('Packed rows an update.'),
        accumulate: z.int().positive().default(1).describe('Micro-batches that an update is split into.'),
        epochs: z.number().positive().default(1).describe('Passes over the packed rows.'),
      })
      .prefault({}),
    optimizer: withDefaults(Optimizer, {
      learningRate: 2e-3,
      schedule: 'cosine',
      warmupSteps: 30,
      weightDecay: 0.05,
      beta2: 0.98,
    }).prefault({}),
    evaluation: z
      .strictObject({
        everySteps: z
          .int()
          .positive()
          .default(100)
          .describe('Steps between evaluations; one is made at the end in any case.'),
        rowsPerTask: z.int().positive().default(12).describe('Validation rows of each task.'),
      })
      .prefault({}),
    checkpoints: Checkpoints.prefault({}),
  })
  .superRefine(({ training }, context) => {
    if (training.rows % training.accumulate === 0) return;
    context.addIssue({
      code: 'custom',
      path: ['training', 'accumulate'],
      message: `expected a divisor of training.rows ${training.rows}, received ${training.accumulate}`,
    });
  });
export type InstructConfig = z.infer<typeof InstructConfig>;
