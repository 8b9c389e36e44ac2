/** Rows for sequences of known lengths: how long they are, and what stands in which, with little padding and few shapes. */
import { planPacking } from './packing.ts';
import { roundedLength, roundedUp } from './padding.ts';

/** Rows of one length, and what stands in them. */
export interface RowPlan {
  /** Which sequences stand in each row, one after the other. */
  readonly plan: readonly (readonly number[])[];
  /** Rows, empty ones at the end included. */
  readonly rows: number;
  readonly seq: number;
}

/** Compiled steps are made for each set of shapes, and of few row lengths there are few. */
const ROW_STEP = 64;

/** Rows are longer than what stands in them has to be up to this: beyond, attention is no small part of a step. */
const LONG_ROW = 256;

/** What a row length that is no multiple of ROW_STEP has to save, as a share. */
const WORTH_A_SHAPE = 1 / 8;

/**
 * Rows that hold the sequences with little padding, of few lengths.
 *
 * lengths [70, 30, 20]  ->  one row of 128
 *
 * @param lengths tokens of each sequence, one at least
 */
export function planRows(lengths: readonly number[]): RowPlan {
  const rowsOf = (seq: number): RowPlan => {
    const plan = planPacking(lengths, seq);
    return { plan, rows: roundedUp(plan.length, 1), seq };
  };
  const longest = lengths.reduce((most, length) => Math.max(most, length), 0);
  const least = roundedUp(longest, ROW_STEP);
  let best = rowsOf(least);
  for (let seq = least + ROW_STEP; seq <= LONG_ROW; seq += ROW_STEP) {
    const longer = rowsOf(seq);
    if (tokensOf(longer) < tokensOf(best)) best = longer;
  }
  // One row is as long as it has to be.
  if (best.rows === 1) return { ...best, seq: roundedLength(lengths.reduce((sum, length) => sum + length, 0)) };
  const tight = rowsOf(roundedLength(longest));
  return tokensOf(tight) <= (1 - WORTH_A_SHAPE) * tokensOf(best) ? tight : best;
}

function tokensOf({ rows, seq }: RowPlan): number {
  return rows * seq;
}
