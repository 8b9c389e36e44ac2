/** The trained weights of the step that a run keeps, where its model is written at the end only. */
import { join } from 'node:path';
import type { Model } from '../model/model.ts';
import { readParameters, replaceParameters } from '../tensor/parameters.ts';
import { readFlat, writeFlat } from './training-state.ts';

/** Within a checkpoint whose own weights are those of a later step. */
const KEPT_FILE = 'kept.safetensors';

/** Weights set aside, on the host. */
export interface KeptWeights {
  /** Sets the model's trained weights of this step aside, in place of those there were. */
  keep(step: number): void;
  /** Adds them to the checkpoint of a step that is being filled. */
  save(folder: string, step: number): void;
  /** Gives the model the weights that were set aside, where it is at another step. */
  restore(step: number): void;
}

/**
 * @param resumed the checkpoint a run goes on from, and the step it keeps so far (null for none)
 * @throws CheckpointError where the checkpoint's copy is missing or damaged
 */
export function openKeptWeights(
  { parameters }: Model,
  resumed?: { readonly folder: string; readonly step: number; readonly keptStep: number | null },
): KeptWeights {
  const { layout } = parameters;
  // A copy: what is read may be the tensor's own memory.
  const read = (): Float32Array => readParameters(parameters).slice();
  let kept: { step: number; values: Float32Array } | null = null;
  if (resumed !== undefined && resumed.keptStep !== null) {
    const { folder, step, keptStep } = resumed;
    const values = keptStep === step ? read() : (readFlat(join(folder, KEPT_FILE), layout, [''])[0] as Float32Array);
    kept = { step: keptStep, values };
  }
  return {
    keep: (step) => {
      kept = { step, values: read() };
    },
    save: (folder, step) => {
      if (kept === null || kept.step === step) return;
      writeFlat(join(folder, KEPT_FILE), layout, { '': kept.values }, { step: String(kept.step) });
    },
    restore: (step) => {
      if (kept !== null && kept.step !== step) replaceParameters(parameters, kept.values);
    },
  };
}
