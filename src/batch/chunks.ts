/** Lists in pieces: micro-batches of a batch. */

/** Items in order, in pieces of `size`; the last one may be smaller. */
export function chunks<T>(items: readonly T[], size: number): T[][] {
  const count = Math.ceil(items.length / size);
  return Array.from({ length: count }, (_, i) => items.slice(i * size, (i + 1) * size));
}
