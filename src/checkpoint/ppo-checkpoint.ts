/** What PPO saves and resumes from: policy and critic with their optimizers, and a JSON state. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Model } from '../model/model.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { AdamW, AdamWOptions } from '../training/adamw.ts';
import { createAdamW } from '../training/adamw.ts';
import { loadModelFolder, writeModelFolder } from './model-folder.ts';
import { readOptimizer, writeOptimizer, writeState } from './training-state.ts';

/** A model with its optimizer. */
export interface Trained {
  readonly model: Model;
  readonly adam: AdamW;
}

/** Writes the policy as the folder's own model and the critic in `critic/`. Call inside `saveCheckpoint`. */
export function writePpoCheckpoint(
  folder: string,
  parts: { policy: Trained; critic: Trained; tokenizer: Tokenizer; state: object },
): void {
  const { policy, critic, tokenizer, state } = parts;
  writeTrained(folder, policy, tokenizer);
  mkdirSync(join(folder, 'critic'));
  writeTrained(join(folder, 'critic'), critic, tokenizer);
  writeState(folder, state);
}

function writeTrained(folder: string, { model, adam }: Trained, tokenizer: Tokenizer): void {
  writeModelFolder(folder, model, { tokenizer });
  writeOptimizer(join(folder, 'optimizer.safetensors'), model.parameters.layout, adam);
}

/** A model to train from a folder: with fresh moments, or with those saved after `step` updates. */
export function readTrained(folder: string, options: AdamWOptions, step?: number): Trained {
  const { model } = loadModelFolder(folder);
  const { layout } = model.parameters;
  const adam =
    step === undefined
      ? createAdamW(layout, options)
      : readOptimizer(join(folder, 'optimizer.safetensors'), layout, options, step);
  return { model, adam };
}
