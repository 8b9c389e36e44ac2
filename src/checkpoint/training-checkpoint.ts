/** Saving and resuming a run that trains one model. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CheckpointError } from '../errors.ts';
import type { AdamW, AdamWOptions } from '../execution/adamw.ts';
import { createAdamW, disposeAdamW } from '../execution/adamw.ts';
import type { Model } from '../model/model.ts';
import { disposeModel, TRAIN_ALL } from '../model/model.ts';
import { ownedParameters, readParameters } from '../tensor/parameters.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { listCheckpoints, saveCheckpoint } from './checkpoint-list.ts';
import { loadModelFolder, writeModelFolder } from './model-folder.ts';
import { readFlat, readOptimizer, readState, writeFlat, writeOptimizer, writeState } from './training-state.ts';

/** A model with its optimizer. */
export interface Trained {
  readonly model: Model;
  readonly adam: AdamW;
}

/** What is trained of a model that is frozen in part. */
const TRAINED_FILE = 'trained.safetensors';

/**
 * Writes model and moments into a folder that is being filled. Of a model that is frozen in part only what is trained
 * is written: the rest is that of the model the run started from.
 */
export function writeTrained(folder: string, { model, adam }: Trained, tokenizer: Tokenizer): void {
  const { layout, frozen } = model.parameters;
  if (Object.keys(frozen).length === 0) writeModelFolder(folder, model, { tokenizer });
  else
    writeFlat(
      join(folder, TRAINED_FILE),
      layout,
      { '': readParameters(model.parameters) },
      { step: String(adam.step) },
    );
  writeOptimizer(join(folder, 'optimizer.safetensors'), layout, adam);
}

/**
 * The model a checkpoint holds, with the moments saved after `step` updates.
 * @param start makes the model the run started from; called where the checkpoint holds only what is trained
 * @param recompute whether a model that is trained whole recomputes
 */
export function resumeTrained(
  folder: string,
  options: AdamWOptions,
  step: number,
  start: () => Model,
  recompute = false,
): Trained {
  const path = join(folder, TRAINED_FILE);
  const model = existsSync(path)
    ? withTrainedFrom(start(), path)
    : loadModelFolder(folder, { plan: { ...TRAIN_ALL, recompute }, tokenizer: null }).model;
  const { layout } = model.parameters;
  return { model, adam: readOptimizer(join(folder, 'optimizer.safetensors'), layout, options, step) };
}

function withTrainedFrom(model: Model, path: string): Model {
  const { layout, frozen, adapters } = model.parameters;
  const [values] = readFlat(path, layout, ['']) as [Float32Array];
  model.parameters.stored.dispose();
  return { ...model, parameters: ownedParameters(layout, values, { frozen, adapters }) };
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
  recompute = false,
): Trained & { readonly state: State | undefined } {
  const last = lastCheckpoint<State>(run);
  if (last !== undefined)
    return {
      ...resumeFrom(last.path, () => resumeTrained(last.path, options, last.state.step, fresh, recompute)),
      state: last.state,
    };
  const model = fresh();
  return { model, adam: createAdamW(model.parameters.layout, options), state: undefined };
}

/** Frees a model and its moments. */
export function disposeTrained({ model, adam }: Trained): void {
  disposeModel(model);
  disposeAdamW(adam);
}

/** Saves everything `startOrResume` needs, and what `more` writes, in one rename; `state.step` names the checkpoint. */
export async function saveTraining(
  runFolder: string,
  keepLast: number,
  trained: Trained,
  tokenizer: Tokenizer,
  state: { readonly step: number },
  more?: (folder: string) => void,
): Promise<void> {
  await saveCheckpoint(runFolder, state.step, keepLast, (folder) => {
    writeTrained(folder, trained, tokenizer);
    more?.(folder);
    writeState(folder, state);
  });
}
