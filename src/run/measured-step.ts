/** A measurement that is asked for again of the step that is kept. */

/** What was measured last, with its step. */
export interface MeasuredSteps<T> {
  /** Measures the model as it is at a step. */
  at(step: number): T;
  /** Of the step that was kept, whose weights the model has: what was measured there, where that was last, else measured now. */
  of(kept: number): T;
}

/** @param measure the model as it is */
export function measuredSteps<T>(measure: () => T): MeasuredSteps<T> {
  let last: { readonly step: number; readonly measured: T } | undefined;
  return {
    at: (step) => {
      last = { step, measured: measure() };
      return last.measured;
    },
    of: (kept) => (last?.step === kept ? last.measured : measure()),
  };
}
