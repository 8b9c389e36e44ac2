/** What PPO saves: the policy as the folder's own model, the critic in `critic/`, both with their optimizers, and a state. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { saveCheckpoint } from './checkpoint-list.ts';
import type { Trained } from './training-checkpoint.ts';
import { writeTrained } from './training-checkpoint.ts';
import { writeState } from './training-state.ts';

/** Name of the critic's folder within a checkpoint. */
export const CRITIC_FOLDER = 'critic';

/** Saves in one rename; `state.step` names the checkpoint. */
export async function savePpo(
  runFolder: string,
  keepLast: number,
  trained: { policy: Trained; critic: Trained },
  tokenizer: Tokenizer,
  state: { readonly step: number },
): Promise<void> {
  await saveCheckpoint(runFolder, state.step, keepLast, (folder) => {
    writeTrained(folder, trained.policy, tokenizer);
    mkdirSync(join(folder, CRITIC_FOLDER));
    writeTrained(join(folder, CRITIC_FOLDER), trained.critic, tokenizer);
    writeState(folder, state);
  });
}
