/** Configuration of stage 3: PPO against the reward model. Defaults and their sources: docs/decisions.md. */
import { z } from 'zod';
import { bestKey, checkPatience, everyStepsKey, patienceKey } from '../src/run/evaluation-section.ts';
import { PretrainingMix } from '../src/run/pretraining-mix.ts';
import {
  Checkpoints,
  filePath,
  Memory,
  Optimizer,
  Run,
  Runtime,
  SamplingSection,
  Tuning,
  withDefaults,
} from '../src/run/sections.ts';
import { microBatchKey } from '../src/run/training-section.ts';
import { PolicyPrompts } from '../src/worlds/prompts-section.ts';

const control = 'β stays as it is (fixed), or steers the KL of a response to target (adaptive).';
const estimator = z.enum(['k1', 'k2', 'k3']).default('k1').describe('Estimator of the penalty from the sampled token.');

/** The KL penalty in each token's reward, and its weight β. */
const Kl = z.discriminatedUnion('control', [
  z.strictObject({
    control: z.literal('fixed').default('fixed').describe(control),
    weight: z.number().nonnegative().default(0.05).describe('β: weight of the KL penalty in each token’s reward.'),
    estimator: estimator.meta({ readWhen: '.weight!=0' }),
  }),
  z.strictObject({
    control: z.literal('adaptive').describe(control),
    weight: z.number().positive().default(0.05).describe('β of the first rollout; a factor moves it after each.'),
    estimator,
    target: z.number().positive().default(6).describe('KL a response to steer to, in nats.'),
    horizon: z
      .number()
      .positive()
      .default(10_000)
      .describe('Responses over which β may change by a factor of e^±0.2, at least rollout.batch.'),
  }),
]);

export const PpoConfig = z
  .strictObject({
    run: Run,
    runtime: Runtime.prefault({}),
    policy: filePath('Instruction-tuned checkpoint: starts the policy and stays frozen as the reference.'),
    reward: filePath('Reward model of stage 2: scores responses, and starts the value model.'),
    prompts: PolicyPrompts,
    heldOut: PolicyPrompts.optional().describe(
      'Prompts to measure with. Left out beside prompts.file: those of its split validation, or evaluation.share of the prompts.',
    ),
    sampling: SamplingSection.prefault({}),
    rollout: z
      .strictObject({
        iterations: z
          .int()
          .positive()
          .default(20)
          .describe('Rollouts, each followed by its updates.')
          .meta({ resume: 'length' }),
        batch: z.int().min(2).default(64).describe('Prompts a rollout.'),
        missingEosScore: z
          .number()
          .nullable()
          .default(-1)
          .describe('Replaces the score of a response without EOS; null keeps it.'),
      })
      .prefault({}),
    kl: Kl.prefault({}),
    gae: z
      .strictObject({
        gamma: z.number().min(0).max(1).default(1).describe('Discount γ.'),
        lambda: z.number().min(0).max(1).default(0.95).describe('Trace decay λ.'),
      })
      .prefault({}),
    updates: z
      .strictObject({
        epochs: z.int().positive().default(4).describe('Passes over a rollout.'),
        minibatches: z.int().positive().default(1).describe('Updates a pass; divides rollout.batch.'),
        microBatch: microBatchKey('Responses', 'all responses of an update', 64),
        clipRange: z.number().gt(0).lt(1).default(0.2).describe('ε of the policy ratio.'),
        valueClipRange: z.number().positive().default(0.2).describe('ε of the value change.'),
        whitenAdvantages: z.boolean().default(true).describe('Advantages to mean 0 and variance 1 over the rollout.'),
        whitenRewards: z.boolean().default(false).describe('Rewards to variance 1 over the rollout, mean kept.'),
        targetKl: z
          .number()
          .positive()
          .nullable()
          .default(null)
          .describe('Stop the passes of a rollout once approx_kl exceeds this; null for never.'),
      })
      .prefault({}),
    pretrainingMix: PretrainingMix.optional().describe(
      'Examples whose next-token loss joins each update of the policy, so that it keeps what it knew (PPO-ptx, arXiv:2203.02155); none when left out.',
    ),
    tuning: Tuning.prefault({}),
    memory: Memory.prefault({}),
    optimizer: withDefaults(Optimizer, { learningRate: 1e-4, epsilon: 1e-5 }).prefault({}),
    valueOptimizer: withDefaults(Optimizer, { learningRate: 3e-4, epsilon: 1e-5 }).prefault({}),
    evaluation: z
      .strictObject({
        everySteps: everyStepsKey(5, 'evaluations on held-out prompts (a step is a rollout and its updates)'),
        prompts: z.int().positive().default(64).describe('Held-out prompts, at most.'),
        share: z
          .number()
          .gt(0)
          .lt(1)
          .default(0.05)
          .describe('Share of the prompts held out by run.seed where the file has no split validation, one at least.')
          .meta({ readWhen: 'heldOut=null' }),
        best: bestKey(['reward', 'last'], 'last'),
        patience: patienceKey,
      })
      .prefault({}),
    checkpoints: withDefaults(Checkpoints, { everySteps: 5 }).prefault({}),
  })
  .superRefine(({ rollout, updates, prompts, heldOut, tuning, memory, kl, evaluation }, context) => {
    checkPatience(evaluation, context);
    if (kl.control === 'adaptive' && kl.horizon < rollout.batch) {
      const message = `expected at least rollout.batch ${rollout.batch}: β moves once a rollout, and in a shorter horizon by more than it may, down to 0 and below; received ${kl.horizon}`;
      context.addIssue({ code: 'custom', path: ['kl', 'horizon'], message });
    }
    if (memory.frozen === 'bfloat16' && tuning.method === 'full') {
      const message =
        'expected float32 with tuning.method full: the reference would be rounded and the policy not, so that their KL would not start at 0. With tuning.method lora they share what is rounded';
      context.addIssue({ code: 'custom', path: ['memory', 'frozen'], message });
    }
    if (tuning.method === 'lora' && tuning.lora.dropout !== 0) {
      const message = `expected 0: with dropout the policy that learns is not the one that sampled; received ${tuning.lora.dropout}`;
      context.addIssue({ code: 'custom', path: ['tuning', 'lora', 'dropout'], message });
    }
    if (rollout.batch % updates.minibatches !== 0) {
      const message = `expected a divisor of rollout.batch ${rollout.batch}, received ${updates.minibatches}`;
      context.addIssue({ code: 'custom', path: ['updates', 'minibatches'], message });
    }
    if (heldOut === undefined && prompts.file === undefined) {
      const message = 'expected it beside prompts.tables, with another split; received none';
      context.addIssue({ code: 'custom', path: ['heldOut'], message });
    }
    if (prompts.tables === heldOut?.tables && prompts.file === heldOut?.file && prompts.split === heldOut?.split) {
      const message = `expected another split than prompts.split, received ${heldOut.split}: its prompts are trained on`;
      context.addIssue({ code: 'custom', path: ['heldOut', 'split'], message });
    }
  });
export type PpoConfig = z.infer<typeof PpoConfig>;
