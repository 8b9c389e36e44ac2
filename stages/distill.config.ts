/** Configuration of distillation: a student that learns from a teacher's probabilities on instruction data. */
import { z } from 'zod';
import { checkPatience, taskEvaluation } from '../src/run/evaluation-section.ts';
import { Checkpoints, filePath, Optimizer, Run, Runtime, withDefaults } from '../src/run/sections.ts';
import { checkMicroBatch, RowTraining } from '../src/run/training-section.ts';

function size(description: string) {
  return z.int().positive().nullable().default(null).describe(`${description} null: as the teacher.`);
}

/** A new decoder, or one that exists. */
const Student = z
  .strictObject({
    checkpoint: filePath('Checkpoint to start from; null makes a new model of the sizes below.')
      .nullable()
      .default(null),
    layers: size('Decoder layers.'),
    heads: size('Query heads.'),
    kvHeads: size('Key/value heads; divides heads.'),
    dModel: size('Width of the residual stream.'),
    dFf: size('Width of the feed-forward layer.'),
  })
  .refine(({ checkpoint, ...sizes }) => checkpoint === null || Object.values(sizes).every((value) => value === null), {
    path: ['checkpoint'],
    message: 'expected null beside sizes: a checkpoint has its own. Leave out one or the other',
  });

export const DistillConfig = z
  .strictObject({
    run: Run,
    runtime: Runtime.prefault({}),
    teacher: filePath('Language model to learn from: a run folder or a Hugging Face folder.'),
    student: Student.prefault({}),
    data: z.strictObject({
      examples: filePath('The tokenized examples of a stage-1 run: its instruct.arrow.'),
      tables: filePath('Folder with the rows of the tasks, for validation.'),
      templates: filePath('Folder with the templates of the tasks, for validation.'),
      tasks: z
        .array(z.string())
        .min(1)
        .optional()
        .describe('Tasks to validate on; all that occur in the examples when left out.'),
    }),
    distill: z
      .strictObject({
        alpha: z
          .number()
          .min(0)
          .max(1)
          .default(0.5)
          .describe('Weight of the teacher: 1 learns from it alone, 0 from the data alone.'),
        temperature: z
          .number()
          .positive()
          .default(2)
          .describe('Divides the logits of teacher and student; above 1, unlikely tokens weigh more.')
          .meta({ readWhen: '.alpha!=0' }),
      })
      .prefault({}),
    sequence: z
      .strictObject({ length: z.int().positive().default(160).describe('Tokens of a packed row.') })
      .prefault({}),
    training: RowTraining.prefault({}),
    optimizer: withDefaults(Optimizer, {
      learningRate: 3e-3,
      schedule: 'cosine',
      warmupSteps: 50,
      weightDecay: 0.05,
      beta2: 0.98,
    }).prefault({}),
    evaluation: taskEvaluation(24).prefault({}),
    checkpoints: Checkpoints.prefault({}),
  })
  .superRefine(({ training, evaluation }, context) => {
    checkPatience(evaluation, context);
    checkMicroBatch(training, context);
  });
export type DistillConfig = z.infer<typeof DistillConfig>;
