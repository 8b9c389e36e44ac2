/** The inner loop of PPO: several passes of clipped updates over one rollout. */

import { chunks } from '../batch/chunks.ts';
import { packedResponseBatch } from '../batch/response-batch.ts';
import type { TokenBatch, TokenSequence } from '../batch/token-batch.ts';
import type { AdamW } from '../execution/adamw.ts';
import type { AddedLoss, Learned } from '../execution/learn.ts';
import { learn } from '../execution/learn.ts';
import type { Schedule } from '../execution/schedule.ts';
import { learningRateAt } from '../execution/schedule.ts';
import type { Model } from '../model/model.ts';
import { nextToken } from '../objectives/next-token.ts';
import type { PpoRows } from '../objectives/ppo.ts';
import { ppoPolicy, ppoValue } from '../objectives/ppo.ts';
import type { Random } from '../random.ts';
import type { PpoModels, Rollout } from './collect.ts';
import { valueOffset } from './collect.ts';
import type { Checks } from './invariants.ts';
import { checkFirstUpdate } from './invariants.ts';

/** Settings of the inner loop. */
export interface InnerLoopOptions extends UpdateSettings {
  readonly temperature: number;
  readonly policy: { readonly learningRate: number; readonly clipNorm: number | null };
  readonly critic: { readonly learningRate: number; readonly clipNorm: number | null };
  readonly checks: Checks;
  readonly where: string;
  readonly say: (line: string) => void;
  /** Other rows, whose next-token loss joins each update of the policy (PPO-ptx). */
  readonly mix?: { readonly coefficient: number; readonly next: () => TokenBatch } | undefined;
}

/** How the updates on a rollout are made. */
interface UpdateSettings {
  readonly epochs: number;
  readonly minibatches: number;
  /** Responses of one forward and backward pass; null for all of a minibatch. */
  readonly microBatch: number | null;
  readonly clipRange: number;
  readonly valueClipRange: number;
  readonly targetKl: number | null;
}

/** The settings of a run that its inner loops read. */
interface PpoRunSettings {
  readonly updates: UpdateSettings;
  readonly sampling: { readonly temperature: number };
  readonly rollout: { readonly iterations: number };
  readonly optimizer: Schedule & { readonly clipNorm: number | null };
  readonly valueOptimizer: Schedule & { readonly clipNorm: number | null };
  readonly runtime: { readonly checks: Checks };
}

/** The settings of the inner loop of one iteration (1-based), with the learning rates that its schedules give. */
export function innerLoopOptions(
  { updates, sampling, rollout, optimizer, valueOptimizer, runtime }: PpoRunSettings,
  iteration: number,
): Omit<InnerLoopOptions, 'where' | 'say' | 'mix'> {
  const at = ({ clipNorm, ...schedule }: PpoRunSettings['optimizer']) => {
    return { learningRate: learningRateAt(schedule, iteration - 1, rollout.iterations), clipNorm };
  };
  const { temperature } = sampling;
  return { ...updates, temperature, policy: at(optimizer), critic: at(valueOptimizer), checks: runtime.checks };
}

/** Numbers of one update of policy and critic, or their means over several. */
interface UpdateNumbers {
  readonly policyLoss: number;
  readonly valueLoss: number;
  readonly clipFraction: number;
  readonly valueClipFraction: number;
  readonly ratio: number;
  readonly gradientNorm: number;
  readonly valueGradientNorm: number;
}

/** Numbers of the loss that is mixed in. */
interface MixNumbers {
  /** Mean over updates, in nats a token. */
  readonly loss: number;
  /** Mean norm of its gradient times γ, over the mean norm of the policy's own, both before they are added. */
  readonly gradientRatio: number;
}

