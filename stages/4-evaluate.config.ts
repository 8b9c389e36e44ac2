/** Configuration of stage 4: base, instruct and PPO checkpoints on the same held-out rows and prompts. */
import { z } from 'zod';
import { filePath, PromptsSection, Run, Runtime, SamplingSection } from '../src/run/sections.ts';

export const EvaluateConfig = z.strictObject({
  run: Run,
  runtime: Runtime.prefault({}),
  base: filePath('Base checkpoint.'),
  instruct: filePath('Checkpoint of stage 1; also the reference of KL and win rate.'),
  ppo: filePath('Checkpoint of stage 3.'),
  reward: filePath('Reward model of stage 2.'),
  data: z.strictObject({
    seed: filePath('Folder with one <dataset>.jsonl a task.'),
    templates: filePath('Folder with one <dataset>.yaml a task.'),
    tasks: z.array(z.string()).min(1).optional().describe('Tasks to answer; all that have templates when left out.'),
  }),
  split: z.string().default('test').describe('Split of the task rows; none of them may have been trained on.'),
  rowsPerTask: z
    .int()
    .positive()
    .default(40)
    .describe('Rows of each task, with trained and again with unseen templates.'),
  prompts: PromptsSection,
  promptCount: z.int().positive().default(150).describe('Conversation prompts.'),
  sampling: SamplingSection.prefault({}),
});
export type EvaluateConfig = z.infer<typeof EvaluateConfig>;
