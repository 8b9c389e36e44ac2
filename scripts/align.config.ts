/** Configuration of the whole chain: one file a stage, and what they share. */
import { z } from 'zod';
import { filePath, Run, Runtime } from '../src/run/sections.ts';

const stageFile = (stage: string) =>
  filePath(`Configuration of ${stage}; its paths between stages, seed and runtime are set by the chain.`);

export const AlignConfig = z.strictObject({
  run: Run,
  runtime: Runtime.prefault({}),
  base: filePath('Base checkpoint to start from.'),
  stages: z.strictObject({
    instruct: stageFile('stage 1'),
    preferences: stageFile('the preference pairs'),
    reward: stageFile('stage 2'),
    ppo: stageFile('stage 3'),
    evaluate: stageFile('stage 4'),
  }),
  overrides: z
    .strictObject({
      instruct: z.array(z.string()).default([]).describe('key.path=value for stage 1.'),
      preferences: z.array(z.string()).default([]).describe('key.path=value for the preference pairs.'),
      reward: z.array(z.string()).default([]).describe('key.path=value for stage 2.'),
      ppo: z.array(z.string()).default([]).describe('key.path=value for stage 3.'),
      evaluate: z.array(z.string()).default([]).describe('key.path=value for stage 4.'),
    })
    .prefault({}),
});
export type AlignConfig = z.infer<typeof AlignConfig>;
