/** Configuration of the preference pairs: sampled answers, labelled by a judge with noise. */
import { z } from 'zod';
import { filePath, Run, Runtime, SamplingSection } from '../src/run/sections.ts';
import { JudgedPrompts } from '../src/worlds/prompts-section.ts';

export const PreferencesConfig = z
  .strictObject({
    run: Run,
    runtime: Runtime.prefault({}),
    model: filePath('Instruction-tuned checkpoint whose answers are compared: a run folder or a Hugging Face folder.'),
    prompts: JudgedPrompts,
    sampling: SamplingSection.prefault({}),
    responsesPerPrompt: z.int().min(2).default(4).describe('Answers drawn for each prompt.'),
    pairsPerPrompt: z
      .int()
      .positive()
      .default(3)
      .describe('Pairs kept for each prompt, drawn from all pairs that are not ties.'),
    heldOutShare: z
      .number()
      .gt(0)
      .lt(1)
      .default(0.15)
      .describe('Share of the prompts whose pairs are never trained on.'),
    label: z
      .strictObject({
        noise: z
          .number()
          .nonnegative()
          .default(0.1)
          .describe(
            'Difference of the judge’s totals at which the label is right with probability σ(1) = 0.73; 0 for no noise.',
          ),
        tie: z
          .number()
          .nonnegative()
          .default(0.1)
          .describe('Pairs whose totals by the judge differ by no more than this are dropped.'),
      })
      .prefault({}),
  })
  .superRefine(({ responsesPerPrompt, pairsPerPrompt }, context) => {
    const most = (responsesPerPrompt * (responsesPerPrompt - 1)) / 2;
    if (pairsPerPrompt <= most) return;
    const message = `expected at most ${most}, the number of pairs of ${responsesPerPrompt} answers, received ${pairsPerPrompt}`;
    context.addIssue({ code: 'custom', path: ['pairsPerPrompt'], message });
  });
export type PreferencesConfig = z.infer<typeof PreferencesConfig>;
