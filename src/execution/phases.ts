/** The two phases of an update, whichever way they run: gradients summed over micro-batches, then their application. */
import type { Model } from '../model/model.ts';
import type { HostArrays } from '../tensor/host-arrays.ts';
import type { AdamW } from './adamw.ts';
import type { Loss } from './objective.ts';

/**
 * Adds up over the workers that share an update, in place: each array becomes the sum of those in its place with all of
 * them, to the same bytes. All call it equally often, with arrays of the same lengths; it rejects where a worker is gone.
 */
export type Reduce = (own: readonly (Float32Array | Float64Array)[]) => Promise<void>;

/** Settings of an update. */
export interface LearnSettings {
  readonly learningRate: number;
  /** Largest global gradient norm; null leaves gradients as they are. */
  readonly clipNorm: number | null;
  /** Where this is, for errors: "instruct step 120". */
  readonly where: string;
  /** Section of the configuration that sets rate and clipping, for the same errors. */
  readonly section?: string;
  /** Seeds what adapters drop in this update; nothing is dropped without. Each worker has its own. */
  readonly dropoutSeed?: number;
  /** Where the micro-batches are a worker's share of the update; all start from the same weights and moments. */
  readonly reduce?: Reduce;
}

/** A loss of an update. */
export interface WeightedLoss {
  readonly loss: Loss<string>;
  /** One or more micro-batches, each with the count of all. */
  readonly parts: readonly HostArrays[];
  /** What its gradient is multiplied with where it is added to that of the first loss, whose own is 1. */
  readonly coefficient: number;
}

/** What an update is made from. */
export interface Update {
  readonly model: Model;
  readonly adam: AdamW;
  /** One, or several whose gradients are added before they are clipped. */
  readonly losses: readonly WeightedLoss[];
  readonly settings: LearnSettings;
}

/** Loss and statistics, summed over micro-batches. */
export interface SumOfLoss<Name extends string = string> {
  readonly loss: number;
  readonly stats: Record<Name, number>;
}

/** Adds a micro-batch's numbers to those of the ones before it; the first has none before it. */
export function addLoss(before: SumOfLoss | null, part: SumOfLoss): SumOfLoss {
  if (before === null) return part;
  const names = Object.keys(part.stats);
  const stats = names.map((name) => [name, (before.stats[name] as number) + (part.stats[name] as number)]);
  return { loss: before.loss + part.loss, stats: Object.fromEntries(stats) };
}

/** Global norms of the gradients of an update, before clipping. */
export interface GradientNorms {
  /** Of their sum. */
  readonly sum: number;
  /** Of each loss, times its coefficient. */
  readonly each: readonly number[];
}

/** Of one update, each run at most once. */
export interface Phases {
  /** Both at once, where that is faster; no reduction can come in between. */
  readonly both?: () => Promise<{ readonly sums: readonly SumOfLoss[]; readonly norms: GradientNorms }>;
  /** Sums each loss and its gradient. The gradients are kept for `apply`; parameters and moments are as before. */
  readonly gradients: () => readonly SumOfLoss[] | Promise<readonly SumOfLoss[]>;
  /** Lets `reduce` change the summed gradients, on the host: those of each loss by parameter, in the order of the layout. */
  readonly exchange: (reduce: (gradients: readonly Float32Array[]) => Promise<void>) => Promise<void>;
  /**
   * Adds the gradients, clips their sum and changes parameters and moments; changes nothing where the objective, the sum of
   * the losses times their coefficients, or the norm of the sum is not finite.
   */
  readonly apply: (objective: number) => GradientNorms | Promise<GradientNorms>;
}

/** The dropout seed of a micro-batch, counted over all losses. */
export function partSeed({ dropoutSeed }: LearnSettings, part: number): number | undefined {
  return dropoutSeed === undefined ? undefined : dropoutSeed + 1000 * part;
}