/** Statistics of all updates made on one rollout: means over them, unless said otherwise. */
export interface InnerLoopResult extends UpdateNumbers {
  /** Null where nothing is mixed in. */
  readonly mix: MixNumbers | null;
  /** Passes begun before the target KL stopped them. */
  readonly epochs: number;
  readonly updates: number;
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
  const made: UpdateNumbers[] = [];
  const mixed: Added[] = [];
  const approxKlByEpoch: number[] = [];
  let approxKl = 0;
  const isFar = (): boolean => options.targetKl !== null && approxKl > options.targetKl;
  for (let epoch = 0; epoch < options.epochs && !isFar(); epoch++) {
    const order = random.shuffle(Array.from({ length: rowCount }, (_, row) => row));
    for (let at = 0; at < rowCount && !isFar(); at += size) {
      const lines = order.slice(at, at + size);
      const microBatches = chunks(byLength(rollout, lines, options), options.microBatch ?? size).map(takeRows);
      const update = await updateBoth(models, optimizers, microBatches, options, made.length === 0);
      approxKl = update.approxKl;
      if (at === 0) approxKlByEpoch.push(approxKl);
      made.push(update.numbers);
      if (update.added !== undefined) mixed.push(update.added);
    }
  }
  const { length: epochs } = approxKlByEpoch;
  return { epochs, updates: made.length, ...meansOf(made), approxKl, approxKlByEpoch, mix: mixOf(mixed) };
}

/** Lines of a minibatch, the shortest first where it is split: its parts are of few shapes, and of the same in every pass. */
function byLength({ sequences }: Rollout, lines: readonly number[], { microBatch }: UpdateSettings): readonly number[] {
  if (microBatch === null || microBatch >= lines.length) return lines;
  const length = (line: number): number => (sequences[line] as TokenSequence).ids.length;
  return [...lines].sort((a, b) => length(a) - length(b) || a - b);
}

/** One clipped update of the policy and one of the critic on a minibatch, given as micro-batches. */
async function updateBoth(
  models: PpoModels,
  optimizers: { readonly policy: AdamW; readonly critic: AdamW },
  microBatches: readonly PpoRows[],
  options: InnerLoopOptions,
  isFirst: boolean,
): Promise<{ readonly numbers: UpdateNumbers; readonly approxKl: number; readonly added: Added | undefined }> {
  const { where } = options;
  const clipped = ppoPolicy(options);
  const policyParts = microBatches.map((rows) => clipped.layOut(models.policy, rows));
  const policySettings = { ...options.policy, where: `${where} policy` };
  const mix = mixedIn(models.policy, options);
  const policy = await learn(models.policy, optimizers.policy, clipped, policyParts, policySettings, mix);
  if (isFirst) checkFirstUpdate(options.checks, policy.stats, where, options.say);
  const clippedValue = ppoValue({ clipRange: options.valueClipRange });
  const criticParts = microBatches.map((rows) => clippedValue.layOut(models.critic, rows));
  const criticSettings = { ...options.critic, where: `${where} value model`, section: 'valueOptimizer' };
  const value = await learn(models.critic, optimizers.critic, clippedValue, criticParts, criticSettings);
  const numbers = {
    policyLoss: policy.loss,
    valueLoss: value.loss,
    clipFraction: policy.stats.clipFraction,
    valueClipFraction: value.stats.clipFraction,
    ratio: policy.stats.ratio,
    gradientNorm: policy.gradientNorm,
    valueGradientNorm: value.gradientNorm,
  };
  return { numbers, approxKl: policy.stats.approxKl, added: policy.added };
}

/** γ · E[−log π(x)] on other rows, in the same step: InstructGPT's PPO-ptx (Ouyang et al. 2022, arXiv:2203.02155, eq. 2). */
function mixedIn(policy: Model, { mix }: InnerLoopOptions): AddedLoss | undefined {
  if (mix === undefined) return undefined;
  return { loss: nextToken, microBatches: [nextToken.layOut(policy, mix.next())], coefficient: mix.coefficient };
}

type Added = NonNullable<Learned<never>['added']>;

function mixOf(updates: readonly Added[]): MixNumbers | null {
  if (updates.length === 0) return null;
  const sum = (number: (update: Added) => number): number => updates.reduce((total, one) => total + number(one), 0);
  const gradientRatio = sum(({ norms }) => norms.added) / sum(({ norms }) => norms.own);
  return { loss: sum(({ loss }) => loss) / updates.length, gradientRatio };
}

function meansOf(updates: readonly UpdateNumbers[]): UpdateNumbers {
  const mean = (name: keyof UpdateNumbers): number =>
    updates.reduce((sum, update) => sum + update[name], 0) / updates.length;
  return {
    policyLoss: mean('policyLoss'),
    valueLoss: mean('valueLoss'),
    clipFraction: mean('clipFraction'),
    valueClipFraction: mean('valueClipFraction'),
    ratio: mean('ratio'),
    gradientNorm: mean('gradientNorm'),
    valueGradientNorm: mean('valueGradientNorm'),
  };
}
