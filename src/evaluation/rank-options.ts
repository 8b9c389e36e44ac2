/** Ranking the options of a question by their log-probabilities, by four rules. */

import { responseLogProbs } from '../alignment/score-responses.ts';
import { likeLengths } from '../batch/like-lengths.ts';
import { promptAndResponse, responseLength } from '../batch/response-batch.ts';
import type { TokenSequence } from '../batch/token-batch.ts';
import { InvariantError } from '../errors.ts';
import { encodePrompt, encodeTarget } from '../examples/instruction.ts';
import { userSays } from '../message.ts';
import type { Model } from '../model/model.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { TaskItem } from './task-items.ts';

/** How options of different length are compared. */
export const rankingRules = ['sum', 'per_token', 'per_character', 'mutual_information'] as const;
export type RankingRule = (typeof rankingRules)[number];

/**
 * Scores of every option by every rule, [options] each:
 * sum: log p(option, EOS | prompt) in nats (T0, arXiv:2110.08207 section 5);
 * per_token: the sum divided by the tokens, EOS included (GPT-3, arXiv:2005.14165 section 2.4);
 * per_character: divided by the characters of the option (lm-evaluation-harness `acc_norm`);
 * mutual_information: minus log p(option, EOS | empty prompt) (its `acc_mutual_info`; GPT-3 for ARC, OpenBookQA, RACE).
 */
export type OptionScores = Readonly<Record<RankingRule, readonly number[]>>;

/** Sequences scored side by side. */
const SCORE_BATCH = 32;

/**
 * Scores the options of each item; EOS is part of every option, so that one that begins another is not favoured.
 *
 * @throws InvariantError where a score is not finite
 */
export function scoreOptions(
  model: Model,
  tokenizer: Tokenizer,
  items: readonly TaskItem[],
  onProgress: (share: number) => void = () => undefined,
): OptionScores[] {
  const empty = encodePrompt(userSays(''), tokenizer);
  const withEos = (option: string): Int32Array => Int32Array.of(...encodeTarget(option, tokenizer), tokenizer.eosId);
  const distinct = [...new Set(items.flatMap(({ options }) => options))];
  const asked = items.flatMap(({ messages, options }) => {
    const promptIds = encodePrompt(messages, tokenizer);
    return options.map((option) => promptAndResponse(promptIds, withEos(option)));
  });
  const alone = distinct.map((option) => promptAndResponse(empty, withEos(option)));
  const sums = sequenceLogProbs(model, [...asked, ...alone], tokenizer.padId, onProgress);
  const lost = sums.findIndex((sum) => !Number.isFinite(sum));
  if (lost >= 0) {
    throw new InvariantError(
      `ranking: the log-probability of an option is ${sums[lost]}; expected a finite number. The model has diverged.`,
    );
  }
  const unconditional = new Map(distinct.map((option, i) => [option, sums[asked.length + i] ?? 0]));
  let at = 0;
  return items.map(({ options }) => {
    const sum = sums.slice(at, at + options.length);
    const lengths = asked.slice(at, at + options.length).map(responseLength);
    at += options.length;
    return {
      sum,
      per_token: sum.map((value, i) => value / (lengths[i] ?? 1)),
      per_character: sum.map((value, i) => value / [...(options[i] ?? ' ')].length),
      mutual_information: sum.map((value, i) => value - (unconditional.get(options[i] ?? '') ?? 0)),
    };
  });
}

/** The best option by a rule; the earlier one of equals. */
export function bestOption(options: readonly string[], scores: readonly number[]): string {
  return options[scores.indexOf(Math.max(...scores))] ?? '';
}

/** Sum of response log-probabilities of each sequence in nats, batched with sequences of like length. */
function sequenceLogProbs(
  model: Model,
  sequences: readonly TokenSequence[],
  padId: number,
  onProgress: (share: number) => void,
): number[] {
  const sums = new Array<number>(sequences.length).fill(0);
  let done = 0;
  for (const { indices, batch } of likeLengths(sequences, padId, SCORE_BATCH)) {
    const logProbs = responseLogProbs(model, batch, 1);
    indices.forEach((index, row) => {
      sums[index] = logProbs
        .subarray(row * batch.grid.response, (row + 1) * batch.grid.response)
        .reduce((sum, value) => sum + value, 0);
    });
    done += indices.length;
    onProgress(done / sequences.length);
  }
  return sums;
}
