/** What PPO saves: the policy as the folder's own model, the critic in `critic/`, both with their optimizers, and a state. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { AdamW, AdamWOptions } from '../execution/adamw.ts';
import { createAdamW } from '../execution/adamw.ts';
import type { Model } from '../model/model.ts';
import type { Random } from '../random.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { saveCheckpoint } from './checkpoint-list.ts';
import type { PpoPlans, PpoSources, PpoStart } from './ppo-models.ts';
import { startPpo } from './ppo-models.ts';
import type { Trained } from './training-checkpoint.ts';
import { lastCheckpoint, resumeFrom, resumeTrained, writeTrained } from './training-checkpoint.ts';
import { writeState } from './training-state.ts';

/** Name of the critic's folder within a checkpoint. */
export const CRITIC_FOLDER = 'critic';

/** Saves, with what `more` writes, in one rename; `state.step` names the checkpoint. */
export async function savePpo(
  runFolder: string,
  keepLast: number,
  trained: { policy: Trained; critic: Trained },
  tokenizer: Tokenizer,
  state: { readonly step: number },
  more?: (folder: string) => void,
): Promise<void> {
  await saveCheckpoint(runFolder, state.step, keepLast, (folder) => {
    writeTrained(folder, trained.policy, tokenizer);
    mkdirSync(join(folder, CRITIC_FOLDER));
    writeTrained(join(folder, CRITIC_FOLDER), trained.critic, tokenizer);
    more?.(folder);
    writeState(folder, state);
  });
}

/** A checkpoint of PPO to resume, with the updates made by each optimizer. */
export interface PpoCheckpoint {
  readonly path: string;
  readonly updates: { readonly policy: number; readonly critic: number };
}

/**
 * Policy and critic with their optimizers: as they start, or as a checkpoint has them.
 * @throws CheckpointError when the checkpoint is damaged
 */
function trainedPpo(
  start: { readonly policy: Model; readonly critic: Model },
  settings: { readonly policy: AdamWOptions; readonly critic: AdamWOptions },
  last: PpoCheckpoint | undefined,
): { policy: Trained; critic: Trained } {
  const trained = (name: 'policy' | 'critic'): Trained => {
    const model = start[name];
    const options = settings[name];
    if (last === undefined) return { model, adam: createAdamW(model.parameters.layout, options) };
    const folder = name === 'policy' ? last.path : join(last.path, CRITIC_FOLDER);
    const { recompute = false } = model;
    const found = resumeFrom(last.path, () =>
      resumeTrained(folder, options, last.updates[name], () => model, recompute),
    );
    model.parameters.stored.dispose();
    return found;
  };
  return { policy: trained('policy'), critic: trained('critic') };
}

/**
 * The four models with the optimizers of policy and critic: new, or as the last checkpoint of a run has them.
 * @throws CheckpointError when the checkpoint is damaged
 */
export function startOrResumePpo<State extends { readonly step: number; readonly updates: PpoCheckpoint['updates'] }>(
  run: { readonly path: string; readonly resumed: boolean },
  sources: PpoSources,
  settings: {
    readonly plans: PpoPlans;
    readonly optimizers: { readonly policy: AdamWOptions; readonly critic: AdamWOptions };
    readonly random: Random;
  },
): { models: PpoStart; optimizers: { policy: AdamW; critic: AdamW }; state: State | undefined } {
  const last = lastCheckpoint<State>(run);
  const started = startPpo(sources, settings.plans, settings.random);
  const checkpoint = last && { path: last.path, updates: last.state.updates };
  const { policy, critic } = trainedPpo(started, settings.optimizers, checkpoint);
  const models = { ...started, policy: policy.model, critic: critic.model };
  return { models, optimizers: { policy: policy.adam, critic: critic.adam }, state: last?.state };
}
