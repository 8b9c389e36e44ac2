/** Checks that work leaves as many tensors behind as it found. */
import { expect } from 'vitest';
import { tensorCount } from '../../src/tensor/lane.ts';
import type { Tensor } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';

/**
 * Runs the work twice, the first time for what a backend sets up once, and compares counts around the second.
 * The work disposes what it makes; tensors it returns are disposed here.
 */
export function expectNeutral(work: () => Tensor | readonly Tensor[] | undefined): void {
  const run = (): void => {
    const made = work();
    if (made !== undefined) tf.dispose(made as Tensor[]);
  };
  run();
  const before = counts();
  run();
  expect(counts()).toEqual(before);
}

/** The same of work that is awaited and returns nothing. */
export async function expectNeutralAfter(work: () => Promise<void>): Promise<void> {
  await work();
  const before = counts();
  await work();
  expect(counts()).toEqual(before);
}

function counts() {
  return { tensors: tf.memory().numTensors, lane: tensorCount() };
}
