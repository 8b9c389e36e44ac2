/** A vector with one true copy: a tensor, or values that a compiled step keeps inside TensorFlow. */
import type { Tensor1D } from './tf.ts';
import { tf } from './tf.ts';

/** Where values are kept that are not a tensor. */
export interface Home {
  /** Copies the values to the host. */
  read(): Float32Array;
  /** Frees them. */
  leave(): void;
}

/** Disposed by its creator. */
export interface StoredVector {
  /** Elements. */
  readonly length: number;
  /** The values as a tensor: created where they are stored elsewhere, and valid until they change. It is disposed with them. */
  tensor(): Tensor1D;
  /** Gives other values; disposes what was there. */
  replace(tensor: Tensor1D): void;
  /** A copy or view of the values on the host. */
  read(): Float32Array;
  /** Where the values are stored instead of in a tensor; null where they are a tensor. */
  home(): Home | null;
  /** Moves the values: from now on `home` has the true copy. */
  move(home: Home): void;
  /** To be called when `home` has changed the values. */
  changed(): void;
  dispose(): void;
}

/** @param first owned by the stored vector from now on */
export function createStoredVector(first: Tensor1D): StoredVector {
  const { size: length } = first;
  let local: Tensor1D | null = first;
  let home: Home | null = null;
  const forget = (): void => {
    local?.dispose();
    local = null;
  };
  return {
    length,
    tensor: () => {
      if (local === null) local = tf.keep(tf.tensor1d((home as Home).read()));
      return local;
    },
    replace: (tensor) => {
      if (tensor !== local) forget();
      home?.leave();
      home = null;
      local = tensor;
    },
    read: () => (home === null ? ((local as Tensor1D).dataSync() as Float32Array) : home.read()),
    home: () => home,
    move: (to) => {
      home?.leave();
      home = to;
      forget();
    },
    changed: forget,
    dispose: () => {
      forget();
      home?.leave();
      home = null;
    },
  };
}
