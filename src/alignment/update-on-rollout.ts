/** The inner loop of PPO: several passes of clipped updates over one rollout. */

import { chunks } from '../batch/chunks.ts';
import { packedResponseBatch } from '../batch/response-batch.ts';
import type { TokenSequence } from '../batch/token-batch.ts';
import type { AdamW } from '../execution/adamw.ts';
import { learn } from '../execution/learn.ts';
import type { PpoRows } from '../objectives/ppo.ts';
import { ppoPolicy, ppoValue } from '../objectives/ppo.ts';
import type { Random } from '../random.ts';
import type { PpoModels, Rollout } from './collect.ts';
import { valueOffset } from './collect.ts';
import type { Checks } from './invariants.ts';
import { checkFirstUpdate } from './invariants.ts';

/** Settings of the inner loop. */
export interface InnerLoopOptions {
  readonly epochs: number;
  readonly minibatches: number;
  /** Responses of one forward and backward pass; null for all of a minibatch. */
  readonly microBatch: number | null;
  readonly clipRange: number;
  readonly valueClipRange: number;
  readonly targetKl: number | null;
  readonly temperature: number;
  readonly policy: { readonly learningRate: number; readonly clipNorm: number | null };
  readonly critic: { readonly learningRate: number; readonly clipNorm: number | null };
  readonly checks: Checks;
  readonly where: string;
  readonly say: (line: string) => void;
}

/** Statistics of all updates made on one rollout. */
export interface InnerLoopResult {
  /** Passes begun before the target KL stopped them. */
  readonly epochs: number;
  readonly updates: number;
  /** Means over the updates. */
  readonly policyLoss: number;
  readonly valueLoss: number;
  readonly clipFraction: number;
  readonly valueClipFraction: number;
  readonly ratio: number;
  readonly gradientNorm: number;
  readonly valueGradientNorm: number;
  /** Of the last update. */
  readonly approxKl: number;
  /** Of the first update of each pass: 0, then rising. */
  readonly approxKlByEpoch: readonly number[];
}

/** Targets of the updates, [sequences · response]. */
export interface UpdateTargets {
  readonly advantages: Float32Array;
  readonly returns: Float32Array;
}

/** Gives any responses of a rollout, packed, with its numbers; values and returns as the critic puts them out. */
function rowTaker(rollout: Rollout, targets: UpdateTargets, offset: number): (lines: readonly number[]) => PpoRows {
  const raw = (values: Float32Array): Float32Array => values.map((value) => value + offset);
  const numbers = {
    oldLogProbs: rollout.logProbs,
    oldValues: raw(rollout.values),
    advantages: targets.advantages,
    returns: raw(targets.returns),
  };
  return (lines) => {
    const sequences = lines.map((line) => rollout.sequences[line] as TokenSequence);
    return { ...numbers, batch: packedResponseBatch(sequences, rollout.padId, { grid: rollout.batch.grid, lines }) };
  };
}

/**
 * Several epochs of minibatch updates of policy and critic on one rollout.
 * @throws InvariantError when the first update's ratio is not 1, or a loss is not finite
 */
export async function updateOnRollout(
  models: PpoModels,
  optimizers: { readonly policy: AdamW; readonly critic: AdamW },
  rollout: Rollout,
  targets: UpdateTargets,
  options: InnerLoopOptions,
  random: Random,
): Promise<InnerLoopResult> {
  const rowCount = rollout.sequences.length;
  const size = rowCount / options.minibatches;
  const takeRows = rowTaker(rollout, targets, valueOffset(models));
  const { where } = options;
  const policyObjective = ppoPolicy(options);
  const valueObjective = ppoValue({ clipRange: options.valueClipRange });
  const sums = {
    policyLoss: 0,
    valueLoss: 0,
    clipFraction: 0,
    valueClipFraction: 0,
    ratio: 0,
    gradientNorm: 0,
    valueGradientNorm: 0,
  };
  const approxKlByEpoch: number[] = [];
  let approxKl = 0;
  let updates = 0;
  const isFar = (): boolean => options.targetKl !== null && approxKl > options.targetKl;
  for (let epoch = 0; epoch < options.epochs && !isFar(); epoch++) {
    const order = random.shuffle(Array.from({ length: rowCount }, (_, row) => row));
    for (let at = 0; at < rowCount && !isFar(); at += size) {
      const microBatches = chunks(order.slice(at, at + size), options.microBatch ?? size).map(takeRows);
      const parts = microBatches.map((rows) => policyObjective.layOut(models.policy, rows));
      const policySettings = { ...options.policy, where: `${where} policy` };
      const policy = await learn(models.policy, optimizers.policy, policyObjective, parts, policySettings);
      if (updates === 0) checkFirstUpdate(options.checks, policy.stats, where, options.say);
      const criticParts = microBatches.map((rows) => valueObjective.layOut(models.critic, rows));
      const criticSettings = { ...options.critic, where: `${where} value model`, section: 'valueOptimizer' };
      const value = await learn(models.critic, optimizers.critic, valueObjective, criticParts, criticSettings);
      approxKl = policy.stats.approxKl;
      if (at === 0) approxKlByEpoch.push(approxKl);
      updates += 1;
      sums.policyLoss += policy.loss;
      sums.valueLoss += value.loss;
      sums.clipFraction += policy.stats.clipFraction;
      sums.valueClipFraction += value.stats.clipFraction;
      sums.ratio += policy.stats.ratio;
      sums.gradientNorm += policy.gradientNorm;
      sums.valueGradientNorm += value.gradientNorm;
    }
  }
  const means = Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, sum / updates])) as typeof sums;
  return { epochs: approxKlByEpoch.length, updates, ...means, approxKl, approxKlByEpoch };
}
