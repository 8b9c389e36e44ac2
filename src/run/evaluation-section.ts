/** Keys of `evaluation` that the training stages share: what is kept, when to stop early, what is held out. */

import { z } from 'zod';

/** How often a stage measures; `what` it measures, as "evaluations". */
export function everyStepsKey(standard: number, what: string) {
  return z
    .int()
    .positive()
    .default(standard)
    .describe(`Steps between ${what}; one is made before the first step and one at the end in any case.`);
}

/** What chooses the step to keep: the measures a stage has, and last. */
export function bestKey<const Names extends readonly [string, ...string[]]>(names: Names, standard: Names[number]) {
  return z
    .enum(names)
    .default(standard as never)
    .describe(
      `Held-out measure that chooses the step whose model is kept; last keeps the last. The weights before the first step are measured and never kept; of equals the later step is.`,
    );
}

/** When a run stops early. */
export const patienceKey = z
  .int()
  .positive()
  .nullable()
  .default(null)
  .describe(
    'Stop after this many measurements in a row that are not better than the best step so far; null for never.',
  );

/** What is held out where the data have no validation part. */
export function shareKey(what: string, where: string) {
  return z
    .number()
    .min(0)
    .lt(1)
    .default(0.05)
    .describe(
      `Share of ${what} held out by run.seed ${where}, one at least; they are not trained on. 0 for none, which needs evaluation.best: last.`,
    );
}

/** `evaluation` of the stages that tune language models on tasks. */
export function taskEvaluation(rowsPerTask: number) {
  return z.strictObject({
    everySteps: everyStepsKey(100, 'evaluations'),
    rowsPerTask: z.int().positive().default(rowsPerTask).describe('Validation rows of each task.'),
    best: bestKey(['loss', 'accuracy', 'last'], 'loss'),
    patience: patienceKey,
    share: shareKey('the training rows', 'of each task that has no validation rows'),
  });
}

/** Adds the problem of waiting for what is not compared. */
export function checkPatience(
  { best, patience }: { readonly best: string; readonly patience: number | null },
  context: { addIssue(issue: { code: 'custom'; path: string[]; message: string }): void },
): void {
  if (best !== 'last' || patience === null) return;
  const message = `expected null beside evaluation.best: last, by which no step is better than another; received ${patience}. Choose another evaluation.best, or leave patience out`;
  context.addIssue({ code: 'custom', path: ['evaluation', 'patience'], message });
}
