/** Rows of token ids on the host, as models, objectives and decoding read them. */

/** A batch of token rows on the host; all arrays are [batch · seq]. */
export interface TokenBatch {
  readonly batch: number;
  readonly seq: number;
  readonly ids: Int32Array;
  /** Which example a token belongs to: 1, 2, … in a packed row, 0 for padding. Attention never crosses segments. */
  readonly segments: Int32Array;
  /** Position within the segment. */
  readonly positions: Int32Array;
}
