/** Four tiny models and the settings of a rollout and of its inner loop. */

import type { PpoModels, Rollout } from '../../src/alignment/collect.ts';
import { collectRollout } from '../../src/alignment/collect.ts';
import type { AdamW } from '../../src/execution/adamw.ts';
import { createAdamW, disposeAdamW } from '../../src/execution/adamw.ts';
import type { Model } from '../../src/model/model.ts';
import { disposeModel } from '../../src/model/model.ts';
import { seededRandom } from '../../src/random.ts';
import { tinyIds, tinyModel, tinyStop } from '../model/tiny-model.ts';

const adamOptions = { beta1: 0.9, beta2: 0.99, epsilon: 1e-5, epsilonStyle: 'tensorflow', weightDecay: 0 } as const;

export const sampling = { temperature: 0.8, topK: 0, topP: 1, maxNewTokens: 6, batchSize: 3 };
export const promptIds = [4, 2, 7, 3].map((length, seed) => tinyIds(length, seed));

export interface PpoWorld {
  readonly models: PpoModels;
  readonly optimizers: { readonly policy: AdamW; readonly critic: AdamW };
  readonly rollout: (seed?: number) => Promise<Rollout>;
  readonly dispose: () => void;
}

/** The reference is a copy of the policy and the critic one of the reward model, as at the start of PPO. */
export function ppoWorld(): PpoWorld {
  const [policy, reward] = [tinyModel('llama', 'tokens'), tinyModel('llama', 'score', 2)];
  const [reference, critic] = [tinyModel('llama', 'tokens'), tinyModel('llama', 'score', 2)];
  const models = { policy, reference, critic, reward, normalisation: { mean: 0.5, deviation: 2 } };
  const optimizer = (model: Model): AdamW => createAdamW(model.parameters.layout, adamOptions);
  const optimizers = { policy: optimizer(policy), critic: optimizer(critic) };
  return {
    models,
    optimizers,
    rollout: (seed = 1) => collectRollout(models, promptIds, sampling, tinyStop, seededRandom(seed)),
    dispose: () => {
      for (const model of [policy, reference, critic, reward]) disposeModel(model);
      for (const adam of Object.values(optimizers)) disposeAdamW(adam);
    },
  };
}
