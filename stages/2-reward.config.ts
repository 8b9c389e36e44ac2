/** Configuration of stage 2: a reward model from preference pairs. */
import { z } from 'zod';
import { checkPatience } from '../src/run/evaluation-section.ts';
import { pairKeys } from '../src/run/pair-section.ts';
import { filePath, Optimizer, Run, Runtime, withDefaults } from '../src/run/sections.ts';

export const RewardConfig = z
  .strictObject({
    run: Run,
    runtime: Runtime.prefault({}),
    model: filePath('Instruction-tuned checkpoint to start from: a run folder or a Hugging Face folder.'),
    score: z
      .enum(['head', 'likelihood'])
      .default('head')
      .describe(
        'What a response’s score is. head: read at its last token by a new scalar head. likelihood: the mean log-probability of its tokens, with the head the model has (arXiv:2405.14734); from few pairs it sees wrong words far better.',
      ),
    ...pairKeys,
    loss: z
      .strictObject({
        useMargin: z
          .boolean()
          .default(false)
          .describe('Ask the chosen score to be higher by the pair’s margin column.'),
        centring: z
          .number()
          .nonnegative()
          .default(0.01)
          .describe('Weight of mean((chosen + rejected)²), which holds scores near zero; 0 for none.')
          .meta({ readWhen: 'score=head' }),
        scale: z
          .number()
          .positive()
          .default(5)
          .describe('β: what the log-probability of a token counts in the loss.')
          .meta({ readWhen: 'score=likelihood' }),
      })
      .prefault({}),
    optimizer: withDefaults(Optimizer, {
      learningRate: 5e-4,
      schedule: 'cosine',
      warmupSteps: 10,
      beta2: 0.98,
    }).prefault({}),
  })
  .superRefine(({ evaluation }, context) => checkPatience(evaluation, context));
export type RewardConfig = z.infer<typeof RewardConfig>;
