/** The trained weights of the step that a run keeps: set aside in the run folder, with a copy in each later checkpoint. */
import { constants, copyFileSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CheckpointError } from '../errors.ts';
import type { Model } from '../model/model.ts';
import { readParameters, replaceParameters } from '../tensor/parameters.ts';
import { resumeFrom } from './training-checkpoint.ts';
import { readFlat, writeFlat } from './training-state.ts';

/** In the run folder while the run lasts, and in a checkpoint whose own weights are those of another step. */
const KEPT_FILE = 'kept.safetensors';

/** Weights set aside. */
export interface KeptWeights {
  /** Sets the model's trained weights of this step aside, in place of those there were. */
  keep(step: number): void;
  /** Adds them to the checkpoint of a step that is being filled. */
  save(checkpoint: string, step: number): void;
  /** Gives the model the weights that were set aside, where it is at another step, and removes the run's copy. */
  restore(step: number): void;
}

/**
 * A resumed run takes what its checkpoint holds: a copy in the run folder may be of a step that no checkpoint knows.
 * @param resumed the checkpoint a run goes on from, and the step it keeps so far (null for none)
 * @throws CheckpointError where the checkpoint's copy is damaged, or is missing because the run was begun before
 *   checkpoints had one
 */
export function openKeptWeights(
  { parameters }: Model,
  runFolder: string,
  resumed?: { readonly folder: string; readonly step: number; readonly keptStep: number | null },
): KeptWeights {
  const { layout } = parameters;
  const file = join(runFolder, KEPT_FILE);
  const read = (path: string): Float32Array => readFlat(path, layout, [''])[0] as Float32Array;
  let kept: number | null = null;
  const keep = (step: number, values = readParameters(parameters)): void => {
    writeFlat(file, layout, { '': values }, { step: String(step) });
    kept = step;
  };
  if (resumed !== undefined && resumed.keptStep !== null) {
    const { folder, step, keptStep } = resumed;
    if (keptStep === step) keep(keptStep);
    else {
      const copy = copyIn(folder, keptStep);
      keep(
        keptStep,
        resumeFrom(folder, () => read(copy)),
      );
    }
  }
  return {
    keep: (step) => keep(step),
    save: (checkpoint, step) => {
      if (kept === null || kept === step) return;
      // Shares the disk's blocks with the run's copy where the file system can.
      copyFileSync(file, join(checkpoint, KEPT_FILE), constants.COPYFILE_FICLONE);
    },
    restore: (step) => {
      if (kept !== null && kept !== step) replaceParameters(parameters, read(file));
      rmSync(file, { force: true });
    },
  };
}

/** @throws CheckpointError where there is none: earlier checkpoints of the run lack it too, so removing this one helps nobody */
function copyIn(checkpoint: string, keptStep: number): string {
  const file = join(checkpoint, KEPT_FILE);
  if (existsSync(file)) return file;
  throw new CheckpointError(
    `${file} is missing; expected the weights of step ${keptStep}, the one to keep so far. Runs begun before checkpoints had ` +
      'this file have those weights in best/ or model/ of the run folder only, and this version cannot go on with them. ' +
      'Remove nothing: finish the run with the commit that manifest.json names, or start another from best/ or model/.',
  );
}
