/** Into how few sizes the learned positions of micro-batches are brought: each size is a compiled step of its own. */

/** Learned positions are padded to a multiple of this, so that few distinct shapes occur. */
export const POSITION_BUCKET = 128;

/** Into how many sizes micro-batches with up to so many learned positions fall. */
export function compiledSizes(positions: number): number {
  return Math.max(1, Math.ceil(positions / POSITION_BUCKET));
}
