/** Who may attend to whom. The one place that decides it. */

import type { TokenBatch } from '../batch/token-batch.ts';
import { InvariantError, ShapeError } from '../errors.ts';
import { MASKED_SCORE } from '../tensor/attention.ts';
import type { HostArray } from '../tensor/host-arrays.ts';
import type { ModelDimensions } from './dimensions.ts';

/** What of a batch attention depends on. */
type Placed = Pick<TokenBatch, 'batch' | 'seq' | 'segments' | 'positions' | 'branches'>;

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

/** For each query, columns from `first` up to, but without, `end`. */
export interface Columns {
  /** [batch · seq]; float32, since TensorFlow compares whole numbers in host memory, whatever the device */
  readonly first: Float32Array;
  readonly end: Float32Array;
}

/**
 * The keys that each query of a full forward pass attends to. A few numbers a query in place of a mask of [seq, keys]:
 * that is made where it is read, and never crosses to a GPU.
 */
export interface KeyRanges extends Columns {
  /** What a response among several attends to besides itself: their prompt. Null where there are none. */
  readonly shared: Columns | null;
}

/**
 * Who attends to whom in a full forward pass. The columns of a segment follow one another without gaps, so what a query
 * attends to does too, and a distance in columns is one in positions; but for responses side by side, see `branchRanges`.
 * @param window a query sees only keys less than this many positions from its own, on either side; null for no limit
 * @throws ShapeError where a prefix or the keys have another size than the queries, a prefix is not where its segment begins,
 *   or a model that is not causal is given responses side by side
 * @throws InvariantError where a query of cross attention would see nothing
 * @see windows: Beltagy et al. 2020, arXiv:2004.05150, section 3.1; Jiang et al. 2023, arXiv:2310.06825, section 2
 */
export function keyRanges(
  queries: Placed,
  attention: SelfAttention | CrossAttention,
  window: number | null,
): KeyRanges {
  return attention.kind === 'cross'
    ? crossRanges(queries, attention.keys, window)
    : selfRanges(queries, attention, window);
}

function selfRanges(queries: Placed, attention: SelfAttention, window: number | null): KeyRanges {
  const { batch, seq, segments } = queries;
  if (queries.branches !== undefined) return branchRanges(queries, queries.branches, attention, window);
  const prefix = attention.kind === 'prefix' ? attention.prefix : null;
  if (prefix !== null && prefix.length !== batch * seq) {
    throw new ShapeError(
      `prefix attention: expected a prefix of ${batch} × ${seq}, received ${prefix.length} entries.`,
    );
  }
  // A padding token attends to itself alone, so that its softmax stays defined; nothing ever reads it.
  const first = Float32Array.from(segments, (_, at) => at % seq);
  const end = first.map((column) => column + 1);
  const reach = window ?? seq;
  for (const { row, from, to } of runsOf(segments, seq)) {
    const shared = attention.kind === 'full' ? to : prefix === null ? from : prefixEnd(prefix, seq, { row, from, to });
    for (let column = from; column < to; column++) {
      first[row * seq + column] = Math.max(from, column - reach + 1);
      end[row * seq + column] = Math.max(column + 1, Math.min(shared, column + reach));
    }
  }
  return { first, end, shared: null };
}

/** Causal, but that responses to one prompt do not see each other: distances are in positions, which go on after the prompt. */
function branchRanges(
  queries: Placed,
  branches: Int32Array,
  { kind }: SelfAttention,
  window: number | null,
): KeyRanges {
  const { seq, segments, positions } = queries;
  if (kind !== 'causal') {
    throw new ShapeError(
      `responses to one prompt side by side: expected a model of causal attention, received ${kind}.`,
    );
  }
  const first = Float32Array.from(segments, (_, at) => at % seq);
  const end = first.map((column) => column + 1);
  const shared = { first: new Float32Array(segments.length), end: new Float32Array(segments.length) };
  const reach = window ?? seq;
  for (const { row, from, to } of runsOf(segments, seq)) {
    const [start, after] = [row * seq + from, row * seq + to];
    const responses = branches.subarray(start, after).findIndex((branch) => branch !== 0);
    const promptEnd = responses < 0 ? to : from + responses;
    let own = from;
    for (let at = start; at < after; at++) {
      const column = at - row * seq;
      if (at > start && branches[at] !== branches[at - 1]) own = column;
      first[at] = Math.max(own, column - reach + 1);
      if (branches[at] === 0) continue;
      shared.first[at] = Math.min(promptEnd, Math.max(from, from + (positions[at] as number) - reach + 1));
      shared.end[at] = promptEnd;
    }
  }
  return { first, end, shared };
}

/** Columns of one segment in a row: from `from` up to, but without, `to`. */
interface Run {
  readonly row: number;
  readonly from: number;
  readonly to: number;
}

/** All segments of a batch; padding is none. */
function* runsOf(segments: Int32Array, seq: number): Generator<Run> {
  for (let at = 0; at < segments.length; ) {
    const [row, from] = [Math.floor(at / seq), at % seq];
    let to = from + 1;
    while (to < seq && segments[row * seq + to] === segments[at]) to++;
    if (segments[at] !== 0) yield { row, from, to };
    at = row * seq + to;
  }
}

/** Where the prefix of a segment ends. */
function prefixEnd(prefix: Int32Array, seq: number, { row, from, to }: Run): number {
  const flags = prefix.subarray(row * seq + from, row * seq + to);
  const found = flags.indexOf(0);
  const size = found < 0 ? flags.length : found;
  if (flags.lastIndexOf(1) < size) return from + size;
  throw new ShapeError(
    `prefix attention: row ${row}, column ${from + flags.lastIndexOf(1)}: expected the prefix where its segment begins, ` +
      `at column ${from}, and without gaps.`,
  );
}

function crossRanges({ batch, seq, segments, positions }: Placed, keys: Placed, window: number | null): KeyRanges {
  if (keys.batch !== batch) {
    throw new ShapeError(`cross attention: expected keys of ${batch} rows as the queries, received ${keys.batch}.`);
  }
  // The softmax of padding is uniform over scores that are all masked; nothing ever reads it.
  const first = new Float32Array(batch * seq);
  const end = new Float32Array(batch * seq);
  for (let query = 0; query < batch * seq; query++) {
    const segment = segments[query];
    if (segment === 0) continue;
    const row = Math.floor(query / seq);
    const isSeen = (_: number, column: number): boolean => {
      const key = row * keys.seq + column;
      const distance = Math.abs((positions[query] as number) - (keys.positions[key] as number));
      return keys.segments[key] === segment && (window === null || distance < window);
    };
    const line = keys.segments.subarray(row * keys.seq, (row + 1) * keys.seq);
    first[query] = line.findIndex(isSeen);
    end[query] = line.findLastIndex(isSeen) + 1;
    if (end[query] === 0) {
      throw new InvariantError(
        `cross attention: row ${row}, column ${query % seq}: expected a key in segment ${segment} of this row` +
          `${window === null ? '' : ` less than ${window} positions away`}, received none.`,
      );
    }
  }
  return { first, end, shared: null };
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
