/** What PPO measures on held-out prompts: sampled answers, their scores, and the objective they stand for. */

import type { Rollout } from '../alignment/collect.ts';
import type { GenerateOptions } from '../decoding/decode-steps.ts';
import { decodeResponse } from '../examples/instruction.ts';
import type { Model } from '../model/model.ts';
import { seededRandom } from '../random.ts';
import type { Row } from '../tables/columns.ts';
import { float32, int32, nullable, utf8 } from '../tables/columns.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { ScoringModels } from './answer-prompts.ts';
import { answerPrompts, meanAnswer } from './answer-prompts.ts';
import type { ChatPrompt } from './chat-prompts.ts';

/** Columns of samples.arrow (held-out prompts) and rollouts.arrow (training prompts). */
export const answerColumns = {
  prompt: utf8('Rendered prompt.'),
  response: utf8('Sampled answer.'),
  gold: nullable(float32('Total of the judge in [0, 1]; never trained on; null where the prompt has no judge.')),
  reward: float32('Normalised reward-model score.'),
  kl: float32('Σ_t log π − log π_ref over the answer, in nats.'),
  length: int32('Tokens of the answer, EOS included.'),
};

/** Means over the held-out prompts; the objective is reward − β · KL. */
export type HeldOutMeans = {
  readonly gold: number | null;
  readonly reward: number;
  readonly kl: number;
  readonly objective: number;
};

/** What the means are called, in words and in metrics.arrow, and which way they are better. */
export const heldOutMeasures = {
  objective: { name: 'held-out reward − β · KL', better: 'higher', metric: 'held_out/objective' },
  reward: { name: 'held-out reward', better: 'higher', metric: 'held_out/reward' },
  kl: { name: 'held-out KL', better: 'lower', metric: 'held_out/kl' },
  gold: { name: 'held-out gold', better: 'higher', metric: 'held_out/gold' },
} as const;

/** Settings of a training loop by these measures: the reward that chooses a step is less the KL penalty, as it is trained for. */
export function keptByObjective<
  Settings extends {
    readonly evaluation: {
      readonly best: 'reward' | 'last';
      readonly everySteps: number;
      readonly patience: number | null;
    };
  },
>(settings: Settings) {
  const { best } = settings.evaluation;
  return {
    ...settings,
    evaluation: { ...settings.evaluation, best: best === 'reward' ? ('objective' as const) : best },
  };
}

/**
 * Samples an answer to each prompt, with the same random numbers every time, so that runs and steps compare.
 * @param klWeight β: the same at every step, whatever a controller has made of it, for the same reason
 * @returns rows of `answerColumns`, and their means
 */
export async function measureAnswers(
  policy: Model,
  models: ScoringModels,
  prompts: readonly ChatPrompt[],
  { sampling, klWeight, seed }: { sampling: GenerateOptions; klWeight: number; seed: number },
  tokenizer: Tokenizer,
) {
  const answers = await answerPrompts(policy, models, prompts, sampling, tokenizer, seededRandom(seed, 'held-out'));
  const rows = answers.map(({ prompt, response, judgement, reward, kl, length }) => {
    return { prompt: prompt.prompt, response, gold: judgement?.total ?? null, reward, kl, length };
  });
  const means = meanAnswer(answers);
  const measured: HeldOutMeans = { ...means, objective: means.reward - klWeight * means.kl };
  return { rows, measured };
}

/** A rollout as rows of `answerColumns`: the judge is heard on each response. */
export function rolloutRows(
  asked: readonly ChatPrompt[],
  { responses }: Rollout,
  scores: Float32Array,
  kl: Float32Array,
  tokenizer: Tokenizer,
): Row<typeof answerColumns>[] {
  return asked.map(({ prompt, judge }, i) => {
    const ids = responses[i] as Int32Array;
    const response = decodeResponse(ids, tokenizer);
    const gold = judge?.score(response).total ?? null;
    return { prompt, response, gold, reward: scores[i] as number, kl: kl[i] as number, length: ids.length };
  });
}
