/** Configuration of direct preference optimisation: a policy from preference pairs, without a reward model or rollouts. */
import { z } from 'zod';
import type { PreferenceLoss } from '../src/objectives/preference-losses.ts';
import { hasReference, preferenceLosses, usualBeta } from '../src/objectives/preference-losses.ts';
import { checkPatience } from '../src/run/evaluation-section.ts';
import { pairKeys } from '../src/run/pair-section.ts';
import { filePath, Optimizer, Run, Runtime, withDefaults } from '../src/run/sections.ts';

const Loss = z
  .strictObject({
    kind: z
      .enum(preferenceLosses)
      .default('sigmoid')
      .describe(
        'sigmoid: DPO (arXiv:2305.18290); robust: for labels of which labelSmoothing are wrong; hinge; ipo-sum, ipo-mean: IPO on sums or on means a token; sigmoid-mean: DPO on means a token; simpo, orpo: without a reference.',
      ),
    beta: z
      .number()
      .positive()
      .nullable()
      .default(null)
      .describe(
        'β: what a nat of log-probability is worth; null for the usual one: 0.1, of sigmoid-mean 5 and of simpo 2, whose means are smaller than sums. Of orpo the weight of the odds.',
      ),
    labelSmoothing: z
      .number()
      .min(0)
      .lt(0.5)
      .default(0)
      .describe('ε: the share of labels taken to be wrong. sigmoid with it is conservative DPO.')
      .meta({ readWhen: '.kind=sigmoid|sigmoid-mean|robust' }),
    targetMargin: z
      .number()
      .nonnegative()
      .default(0.25)
      .describe('γ/β: how many nats a token the chosen response is to be ahead.')
      .meta({ readWhen: '.kind=simpo' }),
    sft: z
      .number()
      .nonnegative()
      .nullable()
      .default(null)
      .describe(
        'Weight of −mean log π of the chosen response, which keeps it likely (RPO, arXiv:2404.19733); null for the usual one: 1 of orpo, else 0.',
      ),
  })
  .superRefine(({ kind, labelSmoothing }, context) => {
    if (kind !== 'robust' || labelSmoothing > 0) return;
    const message = 'expected more than 0 with kind robust, which is sigmoid at 0; received 0';
    context.addIssue({ code: 'custom', path: ['labelSmoothing'], message });
  });

export const DpoConfig = z
  .strictObject({
    run: Run,
    runtime: Runtime.prefault({}),
    model: filePath('Instruction-tuned checkpoint to start from: a run folder or a Hugging Face folder.'),
    reference: filePath(
      'Checkpoint whose log-probabilities are compared with; null for the one the policy starts from.',
    )
      .nullable()
      .default(null),
    referenceFree: z
      .boolean()
      .default(false)
      .describe('Leave the reference out of the loss, as if it found every response equally likely.'),
    cache: filePath('Where log-probabilities of references are kept, by the content of what they depend on.').default(
      'data/build/cache',
    ),
    ...pairKeys,
    loss: Loss.prefault({}),
    optimizer: withDefaults(Optimizer, { learningRate: 5e-5, warmupSteps: 10, epsilon: 1e-8 }).prefault({}),
  })
  .superRefine(({ evaluation, loss, reference, referenceFree, tuning }, context) => {
    checkPatience(evaluation, context);
    const none = referenceFree ? 'referenceFree' : hasReference(loss.kind) ? undefined : `loss.kind ${loss.kind}`;
    if (reference !== null && none !== undefined) {
      const message = `expected null with ${none}, which compares with no reference; received ${reference}`;
      context.addIssue({ code: 'custom', path: ['reference'], message });
    }
    if (referenceFree && !hasReference(loss.kind)) {
      const message = `expected false with loss.kind ${loss.kind}, which compares with no reference anyway`;
      context.addIssue({ code: 'custom', path: ['referenceFree'], message });
    }
    if (tuning.method === 'lora' && tuning.lora.dropout !== 0) {
      const message = `expected 0: with dropout the policy is not its reference at the start; received ${tuning.lora.dropout}`;
      context.addIssue({ code: 'custom', path: ['tuning', 'lora', 'dropout'], message });
    }
  });
export type DpoConfig = z.infer<typeof DpoConfig>;

/** The loss with what is usual where the configuration says null. */
export function lossOf({ loss, referenceFree }: DpoConfig): PreferenceLoss {
  const { kind, beta, sft } = loss;
  return { ...loss, referenceFree, beta: beta ?? usualBeta[kind], sft: sft ?? (kind === 'orpo' ? 1 : 0) };
}
