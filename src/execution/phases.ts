/** The two phases of an update, whichever way they run: the gradient summed over micro-batches, then its application. */
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

/** What an update is made from. */
export interface Update<Name extends string> {
  readonly model: Model;
  readonly adam: AdamW;
  readonly loss: Loss<Name>;
  /** One or more micro-batches, each with the count of all. */
  readonly parts: readonly HostArrays[];
  readonly settings: LearnSettings;
}

/** Loss and statistics, summed over micro-batches. */
export interface SumOfLoss<Name extends string> {
  readonly loss: number;
  readonly stats: Record<Name, number>;
}

/** Adds a micro-batch's numbers to those of the ones before it; the first has none before it. */
export function addLoss<Name extends string>(before: SumOfLoss<Name> | null, part: SumOfLoss<Name>): SumOfLoss<Name> {
  if (before === null) return part;
  const names = Object.keys(part.stats) as Name[];
  const stats = Object.fromEntries(names.map((name) => [name, before.stats[name] + part.stats[name]]));
  return { loss: before.loss + part.loss, stats: stats as Record<Name, number> };
}

/** Of one update, each run at most once. */
export interface Phases<Name extends string> {
  /** Both at once, where that is faster; no reduction can come in between. */
  readonly both?: () => Promise<SumOfLoss<Name> & { readonly gradientNorm: number }>;
  /** Sums loss and gradient. The gradient is kept for `apply`; parameters and moments are as before. */
  readonly gradient: () => SumOfLoss<Name> | Promise<SumOfLoss<Name>>;
  /** Lets `reduce` change the summed gradient, on the host and by parameter, in the order of the layout. */
  readonly exchange: (reduce: (gradient: readonly Float32Array[]) => Promise<void>) => Promise<void>;
  /**
   * Clips the gradient and changes parameters and moments; changes nothing where the loss or the norm is not finite.
   * @returns the norm before clipping
   */
  readonly apply: (loss: number) => number | Promise<number>;
}

/** The dropout seed of a micro-batch. */
export function partSeed({ dropoutSeed }: LearnSettings, part: number): number | undefined {
  return dropoutSeed === undefined ? undefined : dropoutSeed + 1000 * part;
}
