/** Answers prompts with a model and scores the answers by the prompt's judge, reward model and KL to a reference. */

import { responseLogProbs, responseScores } from '../alignment/score-responses.ts';
import { likeLengths } from '../batch/like-lengths.ts';
import { promptAndResponse } from '../batch/response-batch.ts';
import type { GenerateOptions } from '../decoding/decode-steps.ts';
import type { Response } from '../decoding/generate.ts';
import { generate } from '../decoding/generate.ts';
import { decodeResponse } from '../examples/instruction.ts';
import type { Model } from '../model/model.ts';
import type { Random } from '../random.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { ChatPrompt } from './chat-prompts.ts';
import type { Judgement } from './judge.ts';
import { meanAndDeviation } from './statistics.ts';

/** One answer with its scores. */
export interface ScoredAnswer {
  readonly prompt: ChatPrompt;
  readonly response: string;
  readonly ended: boolean;
  /** Tokens, EOS included. */
  readonly length: number;
  /** Null where the prompt has no judge. */
  readonly judgement: Judgement | null;
  /** Normalised reward-model score; missing EOS is not replaced here. */
  readonly reward: number;
  /** Σ_t log π − log π_ref over the response, in nats, at the sampling temperature. */
  readonly kl: number;
}

/** Who answers, who anchors the KL, who scores. */
export interface ScoringModels {
  readonly reference: Model;
  readonly reward: Model;
  readonly normalisation: { readonly mean: number; readonly deviation: number };
}

/** Samples one answer to each prompt and scores it. */
export async function answerPrompts(
  policy: Model,
  models: ScoringModels,
  prompts: readonly ChatPrompt[],
  options: GenerateOptions,
  tokenizer: Tokenizer,
  random: Random,
): Promise<ScoredAnswer[]> {
  const drawn = await generate(
    policy,
    prompts.map(({ promptIds }) => promptIds),
    options,
    tokenizer,
    random,
  );
  const sequences = drawn.map(({ ids }, i) => promptAndResponse((prompts[i] as ChatPrompt).promptIds, ids));
  const answers = new Array<ScoredAnswer>(prompts.length);
  for (const { indices, batch } of likeLengths(sequences, tokenizer.padId, options.batchSize)) {
    const policyLogProbs = responseLogProbs(policy, batch, options.temperature);
    const referenceLogProbs = responseLogProbs(models.reference, batch, options.temperature);
    const scores = responseScores(models.reward, batch);
    indices.forEach((index, row) => {
      const { ids, ended } = drawn[index] as Response;
      const prompt = prompts[index] as ChatPrompt;
      const response = decodeResponse(ids, tokenizer);
      const from = row * batch.grid.response;
      let kl = 0;
      for (let t = from; t < from + batch.grid.response; t++) {
        kl += (policyLogProbs[t] as number) - (referenceLogProbs[t] as number);
      }
      const { mean, deviation } = models.normalisation;
      const reward = ((scores[row] as number) - mean) / deviation;
      const judgement = prompt.judge?.score(response) ?? null;
      answers[index] = { prompt, response, ended, length: ids.length, judgement, reward, kl };
    });
  }
  return answers;
}

/** An answer whose prompt has a judge. */
export type JudgedAnswer = ScoredAnswer & { readonly judgement: Judgement };

/** The answers whose prompts have a judge. */
export function judged(answers: readonly ScoredAnswer[]): JudgedAnswer[] {
  return answers.filter((answer): answer is JudgedAnswer => answer.judgement !== null);
}

/** Means over answers; `gold`, the total of the judge, is null where no prompt has one. */
export function meanAnswer(answers: readonly ScoredAnswer[]): { gold: number | null; reward: number; kl: number } {
  const mean = (values: number[]): number => meanAndDeviation(values).mean;
  const gold = judged(answers).map(({ judgement }) => judgement.total);
  return {
    gold: gold.length === 0 ? null : mean(gold),
    reward: mean(answers.map(({ reward }) => reward)),
    kl: mean(answers.map(({ kl }) => kl)),
  };
}
