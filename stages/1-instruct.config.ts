/** Configuration of stage 1: instruction tuning on rows of one's own, or on FLAN-style tasks. */
import { z } from 'zod';
import { overlongPolicies } from '../src/examples/instruction.ts';
import { encodings } from '../src/import/encodings.ts';
import { learnedShapes } from '../src/import/recognize.ts';
import { checkPatience, taskEvaluation } from '../src/run/evaluation-section.ts';
import { Checkpoints, filePath, Memory, Optimizer, Run, Runtime, Tuning, withDefaults } from '../src/run/sections.ts';
import { checkMicroBatch, RowTraining } from '../src/run/training-section.ts';
import { templateChoices } from '../src/tasks/mixture.ts';
import { learnedAnswers } from '../src/tasks/template.ts';
import { templateKinds } from '../src/tasks/template-schema.ts';
import { templateWords } from '../src/tokenizer/set-template.ts';

function names(description: string) {
  return z.array(z.string()).default([]).describe(description);
}

/** Files of one's own: one, or several with weights. */
const OwnFiles = z.union([
  filePath('A file, folder or pattern.'),
  z
    .array(
      z.strictObject({
        path: filePath('A file, folder or pattern.'),
        weight: z.number().positive().default(1).describe('How often each of its rows is learned in an epoch.'),
      }),
    )
    .min(1),
]);

/** One part of the mixture, e.g. few_shot: {share: 0.3, kinds: [direct], shots: [1, 2]}. */
const MixturePart = z
  .strictObject({
    share: z.number().positive().describe('Weight among the parts.'),
    kinds: z
      .array(z.enum(templateKinds))
      .min(1)
      .default(['direct', 'inverted', 'conversation'])
      .describe(
        'Kinds of templates; conversation: rows with messages, which have none; text: rows of data.file alone.',
      ),
    shots: z
      .array(z.int().nonnegative())
      .min(1)
      .default([0])
      .describe(
        'Solved examples in front of the question: one of these numbers is drawn for each; conversations have none.',
      ),
    tasks: z
      .array(z.string())
      .min(1)
      .optional()
      .describe('Tasks of the part; all that have such templates when left out.'),
  })
  .refine(({ kinds, shots }) => !kinds.includes('dialogue') || shots.every((count) => count === 0), {
    path: ['shots'],
    message: 'expected [0] in a part with dialogues, which have no solved examples in front; make two parts',
  });

const mixtureSizes = {
  examples: z.int().positive().default(8000).describe('Examples drawn in all.'),
  maximumRate: z
    .number()
    .positive()
    .max(1)
    .nullable()
    .default(null)
    .describe('Largest share of one task within a part; null for no limit.'),
  rowCap: z
    .int()
    .positive()
    .nullable()
    .default(null)
    .describe('First rows of a dataset that are used at all; null for all (FLAN: 30,000).'),
  templateChoice: z
    .enum(templateChoices)
    .default('round_robin')
    .describe('round_robin as FLAN’s code, random as its paper.'),
  parts: z
    .record(z.string(), MixturePart)
    .refine((parts) => Object.keys(parts).length > 0, 'expected at least one part')
    .default({ plain: { share: 1, kinds: ['direct', 'inverted', 'conversation'], shots: [0] } })
    .describe('Mixtures of the mixture: zero-shot, few-shot, chain of thought, dialogue.'),
};

const rateRule =
  'Shares of tasks: proportional to min(rows, cap)^(1 / temperature), or by weights that are written down.';

/** How many examples of which tasks. */
const Mixture = z.discriminatedUnion('rule', [
  z.strictObject({
    rule: z.literal('proportional').default('proportional').describe(rateRule),
    cap: z.int().positive().default(400).describe('Rows of a task that count towards its share (FLAN: 3,000).'),
    temperature: z.number().positive().default(1).describe('Above 1, shares of small tasks grow.'),
    ...mixtureSizes,
  }),
  z.strictObject({
    rule: z.literal('weights').describe(rateRule),
    weights: z
      .record(z.string(), z.number().nonnegative())
      .describe('The share of each task; they need not add up to 1.'),
    ...mixtureSizes,
  }),
]);

