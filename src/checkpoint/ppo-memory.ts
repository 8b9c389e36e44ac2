/** What PPO takes in memory: four models, or adapters on a shared trunk, and the largest of its steps. */

import type { PlannedModel } from '../execution/memory-estimate.ts';
import { announceMemory } from '../execution/memory-estimate.ts';
import { compiledSizes } from '../execution/position-bucket.ts';
import { trainNothing } from '../model/model.ts';
import type { PlannedPpo } from './ppo-models.ts';

/** Sizes of the run. */
export interface PpoSizes {
  /** Tokens of the longest prompt. */
  readonly prompt: number;
  readonly sampling: { readonly maxNewTokens: number; readonly batchSize: number };
  readonly rollout: { readonly batch: number };
  readonly updates: { readonly minibatches: number; readonly microBatch: number | null };
  readonly pretrainingMix?: { readonly rows: number; readonly length: number } | undefined;
}

/**
 * Says what the run will take and refuses one that would not fit.
 * @throws CheckpointError as `checkMemory`
 */
export async function announcePpoMemory(
  say: (line: string) => void,
  limitGb: number | null,
  { policy, critic, sameTrunk }: PlannedPpo,
  sizes: PpoSizes,
): Promise<void> {
  const isAdapted = policy.plan.adapters !== null;
  const frozen = trainNothing(policy.plan.frozenPrecision);
  const first: PlannedModel = { ...policy, head: 'tokens' };
  const second: PlannedModel = { ...critic, head: 'score', sharesTrunk: isAdapted && sameTrunk };
  const others: PlannedModel[] = isAdapted
    ? [{ ...second, sharesTrunk: true }]
    : [
        { ...policy, head: 'tokens', plan: frozen },
        { ...critic, head: 'score', plan: frozen },
      ];
  const { sampling, rollout, updates, pretrainingMix: mix } = sizes;
  const seq = sizes.prompt + sampling.maxNewTokens;
  const minibatch = rollout.batch / updates.minibatches;
  const microBatch = Math.min(updates.microBatch ?? minibatch, minibatch);
  const batch = (rows: number) => ({ rows, seq, logits: rows * sampling.maxNewTokens });
  await announceMemory(
    say,
    limitGb,
    { trained: [first, second], others },
    {
      train: batch(microBatch),
      // Answers differ in length, so that any micro-batch of a rollout may be of a size of its own.
      sizes: Math.ceil(rollout.batch / microBatch) + (mix === undefined ? 0 : compiledSizes(mix.rows * mix.length)),
      ...(mix && { added: { rows: mix.rows, seq: mix.length, logits: mix.rows * mix.length } }),
      score: batch(rollout.batch),
      generate: { rows: Math.min(sampling.batchSize, rollout.batch), seq },
    },
  );
}
