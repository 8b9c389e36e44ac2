/** What PPO saves: the policy as the folder's own model, the critic in `critic/`, both with their optimizers, and a state. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { AdamW, AdamWOptions } from '../execution/adamw.ts';
import { createAdamW } from '../execution/adamw.ts';
import type { Model } from '../model/model.ts';
import { seededRandom } from '../random.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { saveCheckpoint } from './checkpoint-list.ts';
import type { PlannedPpo, PpoSources, PpoStart } from './ppo-models.ts';
import { describeTrunks, startPpo } from './ppo-models.ts';
import type { Trained } from './training-checkpoint.ts';
import { lastCheckpoint, resumeFrom, resumeTrained, writeTrained } from './training-checkpoint.ts';
import type { TuningSettings } from './training-plan.ts';
import { rateOf } from './training-plan.ts';
import { writeState } from './training-state.ts';

/** Name of the critic's folder within a checkpoint. */
export const CRITIC_FOLDER = 'critic';

/** Saves, with the updates made and what `more` writes, in one rename; `state.step` names the checkpoint. */
export async function savePpo(
  runFolder: string,
  keepLast: number,
  trained: { policy: Trained; critic: Trained },
  tokenizer: Tokenizer,
  state: { readonly step: number },
  more?: (folder: string) => void,
): Promise<void> {
  const updates: Updates = { policy: trained.policy.adam.step, critic: trained.critic.adam.step };
  await saveCheckpoint(runFolder, state.step, keepLast, (folder) => {
    writeTrained(folder, trained.policy, tokenizer);
    mkdirSync(join(folder, CRITIC_FOLDER));
    writeTrained(join(folder, CRITIC_FOLDER), trained.critic, tokenizer);
    more?.(folder);
    writeState(folder, { ...state, updates });
  });
}

/** Updates made by each optimizer. */
interface Updates {
  readonly policy: number;
  readonly critic: number;
}

/** The models of a run with the optimizers of policy and critic. */
export interface StartedPpo {
  readonly models: PpoStart;
  readonly optimizers: { readonly policy: AdamW; readonly critic: AdamW };
  /** The two that are trained, each with its optimizer. */
  readonly trained: { readonly policy: Trained; readonly critic: Trained };
}

/** Settings of what policy and critic learn with. */
interface PpoTraining {
  readonly run: { readonly seed: number };
  readonly tuning: TuningSettings;
  readonly optimizer: AdamWOptions;
  readonly valueOptimizer: AdamWOptions;
}

/**
 * Policy and critic with their optimizers: as they start, or as a checkpoint has them.
 * @throws CheckpointError when the checkpoint is damaged
 */
function trainedPpo(
  start: { readonly policy: Model; readonly critic: Model },
  settings: { readonly policy: AdamWOptions; readonly critic: AdamWOptions },
  last: { readonly path: string; readonly updates: Updates } | undefined,
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
export function startOrResumePpo<State extends { readonly step: number }>(
  run: { readonly path: string; readonly resumed: boolean },
  sources: Omit<PpoSources, 'sameTrunk'> & { readonly say: (line: string) => void },
  { policy, critic, sameTrunk }: PlannedPpo,
  { run: { seed }, tuning, optimizer, valueOptimizer }: PpoTraining,
): StartedPpo & { readonly state: State | undefined } {
  const last = lastCheckpoint<State & { readonly updates: Updates }>(run);
  const plans = { policy: policy.plan, critic: critic.plan };
  const started = startPpo({ ...sources, sameTrunk }, plans, seededRandom(seed, 'adapters'));
  const rates = rateOf(policy.dimensions, tuning);
  const options = { policy: { ...optimizer, rateOf: rates }, critic: { ...valueOptimizer, rateOf: rates } };
  const trained = trainedPpo(started, options, last && { path: last.path, updates: last.state.updates });
  const models = { ...started, policy: trained.policy.model, critic: trained.critic.model };
  if (tuning.method === 'lora') sources.say(`ppo  ${describeTrunks(models)}`);
  const optimizers = { policy: trained.policy.adam, critic: trained.critic.adam };
  return { models, optimizers, trained, state: last?.state };
}
