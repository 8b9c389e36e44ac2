/** What a model learns by: its arrays, what a mean is taken over, and its loss. One file for each in src/objectives. */
import type { Model } from '../model/model.ts';
import type { HostArrays, Tensors } from '../tensor/host-arrays.ts';
import type { Scalar } from '../tensor/tf.ts';
import type { Weights } from '../tensor/weights.ts';

/** What a loss function returns: the scalar to minimise, and scalars to report. */
export interface LossTerms<Name extends string> {
  readonly loss: Scalar;
  readonly stats: Readonly<Record<Name, Scalar>>;
}

/** A loss of weights and arrays. */
export interface Loss<Name extends string> {
  /** Differs wherever `terms` would compute something else from the same weights and arrays. */
  readonly key: string;
  /** What micro-batches are counted in, for people: "learned tokens (loss_mask 1)". */
  readonly unit: string;
  /**
   * Pure: everything that changes from step to step is among the arrays. `learn` adds the array `count`, a scalar: the
   * count of all micro-batches of the update. Loss and statistics are this micro-batch's part of a mean over it.
   */
  readonly terms: (model: Model, weights: Weights, arrays: Tensors) => LossTerms<Name>;
}

/** A loss, with the layout of what it reads. */
export interface Objective<Batch, Name extends string = never> extends Loss<Name> {
  /** Host arrays alone, so it may be done while a step runs. */
  readonly layOut: (model: Model, batch: Batch) => MicroBatch;
}

/** A part of a batch, laid out. */
export interface MicroBatch {
  readonly arrays: HostArrays;
  /** What of it is learned, in the objective's unit. */
  readonly count: number;
}
