/** Configuration of the whole chain: one file a stage, and what they share. */
import { z } from 'zod';
import { filePath, Run, Runtime } from '../src/run/sections.ts';
import { allStages } from '../stages/all.ts';

/** Stages that have a place in a chain: those that take something from it. */
export const chainable = allStages.filter(({ parents }) =>
  Object.values(parents).some(({ inChain }) => inChain !== undefined),
);

const files = chainable.map(({ name, outputs }) => {
  const file = filePath(`Configuration of ${name}; its paths between stages, seed and runtime are set by the chain.`);
  const isEvaluation = Object.values(outputs).some(({ kind }) => kind === 'evaluation table');
  return [name, isEvaluation ? file : file.optional()] as const;
});
const lists = chainable.map(({ name }) => {
  return [name, z.array(z.string()).default([]).describe(`key.path=value for ${name}.`)] as const;
});

export const AlignConfig = z.strictObject({
  run: Run,
  runtime: Runtime.prefault({}),
  base: filePath('Base checkpoint to start from.'),
  stages: z.strictObject(Object.fromEntries(files)),
  overrides: z.strictObject(Object.fromEntries(lists)).prefault({}),
});
export type AlignConfig = z.infer<typeof AlignConfig>;
