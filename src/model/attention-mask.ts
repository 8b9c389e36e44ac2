/** Who may attend to whom. The one place that decides it; a mask is a bias on attention scores, made on the host. */

import type { TokenBatch } from '../batch/token-batch.ts';
import { InvariantError, ShapeError } from '../errors.ts';
import { MASKED_SCORE } from '../tensor/attention.ts';
import type { HostArray } from '../tensor/host-arrays.ts';
import type { ModelDimensions } from './dimensions.ts';

/** What of a batch attention depends on. */
type Placed = Pick<TokenBatch, 'batch' | 'seq' | 'segments' | 'positions'>;

/**
 * How tokens attend to their own batch, always within their own segment:
 * causal, to themselves and what is before them; full, to all of it; prefix, causally, but to all of the prefix.
 * @see Raffel et al. 2020, arXiv:1910.10683, figures 3 and 4
 */
export type SelfAttention =
  | { readonly kind: ModelDimensions['attention'] }
  /** `prefix` [batch · seq], 1 on the tokens that the whole segment may attend to. */
  | { readonly kind: 'prefix'; readonly prefix: Int32Array };

/** How tokens attend to another batch: to all that is in the same segment of the same row there. */
export interface CrossAttention {
  readonly kind: 'cross';
  readonly keys: Placed;
}

/**
 * The bias of a full forward pass: 0 where a query may attend to a key, MASKED_SCORE elsewhere.
 * @param window a query sees only keys less than this many positions from its own, on either side; null for no limit
 * @returns [batch, 1, seq, keys]
 * @throws ShapeError where a prefix or the keys have another size than the queries
 * @throws InvariantError where a query of cross attention would see nothing
 * @see windows: Beltagy et al. 2020, arXiv:2004.05150, section 3.1; Jiang et al. 2023, arXiv:2310.06825, section 2
 */
export function attentionBias(
  queries: Placed,
  attention: SelfAttention | CrossAttention,
  window: number | null,
): HostArray {
  return attention.kind === 'cross' ? crossBias(queries, attention.keys, window) : selfBias(queries, attention, window);
}

function selfBias({ batch, seq, segments }: Placed, attention: SelfAttention, window: number | null): HostArray {
  const { kind } = attention;
  const prefix = kind === 'prefix' ? attention.prefix : null;
  if (prefix !== null && prefix.length !== batch * seq) {
    throw new ShapeError(
      `prefix attention: expected a prefix of ${batch} × ${seq}, received ${prefix.length} entries.`,
    );
  }
  const bias = new Float32Array(batch * seq * seq).fill(MASKED_SCORE);
  for (let row = 0; row < batch; row++) {
    const start = row * seq;
    for (let to = 0; to < seq; to++) {
      const segment = segments[start + to];
      // A padding row attends to itself alone, so that its softmax stays defined; nothing ever reads it.
      const line = (start + to) * seq;
      bias[line + to] = 0;
      if (segment === 0) continue;
      // The columns of a segment follow one another without gaps, so a distance in columns is one in positions.
      const first = window === null ? 0 : Math.max(0, to - window + 1);
      for (let from = first; from < to; from++) {
        if (segments[start + from] === segment) bias[line + from] = 0;
      }
      if (kind === 'causal') continue;
      const end = window === null ? seq : Math.min(seq, to + window);
      for (let from = to + 1; from < end; from++) {
        if (segments[start + from] !== segment) continue;
        if (prefix === null || prefix[start + from] === 1) bias[line + from] = 0;
      }
    }
  }
  return { shape: [batch, 1, seq, seq], values: bias };
}

function crossBias({ batch, seq, segments, positions }: Placed, keys: Placed, window: number | null): HostArray {
  if (keys.batch !== batch) {
    throw new ShapeError(`cross attention: expected keys of ${batch} rows as the queries, received ${keys.batch}.`);
  }
  const bias = new Float32Array(batch * seq * keys.seq).fill(MASKED_SCORE);
  for (let query = 0; query < batch * seq; query++) {
    const segment = segments[query];
    // The softmax of padding is uniform over scores that are all masked; nothing ever reads it.
    if (segment === 0) continue;
    const row = Math.floor(query / seq);
    let seen = 0;
    for (let column = 0; column < keys.seq; column++) {
      const key = row * keys.seq + column;
      if (keys.segments[key] !== segment) continue;
      const distance = Math.abs((positions[query] as number) - (keys.positions[key] as number));
      if (window !== null && distance >= window) continue;
      bias[query * keys.seq + column] = 0;
      seen++;
    }
    if (seen === 0) {
      throw new InvariantError(
        `cross attention: row ${row}, column ${query % seq}: expected a key in segment ${segment} of this row` +
          `${window === null ? '' : ` less than ${window} positions away`}, received none.`,
      );
    }
  }
  return { shape: [batch, 1, seq, keys.seq], values: bias };
}

/**
 * The bias of one new token a row beside cached keys; causal, since no later key is there.
 * @param visible [batch · keys], 1 where a key may be attended to
 * @param columns [batch], the new token's column of each row; the last one where left out
 * @returns [batch, 1, 1, keys]
 */
export function stepBias(
  visible: Uint8Array,
  batch: number,
  columns: Int32Array | undefined,
  window: number | null,
): HostArray {
  const keys = visible.length / batch;
  // The columns of a row follow one another without gaps, so a distance in columns is one in positions.
  const first = (row: number): number => (window === null ? 0 : (columns?.[row] ?? keys - 1) + 1 - window);
  const isSeen = (flag: number, i: number): boolean => flag === 1 && i % keys >= first(Math.floor(i / keys));
  return {
    shape: [batch, 1, 1, keys],
    values: Float32Array.from(visible, (f, i) => (isSeen(f, i) ? 0 : MASKED_SCORE)),
  };
}
