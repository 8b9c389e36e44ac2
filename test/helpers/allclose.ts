/** `toBeAllclose`, the one way tests compare tensors: |actual − expected| ≤ atol + rtol · |expected|, element by element. */
import { expect } from 'vitest';

/** Numbers in any flat container. */
export type Numbers = readonly number[] | Float32Array | Float64Array | Int32Array;

/** Allowed difference; both default to the values for numbers worked out by hand. */
export interface Tolerance {
  readonly rtol?: number;
  readonly atol?: number;
}

/** Tolerances by kind of test. */
export const tolerance = {
  byHand: { rtol: 1e-5, atol: 1e-6 },
  forward: { rtol: 1e-4, atol: 1e-5 },
  gradient: { rtol: 1e-3, atol: 1e-5 },
  trajectory: { rtol: 1e-3, atol: 1e-5 },
} as const;

interface AllcloseMatchers<R = unknown> {
  /** Same length, and every element within `atol + rtol · |expected|`. NaN is close to nothing. */
  toBeAllclose(expected: Numbers, tolerance?: Tolerance): R;
}

declare module 'vitest' {
  // biome-ignore lint/suspicious/noExplicitAny: vitest declares its interface with this default, and merging must repeat it.
  interface Matchers<T = any> extends AllcloseMatchers<T> {}
}

/** The element furthest over its allowance; null where all are within it. */
function worstElement(actual: Numbers, expected: Numbers, rtol: number, atol: number) {
  let worst: { index: number; excess: number; outside: number } | null = null;
  let outside = 0;
  for (let index = 0; index < expected.length; index++) {
    const difference = Math.abs((actual[index] as number) - (expected[index] as number));
    const allowed = atol + rtol * Math.abs(expected[index] as number);
    // Equal infinities are equal; any other difference that is not finite, NaN too, is infinitely far off.
    if (actual[index] === expected[index] || (Number.isFinite(difference) && difference <= allowed)) continue;
    outside++;
    const excess = Number.isFinite(difference) ? difference / allowed : Number.POSITIVE_INFINITY;
    if (worst === null || excess > worst.excess) worst = { index, excess, outside };
  }
  return worst === null ? null : { ...worst, outside };
}

expect.extend({
  toBeAllclose(actual: Numbers, expected: Numbers, options: Tolerance = {}) {
    const { rtol, atol } = { ...tolerance.byHand, ...options };
    if (actual.length !== expected.length) {
      return { pass: false, message: () => `length: expected ${expected.length} numbers, received ${actual.length}.` };
    }
    const worst = worstElement(actual, expected, rtol, atol);
    if (worst === null) {
      return { pass: true, message: () => `all ${expected.length} numbers are within rtol ${rtol}, atol ${atol}.` };
    }
    const { index, excess, outside } = worst;
    return {
      pass: false,
      message: () =>
        `${outside} of ${expected.length} numbers are off (rtol ${rtol}, atol ${atol}); worst at index ${index}: ` +
        `expected ${expected[index]}, received ${actual[index]}, ${excess.toPrecision(3)} times what is allowed.`,
    };
  },
});
