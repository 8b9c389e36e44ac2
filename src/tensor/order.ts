/** The order of what no data orders: only where ops are recorded and run later does it have to be said. */
import type { Tensor } from './tf.ts';

type Order = (signal: Tensor, tensors: readonly Tensor[]) => Tensor[];

let current: Order | null = null;

/** How order is kept from now on; null where ops run as they are called. */
export function orderBy(order: Order | null): void {
  current = order;
}

/**
 * The same tensors, there only when `signal` is. In a graph whatever can run does: without this, gradient checkpointing
 * would compute all layers again at once, long before their gradients are wanted.
 */
export function notBefore(signal: Tensor, tensors: readonly Tensor[]): Tensor[] {
  return current === null ? [...tensors] : current(signal, tensors);
}
