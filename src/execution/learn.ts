/** One optimizer update: the mean of a loss over all micro-batches, its gradient, that of a loss beside it, clipping, AdamW. */
import { InvariantError } from '../errors.ts';
import { compiledOrAsync } from '../graph/mode.ts';
import type { Model } from '../model/model.ts';
import { number } from '../tensor/host-arrays.ts';
import type { AdamW } from './adamw.ts';
import { eagerPhases } from './eager-phases.ts';
import { namedNumbers } from './gradient.ts';
import { graphPhases } from './graph-phases.ts';
import type { Loss, MicroBatch } from './objective.ts';
import type { LearnSettings, Phases, Reduce, SumOfLoss, Update, WeightedLoss } from './phases.ts';

/** Numbers of one update. */
export interface Learned<Name extends string> extends SumOfLoss<Name> {
  /** Global norm before clipping; of the sum, where a loss was added. */
  readonly gradientNorm: number;
  /** What the loss is a mean over, in the unit of the objective. */
  readonly count: number;
  /** Of the loss that was added. */
  readonly added?: {
    readonly loss: number;
    readonly count: number;
    /** Of both gradients before they were added; `added` has the coefficient in it. */
    readonly norms: { readonly own: number; readonly added: number };
  };
}

/** Another loss of the same update. */
export interface AddedLoss {
  readonly loss: Loss<string>;
  readonly microBatches: readonly MicroBatch[];
  /** What its gradient is multiplied with; with 0 it is measured and changes nothing. */
  readonly coefficient: number;
}

/**
 * One update from micro-batches. The loss is a mean over the count of all of them, so splitting a batch does not change
 * the gradient, nor does dividing it over workers (`settings.reduce`). As graphs it leaves the event loop free while it
 * runs; the caller awaits it before it uses any model again.
 * @param microBatches as the objective lays them out
 * @param added a mean over micro-batches of its own; both gradients are added, then clipped and applied as one
 * @throws InvariantError where nothing is counted; when loss or gradient is not finite, and the parameters are then still
 *   those of the last update; when another update is not done
 */
export async function learn<Name extends string>(
  model: Model,
  adam: AdamW,
  loss: Loss<Name>,
  microBatches: readonly MicroBatch[],
  settings: LearnSettings,
  added?: AddedLoss,
): Promise<Learned<Name>> {
  const given = [{ loss, microBatches, coefficient: 1 }, ...(added === undefined ? [] : [added])];
  const counts = await countsOf(given, settings);
  const losses = given.map(({ microBatches: own, ...rest }, i) => {
    return { ...rest, parts: own.map(({ arrays }) => ({ ...arrays, count: number(counts[i] as number) })) };
  });
  const made = { model, adam, losses, settings };
  const { sums, norms } = await compiledOrAsync(
    (engine) => update(graphPhases(engine, made), made),
    () => update(eagerPhases(made), made),
  );
  requireFinite(objectiveOf(sums, losses), norms.sum, settings);
  const [own, other] = sums as [SumOfLoss<Name>, SumOfLoss?];
  const learned = { ...own, gradientNorm: norms.sum, count: counts[0] as number };
  if (other === undefined) return learned;
  const [ownNorm, addedNorm] = norms.each as [number, number];
  return {
    ...learned,
    added: { loss: other.loss, count: counts[1] as number, norms: { own: ownNorm, added: addedNorm } },
  };
}

/**
 * What each loss is a mean over, with all workers.
 * @throws InvariantError where that is nothing
 */
async function countsOf(
  given: readonly Omit<AddedLoss, 'coefficient'>[],
  { reduce, where }: LearnSettings,
): Promise<Float64Array> {
  const counts = Float64Array.from(given, ({ microBatches }) => {
    return microBatches.reduce((sum, microBatch) => sum + microBatch.count, 0);
  });
  await reduce?.([counts]);
  for (const [i, { loss, microBatches }] of given.entries()) {
    if (counts[i] !== 0 && microBatches.length > 0) continue;
    throw new InvariantError(`${where}: the batch has no ${loss.unit} to learn from; expected at least one.`);
  }
  return counts;
}

async function update(phases: Phases, { losses, settings: { reduce } }: Update) {
  if (reduce === undefined && phases.both !== undefined) return phases.both();
  const own = await phases.gradients();
  // Here the sums of losses and gradients are complete, and nothing has been changed yet.
  const sums = reduce === undefined ? own : await exchange(phases, own, reduce);
  return { sums, norms: await phases.apply(objectiveOf(sums, losses)) };
}

/** The sum of the losses times their coefficients. */
function objectiveOf(sums: readonly SumOfLoss[], losses: readonly WeightedLoss[]): number {
  return sums.reduce((total, { loss }, i) => total + (losses[i]?.coefficient ?? 1) * loss, 0);
}

/** The gradients of all workers, and their losses and statistics: what is not finite with one is so with all. */
async function exchange(phases: Phases, own: readonly SumOfLoss[], reduce: Reduce): Promise<readonly SumOfLoss[]> {
  const numbers = own.map(({ loss, stats }) => Float64Array.of(loss, ...Object.values(stats)));
  await phases.exchange((gradients) => reduce([...numbers, ...gradients]));
  return own.map(({ stats }, i) => namedNumbers(numbers[i] as Float64Array, Object.keys(stats)));
}

/** @throws InvariantError where a number of an update is not finite */
function requireFinite(loss: number, gradientNorm: number, { where, section = 'optimizer' }: LearnSettings): void {
  if (Number.isFinite(loss) && Number.isFinite(gradientNorm)) return;
  throw new InvariantError(
    `${where}: the loss is ${loss} and the gradient norm ${gradientNorm}; expected finite numbers. ` +
      `The weights of the last good checkpoint are kept. Lower ${section}.learningRate or ${section}.clipNorm, ` +
      'and look at the last rows of metrics.arrow.',
  );
}