export const InstructConfig = z
  .strictObject({
    run: Run,
    runtime: Runtime.prefault({}),
    model: filePath('Checkpoint to start from: a run folder or a Hugging Face folder.'),
    data: z.strictObject({
      file: OwnFiles.optional().describe(
        'Your own rows, each once an epoch: a file, folder or pattern (JSONL, JSON, CSV, Parquet, Arrow; .gz and .zst), or a list of {path, weight}. Conversations, ShareGPT, Alpaca, questions with answers or texts, found by their fields.',
      ),
      shape: z
        .enum(['auto', ...learnedShapes])
        .default('auto')
        .describe('What the rows of data.file are; auto goes by the fields of the first rows, and says what it found.')
        .meta({ readWhen: '.file!=null' }),
      encoding: z
        .enum(encodings)
        .default('utf-8')
        .describe('How text is stored in data.file; a byte order mark is heeded.')
        .meta({ readWhen: '.file!=null' }),
      template: z
        .union([
          z.enum(templateWords),
          filePath('A Jinja template.').regex(/\.jinja$/, 'expected a file that ends in .jinja'),
        ])
        .default('model')
        .describe(
          'How conversations are written: as the model’s own chat template does (the plain format where it has none), plain, chatml (tokens that the vocabulary lacks are added, and their rows trained, under LoRA too), or a .jinja file.',
        ),
      badRows: z
        .number()
        .min(0)
        .max(1)
        .default(0.1)
        .describe('Largest share of the rows of data.file that may be unusable; they are left out and named.')
        .meta({ readWhen: '.file!=null' }),
      tables: filePath('Folder with the rows of tasks: one <dataset>.jsonl or <dataset>.arrow each.').optional(),
      templates: filePath('Folder with one <dataset>.yaml a task, and clusters.yaml.')
        .optional()
        .meta({ readWhen: '.tables!=null' }),
      tasks: z
        .array(z.string())
        .min(1)
        .optional()
        .describe('Tasks to train on; all that have templates when left out.')
        .meta({ readWhen: '.tables!=null' }),
      learn: z
        .enum(learnedAnswers)
        .default('all')
        .describe('Answers of a conversation that are learned: all but those with weight 0, or the last alone.'),
      cache: filePath('Where tokenized datasets are kept, each under the hash of what it was made from.').default(
        'data/build/cache',
      ),
    }),
    holdOut: z
      .strictObject({
        clusters: names('Clusters that are not trained, with those related to them in clusters.yaml.'),
        datasets: names('Datasets that are not trained.'),
        templates: names('Templates that are not trained, as dataset/template, beside those marked unseen.'),
      })
      .prefault({})
      .meta({ readWhen: 'data.tables!=null' }),
    mixture: Mixture.prefault({}).meta({ readWhen: 'data.tables!=null' }),
    sequence: z
      .strictObject({
        length: z
          .union([z.int().positive(), z.literal('auto')])
          .default(160)
          .describe(
            'Tokens of a packed row. auto: what 99.5 % of the rows of data.file need, within the model’s context and the memory, and says so.',
          ),
        buckets: z
          .array(z.int().positive())
          .min(1)
          .nullable()
          .default(null)
          .describe('Instead of packing: one example a row, batches padded to one of these lengths. null packs.'),
        overlong: z
          .enum(overlongPolicies)
          .default('error')
          .describe(
            'An example longer than a row: stop, leave it out, cut its beginning (left) or end (right, loses EOS), or leave out its first turns, and all of it where the last turn is too long (turns).',
          ),
      })
      .prefault({}),
    training: RowTraining.prefault({}),
    tuning: Tuning.prefault({}),
    memory: Memory.prefault({}),
    optimizer: withDefaults(Optimizer, {
      learningRate: 2e-3,
      schedule: 'cosine',
      warmupSteps: 30,
      weightDecay: 0.05,
      beta2: 0.98,
    }).prefault({}),
    evaluation: taskEvaluation(12).prefault({}),
    checkpoints: Checkpoints.prefault({}),
  })
  .superRefine(({ data, training, sequence, evaluation }, context) => {
    checkPatience(evaluation, context);
    checkMicroBatch(training, context);
    const fail = (path: string[], message: string): void => context.addIssue({ code: 'custom', path, message });
    if (data.file === undefined && data.tables === undefined) {
      fail(['data'], 'expected file, your own rows, or tables and templates, rows of tasks; received neither');
    }
    if (data.tables !== undefined && data.templates === undefined) {
      fail(['data', 'templates'], 'expected the folder of templates for the tasks of data.tables; received none');
    }
    if (sequence.length === 'auto' && data.file === undefined) {
      fail(
        ['sequence', 'length'],
        'expected a number of tokens: auto goes by the rows of data.file, and there is none',
      );
    }
    if (sequence.buckets !== null && Math.max(...sequence.buckets) !== sequence.length) {
      context.addIssue({
        code: 'custom',
        path: ['sequence', 'buckets'],
        message: `expected the largest bucket to be sequence.length ${sequence.length}, received ${sequence.buckets.join(', ')}`,
      });
    }
  });
export type InstructConfig = z.infer<typeof InstructConfig>;
/** A configuration whose length is a number, as it is wherever a run has begun. */
export type SettledInstructConfig = InstructConfig & { readonly sequence: { readonly length: number } };
