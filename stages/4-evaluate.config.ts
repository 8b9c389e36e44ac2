/** Configuration of stage 4: checkpoints on the same held-out rows and prompts. */
import { z } from 'zod';
import { rankingRules } from '../src/evaluation/rank-options.ts';
import { filePath, Run, Runtime, SamplingSection } from '../src/run/sections.ts';
import { JudgedPrompts } from '../src/worlds/prompts-section.ts';

export const EvaluateConfig = z
  .strictObject({
    run: Run,
    runtime: Runtime.prefault({}),
    base: filePath('Base checkpoint.'),
    instruct: filePath('Checkpoint of stage 1; also the reference of KL and win rate. Its run says what was trained.'),
    policies: z
      .record(z.string(), filePath('Checkpoint.'))
      .default({})
      .describe('Checkpoints made from instruct, by a name of your choice: that of stage 3, and others.'),
    reward: filePath('Reward model of stage 2, which scores the conversations.').optional(),
    data: z.strictObject({
      tables: filePath('Folder with the rows: one <dataset>.jsonl or <dataset>.arrow a task.'),
      templates: filePath('Folder with one <dataset>.yaml a task.'),
      tasks: z.array(z.string()).min(1).optional().describe('Tasks to answer; all that have templates when left out.'),
    }),
    split: z.string().default('test').describe('Split of the task rows; none of them may have been trained on.'),
    rowsPerTask: z
      .int()
      .positive()
      .default(40)
      .describe('Rows of each task, with trained and again with unseen templates.'),
    templates: z
      .enum(['turns', 'all'])
      .default('turns')
      .describe('turns: each row with one template. all: each row with each template, as FLAN reports it.'),
    shots: z
      .array(z.int().nonnegative())
      .min(1)
      .default([0])
      .describe('Solved examples in front of the question: everything is asked once for each number.'),
    ranking: z.enum(rankingRules).default('sum').describe('How options are compared; all rules are in tasks.arrow.'),
    chainOfThought: z
      .strictObject({
        samples: z
          .int()
          .nonnegative()
          .default(0)
          .describe('0: not asked. 1: one greedy chain of thought. More: that many samples vote.'),
        temperature: z
          .number()
          .positive()
          .default(0.7)
          .describe('Of the samples that vote.')
          .meta({ readWhen: '.samples!=0|1' }),
        maxNewTokens: z
          .int()
          .positive()
          .default(64)
          .describe('Longest chain of thought, EOS included.')
          .meta({ readWhen: '.samples!=0' }),
      })
      .prefault({}),
    dev: z
      .strictObject({
        split: z
          .string()
          .default('validation')
          .describe('Split of the rows that templates are chosen on.')
          .meta({ readWhen: '.rowsPerTask!=0' }),
        rowsPerTask: z.int().nonnegative().default(0).describe('Rows of each task; 0 for no choice (FLAN: 200).'),
      })
      .prefault({}),
    bootstrap: z
      .strictObject({
        samples: z.int().positive().default(1000).describe('Resamples of the rows.'),
        level: z.number().min(0.5).lt(1).default(0.95).describe('Probability that an interval is to cover.'),
      })
      .prefault({}),
    contaminationWords: z
      .int()
      .positive()
      .default(8)
      .describe('Words in a row that count as an overlap of held-out rows with training examples (GPT-3: 13).'),
    prompts: JudgedPrompts.optional().describe('Conversation prompts; needs reward.'),
    promptCount: z.int().positive().default(150).describe('Conversation prompts.').meta({ readWhen: 'prompts!=null' }),
    sampling: SamplingSection.prefault({}).meta({ readWhen: 'prompts!=null' }),
  })
  .superRefine(({ policies, reward, prompts }, context) => {
    for (const name of ['base', 'instruct', 'reward'].filter((taken) => Object.hasOwn(policies, taken))) {
      const message = `expected another name: ${name} is a key beside policies`;
      context.addIssue({ code: 'custom', path: ['policies', name], message });
    }
    if ((reward === undefined) === (prompts === undefined)) return;
    const message = 'reward and prompts belong together: give both, or neither to compare answers to tasks alone';
    context.addIssue({ code: 'custom', path: [reward === undefined ? 'reward' : 'prompts'], message });
  });
export type EvaluateConfig = z.infer<typeof EvaluateConfig>;
