/** Turns for everything else in the process while tokens are decoded. */

/** Milliseconds without a turn, at least: a turn costs little, but tokens of small models take less. */
const APART = 100;

/** When the event loop last had its turn here; there is one loop, however many rows are decoded. */
let last = performance.now();

/**
 * Lets signals, timers and streams have their turn, some ten times a second at most: in between it returns at once. Tensor
 * work blocks the event loop, and promises that are already settled do not free it, so decoding awaits this between steps.
 */
export async function takeTurn(): Promise<void> {
  if (performance.now() - last < APART) return;
  await new Promise(setImmediate);
  last = performance.now();
}
