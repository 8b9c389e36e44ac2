/** One rollout: responses to a batch of prompts with everything PPO needs to learn from them. Lives on the host. */

import type { ResponseBatch } from '../batch/response-batch.ts';
import { gridMask, packedResponseBatch, promptAndResponse } from '../batch/response-batch.ts';
import type { TokenSequence } from '../batch/token-batch.ts';
import type { GenerateOptions, StopIds } from '../decoding/decode-steps.ts';
import { generate } from '../decoding/generate.ts';
import type { Model } from '../model/model.ts';
import type { Random } from '../random.ts';
import { responseLogProbs, responseLogProbsAndEntropy, responseScores, responseValues } from './score-responses.ts';

/** The four models of PPO. */
export interface PpoModels {
  /** Trained. */
  readonly policy: Model;
  /** Frozen copy of the policy's start: anchors the KL. */
  readonly reference: Model;
  /** Trained; started as the reward model on the scale of normalised scores, or on its trunk with a new head where it has none. A value is its output − `valueOffset`. */
  readonly critic: Model;
  /** Frozen: scores responses. */
  readonly reward: Model;
  /** Scores are read as (raw − mean) / deviation. */
  readonly normalisation: { readonly mean: number; readonly deviation: number };
}

/**
 * What the critic's output is above the value it stands for. A score head has no bias: divided by the deviation, a reward
 * model's raw score is the normalised one + mean / deviation, and this constant stays outside the network. A critic with
 * a new head has no such past.
 */
export function valueOffset({ reward, normalisation }: Pick<PpoModels, 'reward' | 'normalisation'>): number {
  return reward.head === 'score' ? normalisation.mean / normalisation.deviation : 0;
}

/**
 * The record of a rollout. Numbers of response tokens lie in the grid of the batch, [sequences · response], which is what
 * rewards, advantages and whitening are computed on; 0 where no token is.
 */
export interface Rollout {
  readonly batch: ResponseBatch;
  /** 1 on response tokens including EOS. */
  readonly mask: Float32Array;
  /** [sequences], the prompts with what was drawn. */
  readonly sequences: readonly TokenSequence[];
  /** What stands where nothing is. */
  readonly padId: number;
  /** [sequences], ids of each response, EOS included. */
  readonly responses: readonly Int32Array[];
  /** [sequences], 1 where EOS was drawn. */
  readonly ended: Uint8Array;
  /** log π at the sampling temperature, as drawn with the cache. */
  readonly drawnLogProbs: Float32Array;
  /** log π by a full forward pass: the "old" log-probabilities of the updates. */
  readonly logProbs: Float32Array;
  readonly referenceLogProbs: Float32Array;
  /** Entropy of the distribution each token was drawn from, before top-k and top-p, in nats. */
  readonly entropy: Float32Array;
  /** Value of the state before each token. */
  readonly values: Float32Array;
  /** [sequences], normalised reward-model scores. */
  readonly scores: Float32Array;
}

/**
 * Samples and scores. Sequences and responses are padded to rounded lengths, so that few distinct shapes occur and little
 * is computed for padding.
 */
export async function collectRollout(
  models: PpoModels,
  prompts: readonly Int32Array[],
  options: GenerateOptions,
  stop: StopIds,
  random: Random,
): Promise<Rollout> {
  const drawn = await generate(models.policy, prompts, options, stop, random);
  const sequences = drawn.map(({ ids }, i) => promptAndResponse(prompts[i] as Int32Array, ids));
  const batch = packedResponseBatch(sequences, stop.padId);
  const mask = gridMask(batch);
  const drawnLogProbs = new Float32Array(mask.length);
  for (const [line, { logProbs }] of drawn.entries()) drawnLogProbs.set(logProbs, line * batch.grid.response);
  const { mean, deviation } = models.normalisation;
  return {
    batch,
    mask,
    sequences,
    padId: stop.padId,
    responses: drawn.map(({ ids }) => ids),
    ended: Uint8Array.from(drawn, ({ ended }) => (ended ? 1 : 0)),
    drawnLogProbs,
    ...responseLogProbsAndEntropy(models.policy, batch, options.temperature),
    referenceLogProbs: responseLogProbs(models.reference, batch, options.temperature),
    values: responseValues(models.critic, batch, valueOffset(models)),
    scores: responseScores(models.reward, batch).map((score) => (score - mean) / deviation),
  };
}
