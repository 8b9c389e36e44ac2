/** One optimizer update: the mean of a loss over all micro-batches, its gradient, clipping, AdamW. */
import { InvariantError } from '../errors.ts';
import { compiledOrAsync } from '../graph/mode.ts';
import type { Model } from '../model/model.ts';
import { number } from '../tensor/host-arrays.ts';
import type { AdamW } from './adamw.ts';
import { eagerPhases } from './eager-phases.ts';
import { namedNumbers } from './gradient.ts';
import { graphPhases } from './graph-phases.ts';
import type { Loss, MicroBatch } from './objective.ts';
import type { LearnSettings, Phases, Reduce, SumOfLoss } from './phases.ts';

/** Numbers of one update. */
export interface Learned<Name extends string> extends SumOfLoss<Name> {
  /** Global norm before clipping. */
  readonly gradientNorm: number;
  /** What the loss is a mean over, in the unit of the objective. */
  readonly count: number;
}

/**
 * One update from micro-batches. The loss is a mean over the count of all of them, so splitting a batch does not change
 * the gradient, nor does dividing it over workers (`settings.reduce`). As graphs it leaves the event loop free while it
 * runs; the caller awaits it before it uses any model again.
 * @param microBatches as the objective lays them out
 * @throws InvariantError where nothing is counted; when loss or gradient is not finite, and the parameters are then still
 *   those of the last update; when another update is not done
 */
export async function learn<Name extends string>(
  model: Model,
  adam: AdamW,
  loss: Loss<Name>,
  microBatches: readonly MicroBatch[],
  settings: LearnSettings,
): Promise<Learned<Name>> {
  const { reduce } = settings;
  const own = microBatches.reduce((sum, microBatch) => sum + microBatch.count, 0);
  const count = reduce === undefined ? own : await total(own, reduce);
  if (count === 0 || microBatches.length === 0) {
    throw new InvariantError(`${settings.where}: the batch has no ${loss.unit} to learn from; expected at least one.`);
  }
  const parts = microBatches.map(({ arrays }) => ({ ...arrays, count: number(count) }));
  const given = { model, adam, loss, parts, settings };
  const learned = await compiledOrAsync(
    (engine) => update(graphPhases(engine, given), reduce),
    () => update(eagerPhases(given), reduce),
  );
  requireFinite(learned.loss, learned.gradientNorm, settings);
  return { ...learned, count };
}

async function update<Name extends string>(
  phases: Phases<Name>,
  reduce: Reduce | undefined,
): Promise<Omit<Learned<Name>, 'count'>> {
  if (reduce === undefined && phases.both !== undefined) return phases.both();
  const own = await phases.gradient();
  // Here the sums of loss and gradient are complete, and nothing has been changed yet.
  const sum = reduce === undefined ? own : await exchange(phases, own, reduce);
  return { ...sum, gradientNorm: await phases.apply(sum.loss) };
}

/** The count of all workers. */
async function total(count: number, reduce: Reduce): Promise<number> {
  const sum = Float64Array.of(count);
  await reduce([sum]);
  return sum[0] as number;
}

/** The gradient of all workers, and their loss and statistics: what is not finite with one is so with all. */
async function exchange<Name extends string>(
  phases: Phases<Name>,
  { loss, stats }: SumOfLoss<Name>,
  reduce: Reduce,
): Promise<SumOfLoss<Name>> {
  const names = Object.keys(stats) as Name[];
  const numbers = Float64Array.of(loss, ...names.map((name) => stats[name]));
  await phases.exchange((gradient) => reduce([numbers, ...gradient]));
  return namedNumbers(numbers, names);
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
