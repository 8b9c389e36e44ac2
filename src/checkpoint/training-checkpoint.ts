/** Saving and resuming a run that trains one model. */
import { join } from 'node:path';
import { CheckpointError } from '../errors.ts';
import type { Model } from '../model/model.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { AdamW, AdamWOptions } from '../training/adamw.ts';
import { createAdamW } from '../training/adamw.ts';
import { listCheckpoints, saveCheckpoint } from './checkpoint-list.ts';
import { loadModelFolder, writeModelFolder } from './model-folder.ts';
import { readOptimizer, readState, writeOptimizer, writeState } from './training-state.ts';

/** A model with its optimizer. */
export interface Trained {
  readonly model: Model;
  readonly adam: AdamW;
}

/** Writes model and moments into a folder that is being filled. */
export function writeTrained(folder: string, { model, adam }: Trained, tokenizer: Tokenizer): void {
  writeModelFolder(folder, model, { tokenizer });
  writeOptimizer(join(folder, 'optimizer.safetensors'), model.parameters.layout, adam);
}

/** A model to train from a folder: with fresh moments, or with those saved after `step` updates. */
export function readTrained(folder: string, options: AdamWOptions, step?: number): Trained {
  const { model } = loadModelFolder(folder);
  const { layout } = model.parameters;
  if (step === undefined) return { model, adam: createAdamW(layout, options) };
  return { model, adam: readOptimizer(join(folder, 'optimizer.safetensors'), layout, options, step) };
}

/** The last checkpoint of a run that is being resumed, with the state its stage saved; undefined where there is none. */
export function lastCheckpoint<State>(run: {
  path: string;
  resumed: boolean;
}): { path: string; state: State } | undefined {
  const last = run.resumed ? listCheckpoints(run.path).at(-1) : undefined;
  return last === undefined ? undefined : { path: last.path, state: readState<State>(last.path) };
}

/** Adds to the error of a damaged checkpoint what to do about it. */
export function resumeFrom<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    throw new CheckpointError([...error.problems, `Remove ${path} to resume from the checkpoint before it.`], {
      cause: error,
    });
  }
}

/**
 * What a stage trains: from the last checkpoint of its run, exactly as it was, or new.
 * @throws CheckpointError when the checkpoint is damaged
 */
export function startOrResume<State extends { readonly step: number }>(
  run: { path: string; resumed: boolean },
  options: AdamWOptions,
  fresh: () => Model,
): Trained & { readonly state: State | undefined } {
  const last = lastCheckpoint<State>(run);
  if (last !== undefined)
    return { ...resumeFrom(last.path, () => readTrained(last.path, options, last.state.step)), state: last.state };
  const model = fresh();
  return { model, adam: createAdamW(model.parameters.layout, options), state: undefined };
}

/** Saves everything `startOrResume` needs, in one rename; `state.step` names the checkpoint. */
export async function saveTraining(
  runFolder: string,
  keepLast: number,
  trained: Trained,
  tokenizer: Tokenizer,
  state: { readonly step: number },
): Promise<void> {
  await saveCheckpoint(runFolder, state.step, keepLast, (folder) => {
    writeTrained(folder, trained, tokenizer);
    writeState(folder, state);
  });
}
